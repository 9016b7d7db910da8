"""The report's opening: the answers in sentences, computed from the records; and where the numbers
come from.

Every sentence is Markdown; README quotes them as they are.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import pandas as pd

from bet.analysis.answers import best_at_sizes, budget_use, training_ends
from bet.analysis.published import beside_published, has_published
from bet.analysis.results import Group, Results
from bet.analysis.statistics import compare
from bet.report.style import BACKBONES
from bet.report.table import decimal
from bet.study.bundle import profile_keys

METRIC = "ndcg@20"
Names = dict[str | None, str]  # of opponents; None is the best competitor
RULES: Names = {
    "powerlaw": "the tuned power-law rule (sizes follow a power of frequency)",
    "su": "equal sizes for everybody (su)",
}
RANDOM: Names = {"bet-random": "the same search with random selection"}
NESTED: Names = {"nested": "a search that scores actions without fine-tuning (nested)"}


def findings(results: Results) -> list[str]:
    """The answers, in the order in which a reader asks."""
    if not results.records:
        return ["No cell has finished yet; nothing can be said."]
    parts = (
        does_bet_beat_rules(results),
        does_the_predictor_help(results),
        what_is_best_at_which_size(results),
        how_close_to_published(results),
        how_far_to_trust(results),
    )
    return [sentence for part in parts for sentence in part]


def does_bet_beat_rules(results: Results) -> list[str]:
    """Against the simple rules and the best competitor; the rule that does best comes first."""
    answers = {True: "Yes", False: "No, a plain rule is better", None: "Not surely"}
    others: Names = {None: "its best competitor, chosen on validation"}
    return _duels(results, "Does BET beat simple rules?", answers, RULES, others)


def does_the_predictor_help(results: Results) -> list[str]:
    """Against searches that do without it."""
    answers = {True: "Yes", False: "No, the search is better without", None: "Not surely"}
    return _duels(results, "Does its predictor help?", answers, RANDOM, NESTED)


def what_is_best_at_which_size(results: Results) -> list[str]:
    """Per dataset, protocol and backbone: the best packed and the best float32 table."""
    sentences = []
    for group in results.groups:
        for backbone, rows in best_at_sizes(results, group).groupby("backbone", sort=False):
            where = f"{group.dataset}, {BACKBONES[str(backbone)]}, protocol {group.protocol}"
            parts = "; ".join(_at_size(row) for row in rows.itertuples())
            sentences.append(
                f"**What is best at which size?** ({where}; chosen on validation; shares of the "
                f"full table's NDCG@20) {parts}."
            )
    return sentences


def how_close_to_published(results: Results) -> list[str]:
    """SU and BET beside the paper's, and whether training had ended."""
    sentences = []
    for group in results.groups:
        sentences += _published(results, group) if has_published(group) else []
    if not sentences:
        names = ", ".join(dict.fromkeys(group.dataset for group in results.groups))
        return [f"**How close to the published numbers?** The paper has none for {names}."]
    return sentences


def how_far_to_trust(results: Results) -> list[str]:
    """Seeds, tests, budgets and what has not run."""
    seeds = sorted({record.cell.seed for record in results.records})
    count = "a single seed" if len(seeds) == 1 else f"{len(seeds)} seeds, each with its own split"
    sentences = [
        f"**How far to trust this?** The numbers come from {count}. Significant means a "
        "Holm-adjusted Wilcoxon test (p < 0.05) and a 95 % bootstrap interval on the same side, "
        "both over users: they do not cover the randomness of training and search. Shares of the "
        "full table's quality are means; that two tables are equal is not tested."
    ]
    if use := budget_use(results):
        over = "none exceeds it" if not use.over else f"{use.over} EXCEED it"
        sentences.append(
            f"**Are budgets kept?** Of {use.tables} tables with a limit of parameters, {over}; the "
            f"least share that one uses is {100 * use.least:.4g} %."
        )
    if results.missing:
        sentences.append(
            f"{len(results.missing)} of {len(results.cells)} cells have not run; every sentence "
            "covers the finished ones only."
        )
    return sentences


