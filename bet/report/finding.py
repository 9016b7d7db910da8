"""What the report answers: a question, a plain sentence, and folded points with the intervals."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bet.analysis.results import Group
from bet.text import for_html


@dataclass(frozen=True)
class Finding:
    """A ``question``, its ``answer`` in a sentence, and ``points`` below it; `` `name` `` is
    code.
    """

    question: str
    answer: str
    points: tuple[str, ...] = ()

    def html(self) -> str:
        """An entry of a list; the points are folded."""
        points = "".join(f"<li>{_escaped(point)}</li>" for point in self.points)
        folded = f"<details><summary>Intervals and details</summary><ul>{points}</ul></details>"
        entry = f"<b>{_escaped(self.question)}</b> {_escaped(self.answer)}"
        return f"<li>{entry}{folded if points else ''}</li>"


@dataclass(frozen=True)
class Clause:
    """The part of an answer that is about ``group``, with its points; ``weight``: how much it
    rests on, such as the number of pairs compared.
    """

    group: Group
    text: str
    points: tuple[str, ...]
    weight: float


def combined(question: str, clauses: Iterable[Clause], ending: str = ".") -> Finding | None:
    """One sentence with a clause per dataset, that of its ``deciding`` group, and the points of all
    groups; None without clauses.
    """
    by_dataset: dict[str, dict[Group, Clause]] = {}
    points: list[str] = []
    for clause in clauses:
        by_dataset.setdefault(clause.group.dataset, {})[clause.group] = clause
        points += clause.points
    if not by_dataset:
        return None
    chosen = []
    for of_group in by_dataset.values():
        group = deciding({group: clause.weight for group, clause in of_group.items()})
        chosen.append(of_group[group].text)
    sentence = "; ".join(chosen) + ending
    return Finding(question, sentence[0].upper() + sentence[1:], tuple(points))


def deciding(weights: Mapping[Group, float]) -> Group:
    """Of the groups of a dataset the one that an answer speaks of: that of protocol ``merged``,
    since the published numbers are nearest to it, unless it weighs less than half of the heaviest.
    """
    enough = max(weights.values()) / 2
    return max(
        (group for group, weight in weights.items() if weight >= enough),
        key=lambda group: (group.protocol == "merged", weights[group]),
    )


def place(group: Group) -> str:
    """The dataset, with its protocol where the study has several groups."""
    return f"{group.dataset} (protocol {group.protocol})" if group.suffix else group.dataset


def number_of_seeds(by_setting: Iterable[int]) -> str:
    """How many seeds settings have, of at least one setting.

    >>> number_of_seeds([1, 1]), number_of_seeds([3]), number_of_seeds([1, 3, 1])
    ('a single seed', '3 seeds', '1 to 3 seeds')
    """
    numbers = set(by_setting)
    fewest, most = min(numbers), max(numbers)
    if fewest < most:
        return f"{fewest} to {most} seeds"
    return "a single seed" if most == 1 else f"{most} seeds"


def listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b`` or ``a, b and c``."""
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def _escaped(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", for_html(text))
