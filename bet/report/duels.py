"""The answers about methods of ours against their competitors."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bet.analysis.results import METRIC, Group, Results
from bet.analysis.statistics import compare, overall
from bet.report.finding import Clause, Finding, combined, listed, number_of_seeds, place
from bet.report.opponents import BEST, NESTED, OPPONENTS, RANDOM, RULES, Opponents
from bet.report.table import LONG, decimal, interval


@dataclass(frozen=True)
class Duels:
    """``method`` against an ``opponent``, in words, in all settings of a group: their ``tests``
    and their ``mean``, a row, or none where they share no users.
    """

    method: str
    opponent: str
    tests: pd.DataFrame
    mean: pd.DataFrame

    @property
    def rival(self) -> str:
        """The opponent without what explains it."""
        return self.opponent.split(" (")[0]

    @property
    def numbers(self) -> pd.DataFrame:
        """Of all settings together or, without a mean, of every setting."""
        return self.mean if len(self.mean) else self.tests

    @property
    def difference(self) -> float:
        """Mean over the settings, in NDCG@20."""
        return float(self.numbers["difference"].mean())

    @property
    def share(self) -> float | None:
        """``difference`` over what the opponent has in the same runs; None where that is 0."""
        theirs = float(self.numbers["opponent_mean"].mean())
        return self.difference / theirs if theirs else None

    @property
    def seeds(self) -> str:
        """How many a setting has, in words."""
        return number_of_seeds(self.tests["seeds"])

    @property
    def is_mixed(self) -> bool:
        """Whether it is significantly ahead in some settings and significantly behind in others."""
        return bool(self.tests["wins"].any() and self.tests["loses"].any())

    @property
    def is_better(self) -> bool | None:
        """Whether the method is better: the interval of the mean is above 0, and nowhere is the
        method significantly behind; False: the other way round; None: neither.
        """
        if self.mean.empty or self.is_mixed:
            return None
        if self.mean["low"].item() > 0 and not self.tests["loses"].any():
            return True
        return False if self.mean["high"].item() < 0 and not self.tests["wins"].any() else None


def does_bet_beat_rules(results: Results) -> Finding | None:
    """Against the simple rules, and in the points the best competitor."""
    return _answer(results, "bet", "Does BET beat simple rules?", RULES, BEST)


def does_the_predictor_help(results: Results) -> Finding | None:
    """Against searches that do without it."""
    return _answer(results, "bet", "Does its predictor help?", (RANDOM,), NESTED)


def do_our_methods_pay(results: Results) -> list[Finding]:
    """Of every method of ours that has run: against plain rules, then its best competitor."""
    methods = [method for method in OPPONENTS if method != "bet"]
    answers = [_answer(results, name, f"Does `{name}` pay?", RULES, BEST) for name in methods]
    return [answer for answer in answers if answer]


def strongest(
    results: Results, group: Group, method: str, opponents: Sequence[Opponents]
) -> list[Duels]:
    """The method against every one of its ``opponents`` that has run, the strongest first."""
    fought = []
    for each in (known for known in OPPONENTS[method] if known in opponents):
        tests = group.of(compare(results, METRIC, method, each.names))
        if len(tests):
            mean = group.of(overall(results, METRIC, method, each.names))
            fought.append(Duels(method, each.words, tests, mean))
    return sorted(fought, key=lambda duels: duels.difference)


def _answer(
    results: Results,
    method: str,
    question: str,
    deciding: Sequence[Opponents],
    further: Opponents,
) -> Finding | None:
    """A clause per group: ``method`` against ``deciding``; the points name all."""
    clauses = []
    for group in results.groups:
        if fought := strongest(results, group, method, deciding):
            others = strongest(results, group, method, [further])
            text = verdict_of(fought, place(group)) + "".join(map(_ahead, others))
            points = tuple(f"{group}: {_point(duels)}" for duels in [*fought, *others])
            clauses.append(Clause(group, text, points, weight=len(fought[0].tests)))
    return combined(question, clauses)


def verdict_of(fought: Sequence[Duels], where: str) -> str:
    """``no on movielens-100k: over 12 pairs ..., its NDCG@20 is on average ...``: against all of
    ``fought``, the strongest first.
    """
    many = len(fought[0].tests)
    over = f"over {many} pairs of backbone and budget" if many > 1 else "in one setting"
    over += f" ({fought[0].seeds})"
    average = " on average" if many > 1 else ""
    gaps = ", and ".join(f"{_gap(duels)}{_doubt(duels)}" for duels in fought)
    return f"{_verdict(fought)} on {where}: {over}, its {LONG[METRIC]} is{average} {gaps}"


def _verdict(fought: Sequence[Duels]) -> str:
    better = [duels.is_better for duels in fought]
    if all(better):
        return "yes"
    if any(better) or any(duels.is_mixed for duels in fought):
        return "in part"
    return "no" if False in better else "undecided"


def _gap(duels: Duels) -> str:
    """``.0032 (1.2 %) below that of the tuned power-law rule``"""
    side = "above" if duels.difference > 0 else "below"
    percent = "" if duels.share is None else f" ({100 * abs(duels.share):.1f} %)"
    size = f"{decimal(abs(duels.difference))}{percent}"
    return f"{size} {side} that of {duels.rival}"


def _doubt(duels: Duels) -> str:
    """What keeps the difference from being a yes or no."""
    if duels.is_mixed:
        wins, losses = (int(duels.tests[name].sum()) for name in ("wins", "loses"))
        return f", significantly ahead in {wins} of {len(duels.tests)} and behind in {losses}"
    if duels.is_better is not None:
        return ""
    by_chance = len(duels.mean) and duels.mean["low"].item() <= 0 <= duels.mean["high"].item()
    return ", which may be chance" if by_chance else ", but not surely"


def _ahead(duels: Duels) -> str:
    """``; its best competitor is significantly ahead in 2 of 9 (pep)``; nothing where in none."""
    lost = duels.tests[duels.tests["loses"]]
    if lost.empty:
        return ""
    names = listed(dict.fromkeys(lost["opponent"]))
    count = f"{len(lost)} of {len(duels.tests)}"
    return f"; {duels.rival} is significantly ahead in {count} ({names})"


def _point(duels: Duels) -> str:
    name = "BET" if duels.method == "bet" else f"`{duels.method}`"
    tests, mean = duels.tests, duels.mean
    sentence = (
        f"Against {duels.opponent}, {name} is ahead in {int((tests['difference'] > 0).sum())} of "
        f"{len(tests)}, significantly in {tests['wins'].sum()}, significantly behind in "
        f"{tests['loses'].sum()}"
    )
    if mean.empty:
        return f"{sentence}, with a mean difference of {duels.difference:+.4f}."
    (low, high), difference = mean[["low", "high"]].iloc[0], mean["difference"].item()
    sentence += f"; over all of them the mean difference is {difference:+.4f}"
    return f"{sentence} {interval(low, high)}."