def provenance(results: Results) -> pd.DataFrame:
    """What was run, where and with what, as text."""
    records, keys = results.records, profile_keys(results.profile)
    data = [record.data for record in records]
    counts = [f"{d.users:,}, {d.items:,}, {d.train + d.validation + d.test:,}" for d in data]
    hosts = [record.run.host for record in records]
    versions = [msgspec.to_builtins(record.run.versions) for record in records]
    rows = {
        "command": f"make reproduce PROFILE={results.profile}",
        "cells": f"{len(records)} of {len(results.cells)} finished",
        "seeds": _distinct(record.cell.seed for record in records),
        "commit (+ = changed files)": _distinct(record.run.commit for record in records),
        "data (sha256)": _distinct(f"{d.name} {d.hash[:12]}" for d in data),
        "users, items, interactions": _distinct(counts),
        "columns of the full table": _distinct(record.settings.d_max for record in records),
        "machine": _distinct(f"{h.processor}, {h.cpus} cores, on {h.device}" for h in hosts),
        "versions": _distinct(", ".join(f"{n} {v}" for n, v in each.items()) for each in versions),
        "records of other settings than now": sum(r.key != keys[r.cell_id] for r in records),
        "hours of all cells together": f"{results.cells['total_seconds'].sum() / 3600:.1f}",
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})


def _duels(
    results: Results,
    question: str,
    answers: dict[bool | None, str],
    first: Names,
    then: Names,
) -> list[str]:
    """A sentence per group: BET against the opponents of ``first``, the strongest of which decides
    the answer, and of ``then``.
    """
    sentences = []
    for group in results.groups:
        tests = {name: group.of(compare(results, METRIC, name)) for name in [*first, *then]}
        known = {name: frame for name, frame in tests.items() if len(frame)}
        order = sorted((name for name in first if name in known), key=lambda n: _balance(known[n]))
        if not order:
            continue
        answer, named = answers[_verdict(known[order[0]])], {**first, **then}
        duels = [_duel(known[n], named[n]) for n in [*order, *(n for n in then if n in known)]]
        seeds = known[order[0]]["seeds"].max()
        where = f"{group}, {'a single seed' if seeds == 1 else f'{seeds} seeds'}"
        sentences.append(f"**{question} {answer}.** ({where}) " + " ".join(duels))
    return sentences or [f"**{question}** No run to compare with has finished."]


def _balance(tests: pd.DataFrame) -> int:
    """Settings that BET surely wins minus those that it surely loses."""
    return int(tests["wins"].sum()) - int(tests["loses"].sum())


def _verdict(tests: pd.DataFrame) -> bool | None:
    """Whether BET is better: at least two settings, and a third of them, must tip the balance."""
    balance = _balance(tests)
    return balance > 0 if abs(balance) >= max(min(2, len(tests)), len(tests) / 3) else None


def _duel(tests: pd.DataFrame, opponent: str) -> str:
    difference, n = tests["difference"], len(tests)
    return (
        f"Against {opponent}, BET leads in {(difference > 0).sum()} of {n} pairs of backbone and "
        f"budget (significantly in {tests['wins'].sum()}) and trails in {(difference < 0).sum()} "
        f"(significantly in {tests['loses'].sum()}); the mean difference in NDCG@20 is "
        f"{difference.mean():+.4f}."
    )


def _at_size(row: Any) -> str:
    size = f"at {row.bytes:.1f} bytes per entity (sparsity {row.sparsity})"
    if pd.isna(row.packed):
        return f"{size} {row.float32} keeps {row.float32_share:.0%}, the best of float32"
    return (
        f"{size} {row.packed} keeps {row.packed_share:.0%}, the best float32 table ({row.float32}) "
        f"{row.float32_share:.0%}, difference {row.difference:+.4f} "
        f"[{row.low:+.4f}, {row.high:+.4f}]"
    )


def _published(results: Results, group: Group) -> list[str]:
    data = beside_published(results, group)
    data = data[(data["metric"] == "recall@20") & data["difference"].notna()]
    ends, sentences = training_ends(results, group), []
    for backbone, numbers in data.groupby("backbone", sort=False):
        parts = []
        for method in [name for name in ("bet", "su") if name in set(numbers["method"])]:
            of_method = numbers[numbers["method"] == method].sort_values("budget")
            pairs = ", ".join(
                f"{decimal(row.ours)} against {decimal(row.published)} at {row.budget}"
                for row in of_method.itertuples()
            )
            gap = (of_method["difference"] / of_method["published"]).mean()
            parts.append(f"{method} {pairs} ({gap:+.0%} on average)")
        if not parts:
            continue
        where = f"{group.dataset}, {BACKBONES[str(backbone)]}, protocol {group.protocol}"
        sentence = (
            f"**How close to the published numbers?** ({where}; Recall@20, ours against published) "
            f"{'; '.join(parts)}."
        )
        if backbone in ends.index and 2 * ends.loc[backbone, "best"] > ends.loc[backbone, "models"]:
            models, best, gain = ends.loc[backbone]
            sentence += (
                f" Training had not ended: in {best:.0f} of {models:.0f} models the last epoch was "
                "the best on validation, and the last interval between evaluations added "
                f"{gain:.1%}."
            )
        sentences.append(sentence)
    return sentences


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values)) or "none yet"
