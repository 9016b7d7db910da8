"""The report's opening: the answers in sentences, computed from the records; and where the numbers
come from.

Every sentence is Markdown; README quotes them as they are.
"""

import pandas as pd

from bet.analysis.answers import AtSize, best_at_sizes, budget_use, training_lengths
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
        by_backbone: dict[str, list[AtSize]] = {}
        for at in best_at_sizes(results, group):
            by_backbone.setdefault(at.backbone, []).append(at)
        for backbone, sizes in by_backbone.items():
            where = f"{group.dataset}, {BACKBONES[backbone]}, protocol {group.protocol}"
            parts = "; ".join(_at_size(at, i == 0) for i, at in enumerate(sizes))
            sentences.append(
                f"**What is best at which size?** ({where}; chosen on validation) {parts}."
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
        "Holm-adjusted Wilcoxon test (p < 0.05) and a 95 % bootstrap interval on the same side, both "
        "over users: they do not cover the randomness of training and search."
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
    """What was run, where and with what, as one column of text."""
    records = results.records
    keys = profile_keys(results.profile)
    hours = sum(record.run.seconds.total for record in records) / 3600
    rows = {
        "command": f"make reproduce PROFILE={results.profile}",
        "cells": f"{len(records)} of {len(results.cells)} finished",
        "seeds": _distinct(record.cell.seed for record in records),
        "commit (+ = changed files)": _distinct(record.run.commit for record in records),
        "data (sha256)": _distinct(f"{r.data.name} {r.data.hash[:12]}" for r in records),
        "users, items, interactions": _distinct(
            f"{d.users:,}, {d.items:,}, {d.train + d.validation + d.test:,}"
            for d in (record.data for record in records)
        ),
        "columns of the full table": _distinct(record.settings.d_max for record in records),
        "machine": _distinct(
            f"{host.processor}, {host.cpus} cores, on {host.device}"
            for host in (record.run.host for record in records)
        ),
        "versions": _distinct(_versions(record) for record in records),
        "records of other settings than now": sum(r.key != keys[r.cell_id] for r in records),
        "hours of all cells together": f"{hours:.1f}",
    }
    return pd.DataFrame({"": rows})


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
        sentences.append(f"**{question}** ({where}) {answer}. " + " ".join(duels))
    return sentences


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


def _at_size(at: AtSize, first: bool) -> str:
    size = f"{at.bytes_per_entity:.1f} bytes per entity (sparsity {at.budget})"
    of_full = " of the full table's NDCG@20" if first else ""
    floats = f"{at.floats.share:.0%}{of_full}"
    if at.packed is None or at.difference is None:
        return f"at {size} the best float32 table, {at.floats.method}, keeps {floats}"
    low, high = at.difference.low, at.difference.high
    return (
        f"at {size} {at.packed.method} keeps {at.packed.share:.0%}{of_full}, the best float32 table "
        f"({at.floats.method}) {at.floats.share:.0%}, difference {at.difference.difference:+.4f} "
        f"[{low:+.4f}, {high:+.4f}]"
    )


def _published(results: Results, group: Group) -> list[str]:
    data = beside_published(results, group)
    data = data[(data["metric"] == "recall@20") & data["difference"].notna()]
    lengths = {length.backbone: length for length in training_lengths(results, group)}
    sentences = []
    for backbone, own in data.groupby("backbone", sort=False):
        parts = []
        for method in ("bet", "su"):
            rows = own[own["method"] == method].sort_values("budget")
            pairs = [
                f"{decimal(row.ours)} against {decimal(row.published)} at {row.budget}"
                for row in rows.itertuples()
            ]
            if pairs:
                gap = (rows["difference"] / rows["published"]).mean()
                parts.append(f"{method} {', '.join(pairs)} ({gap:+.0%} on average)")
        if parts:
            sentence = (
                f"**How close to the published numbers?** ({group.dataset}, {BACKBONES[str(backbone)]}, "
                f"protocol {group.protocol}; Recall@20, ours against published) {'; '.join(parts)}."
            )
            if length := lengths.get(str(backbone)):
                sentence += (
                    f" Training had not ended: in {length.last_is_best} of {length.models} models "
                    "the last epoch was the best on validation, and the last interval between "
                    f"evaluations added {length.gain:.1%}."
                    if length.last_is_best > length.models / 2
                    else ""
                )
            sentences.append(sentence)
    return sentences


def _versions(record) -> str:
    versions = record.run.versions
    return ", ".join(f"{name} {getattr(versions, name)}" for name in versions.__struct_fields__)


def _distinct(values) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values)) or "none yet"
