"""The answers of a study of streams: a question, a sentence, and folded points with intervals."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from bet.analysis.paired import Paired
from bet.analysis.streams import PLAIN, StreamResults, averages, best_capped, compare
from bet.report.finding import Finding, listed
from bet.report.style import BACKBONES
from bet.report.table import decimal
from bet.stream import STREAM_METHODS

NUMBERS = ("user_share", "user_shape", "item_shape")  # that SCALL chooses


def stream_findings(results: StreamResults) -> list[Finding]:
    """The five answers, in the order in which a reader asks; without those that have no records."""
    if not results.records:
        return [Finding("Is there an answer?", "No cell has finished yet; nothing can be said.")]
    answers = (
        is_the_cap_kept(results),
        does_searching_pay(results),
        does_the_actor_critic_pay(results),
        do_indicators_pay(results),
        who_comes_back(results),
    )
    return [answer for answer in answers if answer]


def is_the_cap_kept(results: StreamResults) -> Finding:
    """How many tables are within their cap, and how tables grow without one."""
    table = results.segments
    capped = table[table["limit_bytes"].notna()]
    kept = int((capped["bytes"] <= capped["limit_bytes"]).sum())
    answer = f"{kept:,} of {len(capped):,} tables are within it"
    points, growth = [], []
    free = table[
        table["limit_bytes"].isna() & (table["method"] != "dess-like-equal")
    ]  # as dess-like
    keys = ["dataset", "backbone", "method"]
    for (dataset, backbone, method), rows in free.groupby(keys, sort=False):
        ends = rows.groupby("number")["bytes"].mean()
        growth.append(ends.iloc[-1] / capped.loc[capped["dataset"] == dataset, "limit_bytes"].max())
        points.append(
            f"{_place(dataset, backbone)}: `{method}` grows from {ends.iloc[0]:,.0f} to "
            f"{ends.iloc[-1]:,.0f} bytes, {growth[-1]:.1f} times the cap of the others."
        )
    if growth:
        answer += f"; those without a cap end at {min(growth):.1f} to {max(growth):.1f} times it"
    return Finding("Is the cap kept?", answer + ".", tuple(points))


@dataclass(frozen=True)
class _Duel:
    """``method`` against ``opponent`` on a stream and a backbone."""

    where: str
    method: str
    opponent: str
    test: Paired

    @property
    def verdict(self) -> int:
        """1 if surely ahead, -1 if surely behind, else 0."""
        low, high = self.test.interval()
        return int(low > 0) - int(high < 0)

    def point(self) -> str:
        """The difference with its interval."""
        low, high = self.test.interval()
        words = {1: "ahead of", 0: "not apart from", -1: "behind"}[self.verdict]
        return (
            f"{self.where}: `{self.method}` is {words} `{self.opponent}`, "
            f"{self.test.difference:+.4f} [{low:+.4f}, {high:+.4f}]."
        )


def _duels(results: StreamResults, method: str, opponent: str) -> list[_Duel]:
    """Of two methods, wherever a seed of both has finished."""
    duels = []
    for dataset, backbone in results.groups:
        if test := compare(results, (dataset, backbone), method, opponent):
            duels.append(_Duel(_place(dataset, backbone), method, opponent, test))
    return duels


def does_searching_pay(results: StreamResults) -> Finding | None:
    """The method that searches and is best on validation, against the best plain rule."""
    means = averages(results).set_index(["dataset", "backbone", "method"])["mean"].sort_index()
    duels, points = list[_Duel](), list[str]()
    for group in results.groups:
        present = means.loc[group].index
        plain = [name for name in PLAIN if name in present]
        capped = [name for name in present if STREAM_METHODS[name].capped and name not in PLAIN]
        if not plain or not capped:
            continue
        rule, best = (best_capped(results, group, names) for names in (plain, capped))
        if test := compare(results, group, best, rule):
            duels.append(_Duel(_place(*group), best, rule, test))
            score = decimal(means[(*group, rule)])
            points.append(f"{_place(*group)}: the best plain rule is `{rule}`, {score}.")
            points.append(duels[-1].point())
    if not duels:
        return None
    for opponent in ("stream-uniform", "scall-bayes"):
        points += [duel.point() for duel in _duels(results, "stream-bet-plus", opponent)]
    answer = f"The search that is best on validation is {_counted(duels, 'the best plain rule')}"
    ahead = [f"`{duel.method}` on {duel.where}" for duel in duels if duel.verdict > 0]
    answer += f" ({listed(ahead)})." if ahead else "."
    question = "Does searching the sizes anew in every segment pay?"
    return Finding(question, answer, tuple(points))


def does_the_actor_critic_pay(results: StreamResults) -> Finding | None:
    """SCALL's chooser against the same search by a Gaussian process, and the plain rules; how far
    its choices are apart, of which an untrained one makes always the same.
    """
    opponents = ("scall-bayes", "stream-uniform", "stream-powerlaw")
    duels = {name: _duels(results, "scall", name) for name in opponents}
    if not duels["scall-bayes"]:
        return None
    points = [duel.point() for duel in chain(*duels.values())]
    question = "Does the actor-critic of SCALL earn its place?"
    counted = _counted(duels["scall-bayes"], "Bayesian search with as many evaluations")
    spreads = spread_of_choices(results)
    points += [_spread_point(group, row) for group, row in spreads.iterrows()]
    ours, theirs = (np.mean(spreads[name].tolist()) for name in ("scall", "scall-bayes"))
    counts = spreads["evaluations"]
    answer = (
        f"It is {counted}; after {counts.min():.0f} to {counts.max():.0f} evaluations its three "
        f"numbers vary by {ours:.2f} (standard deviation), those of the Bayesian search by "
        f"{theirs:.2f}"
    )
    if ours < theirs / 2:
        answer += ": with so few it is hardly trained, and more of them are not tried here"
    return Finding(question, answer + ".", tuple(points))


def spread_of_choices(results: StreamResults) -> pd.DataFrame:
    """A row per stream and backbone: ``evaluations`` before the last choice, and for ``scall`` and
    ``scall-bayes`` the standard deviations (3,) of their three numbers over segments and seeds.
    """
    rows = []
    for record in results.records:
        if record.cell.method in ("scall", "scall-bayes"):
            cell = {name: getattr(record.cell, name) for name in ("dataset", "backbone", "method")}
            cell["evaluations"] = sum(part.short_trainings for part in record.segments)
            rows += [cell | dict(part.facts) for part in record.segments[1:]]
    by_method = pd.DataFrame(rows).groupby(["dataset", "backbone", "method"], sort=False)
    spread = by_method[list(NUMBERS)].std(ddof=0).apply(np.array, axis=1).unstack("method")
    return spread.dropna().assign(evaluations=by_method["evaluations"].max().unstack()["scall"])


def _spread_point(group: Any, row: pd.Series) -> str:
    stds = {name: ", ".join(map("{:.2f}".format, row[name])) for name in ("scall", "scall-bayes")}
    return (
        f"{_place(*group)}, {row['evaluations']:.0f} evaluations before the last choice: standard "
        "deviations of the users' share and of both shapes are "
        f"{' and '.join(f'{text} (`{name}`)' for name, text in stds.items())}."
    )


def do_indicators_pay(results: StreamResults) -> Finding | None:
    """Bandits that see IND and POD besides frequency, against those that do not; and without a cap,
    against as many columns in equal rows and against the full table.
    """
    duels = _duels(results, "dess-like-capped", "dess-like-frequency")
    if not duels:
        return None
    answer = f"With IND and POD besides it they are {_counted(duels, 'frequency alone')}"
    free = [_duels(results, "dess-like", name) for name in ("dess-like-equal", "stream-full")]
    if free[0]:
        answer += f"; without a cap {_counted(free[0], 'equal rows of as many columns')}"
    points = [duel.point() for duel in chain(duels, *free)]
    sizes = results.segments.groupby(["dataset", "backbone", "method"])["bytes"].mean()
    for group in results.groups:
        names = [name for name in ("dess-like", "stream-full") if (*group, name) in sizes.index]
        if len(names) == 2:
            share = sizes[(*group, names[0])] / sizes[(*group, names[1])]
            points.append(
                f"{_place(*group)}: `dess-like` takes {share:.0%} of the bytes of `stream-full`, "
                "on average over segments."
            )
    question = "Do bandits that pick sizes need more than frequency?"
    return Finding(question, answer + ".", tuple(points))


def who_comes_back(results: StreamResults) -> Finding | None:
    """Share of the users of a segment who were in an earlier one."""
    counts = {record.data.name: record.data.recurring for record in results.records}
    counts = {name: shares for name, shares in counts.items() if shares}
    if not counts:
        return None
    parts = [f"{min(part):.0%} to {max(part):.0%} on {name}" for name, part in counts.items()]
    answer = listed(parts)
    if any(name.startswith(("movielens", "ml-")) for name in counts):
        answer += "; nothing about drifting tastes follows from MovieLens"
    points = tuple(
        f"{name}, segment by segment: {', '.join(map('{:.0%}'.format, part))}."
        for name, part in counts.items()
    )
    question = "How many users of a segment were in an earlier one?"
    return Finding(question, answer + ".", points)


def _counted(duels: list[_Duel], opponent: str) -> str:
    """In how many settings the method is surely ahead, and behind."""
    verdicts = [duel.verdict for duel in duels]
    ahead, behind = verdicts.count(1), verdicts.count(-1)
    return f"surely ahead of {opponent} in {ahead} of {len(duels)} settings, behind in {behind}"


def _place(dataset: str, backbone: str) -> str:
    return f"{dataset} with {BACKBONES[backbone]}"
