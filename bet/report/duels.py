"""The answers about methods of ours against their competitors, in sentences of Markdown."""

import pandas as pd

from bet.analysis.results import METRIC, Group, Results
from bet.analysis.statistics import OURS, compare, overall
from bet.methods import IN_BYTES
from bet.report.table import interval

POINT = "\n  - "  # begins a point below a sentence
SETTINGS = "NDCG@20 (normalized discounted cumulative gain) in pairs of backbone and budget"
Names = dict[tuple[str, ...], str]  # of opponents; () is the best of all competitors
RULES: Names = {
    ("powerlaw",): "the tuned power-law rule (sizes follow a power of frequency)",
    ("su",): "equal sizes for everybody (su)",
}
BEST: Names = {(): "its best competitor, chosen on validation"}
RANDOM: Names = {("bet-random",): "the same search with random selection"}
NESTED: Names = {("nested",): "a search that scores actions without fine-tuning (nested)"}
EQUAL_ROWS = tuple(name for name in IN_BYTES if name.startswith(("uniform-", "vectors-")))
PLAIN: Names = RULES | {EQUAL_ROWS: "equal rows of few bits (their best number on validation)"}


def does_bet_beat_rules(results: Results) -> list[str]:
    """Against the simple rules and the best competitor; the rule that does best comes first."""
    question, no = "Does BET beat simple rules?", "No, a simple rule is better"
    sentences = _answers(results, "bet", question, no, deciding=RULES, further=BEST)
    return sentences or [f"**{question}** No run to compare with has finished."]


def does_the_predictor_help(results: Results) -> list[str]:
    """Against searches that do without it."""
    question, no = "Does its predictor help?", "No, the search is better without"
    sentences = _answers(results, "bet", question, no, deciding=RANDOM, further=NESTED)
    return sentences or [f"**{question}** No run to compare with has finished."]


def does_bet_plus_pay(results: Results) -> list[str]:
    """Of every ``bet-plus`` that has run: a plain rule that wins comes first, then how often the
    method is ahead of its best competitor.
    """
    sentences = []
    for method in OURS:
        if method != "bet":
            question, no = f"Does `{method}` pay?", "No, a plain rule wins"
            sentences += _answers(results, method, question, no, deciding=PLAIN, further=BEST)
    return sentences


def _answers(
    results: Results, method: str, question: str, no: str, *, deciding: Names, further: Names
) -> list[str]:
    """A sentence per group: ``method`` against the opponents of ``deciding``, the strongest of
    which gives the answer, and of ``further``.
    """
    sentences, opponents = [], deciding | further
    for group in results.groups:
        tests = {
            names: group.of(compare(results, METRIC, method, names))
            for names in opponents
            if method not in names
        }
        ran = [names for names in tests if len(tests[names])]
        means = {names: _overall(results, group, method, names) for names in ran}
        strength = {names: tests[names]["difference"].mean() for names in ran}
        order = sorted(filter(deciding.__contains__, ran), key=strength.__getitem__)
        if not order:
            continue
        strongest, verdict = tests[order[0]], _verdict(tests[order[0]], means[order[0]])
        answer = {True: "Yes", False: no, None: "Undecided"}[verdict]
        order += [names for names in ran if names in further]
        points = "".join(
            POINT + _duel(tests[names], means[names], opponents[names]) for names in order
        )
        seeds = strongest["seeds"].max()
        where = f"{group}, {'a single seed' if seeds == 1 else f'{seeds} seeds'}"
        sentences.append(f"**{question} {answer}.** ({where}; {SETTINGS}){points}")
    return sentences


def _overall(
    results: Results, group: Group, method: str, opponents: tuple[str, ...]
) -> pd.DataFrame:
    return group.of(overall(results, METRIC, method, opponents))


def _verdict(tests: pd.DataFrame, mean: pd.DataFrame) -> bool | None:
    """Whether the method is better: all settings together say so, and so do at least as many of
    them that are significant as say the contrary; None if they are level.
    """
    if mean.empty:
        return None
    balance = int(tests["wins"].sum()) - int(tests["loses"].sum())
    if mean["low"].item() > 0 and balance >= 0:
        return True
    return False if mean["high"].item() < 0 and balance <= 0 else None


def _duel(tests: pd.DataFrame, mean: pd.DataFrame, opponent: str) -> str:
    name = "BET" if (method := tests["method"].iloc[0]) == "bet" else f"`{method}`"
    ahead, many = int((tests["difference"] > 0).sum()), len(tests)
    sentence = (
        f"Against {opponent}, {name} is ahead in {ahead} of {many}, significantly in "
        f"{tests['wins'].sum()}, significantly behind in {tests['loses'].sum()}"
    )
    if mean.empty:
        return f"{sentence}, with a mean difference of {tests['difference'].mean():+.4f}."
    (low, high), difference = mean[["low", "high"]].iloc[0], mean["difference"].item()
    sentence += f"; over all of them the mean difference is {difference:+.4f}"
    return f"{sentence} {interval(low, high)}."
