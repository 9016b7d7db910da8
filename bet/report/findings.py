"""The report's opening: the answers in sentences of Markdown, computed from the records; and where
the numbers come from.
"""

from collections.abc import Hashable, Iterable
from itertools import chain
from typing import Any

import msgspec
import pandas as pd

from bet.analysis.answers import best_tables, best_to_serve, budget_use, training_ends
from bet.analysis.published import beside_published, has_published
from bet.analysis.results import METRIC, REFERENCE, TO_SERVE, Group, Results
from bet.analysis.statistics import compare
from bet.report.style import BACKBONES, on_backbone
from bet.report.table import decimal
from bet.study.bundle import profile_keys

POINT = "\n  - "  # begins a point below a sentence
SETTINGS = "NDCG@20 (normalized discounted cumulative gain) in pairs of backbone and budget"
Names = dict[str | None, str]  # of opponents; None is the best competitor
RULES: Names = {
    "powerlaw": "the tuned power-law rule (sizes follow a power of frequency)",
    "su": "equal sizes for everybody (su)",
}
BEST: Names = {None: "its best competitor, chosen on validation"}
RANDOM: Names = {"bet-random": "the same search with random selection"}
NESTED: Names = {"nested": "a search that scores actions without fine-tuning (nested)"}


def findings(results: Results) -> list[str]:
    """The answers, in the order in which a reader asks; each may have points below it."""
    if not results.records:
        return ["No cell has finished yet; nothing can be said."]
    parts = (
        what_serves_best(results),
        does_bet_beat_rules(results),
        does_the_predictor_help(results),
        which_table_is_best(results),
        how_close_to_published(results),
        how_far_to_trust(results),
    )
    return list(chain.from_iterable(parts))


def what_serves_best(results: Results) -> list[str]:
    """Per dataset and protocol: the best that fits at every size to serve; a reference that is
    ahead of everything comes first.
    """
    sentences = []
    for group in results.groups:
        data = best_to_serve(results, group)
        if data.empty:
            continue
        # A reference that is ahead of everything comes first.
        order = data.sort_values("backbone", key=lambda names: names != REFERENCE, kind="stable")
        answer = [
            f"{on_backbone(*pair)} within {' and '.join(map(str, sizes['at most']))}"
            for pair, sizes in order.groupby(["method", "backbone"], sort=False)
        ]
        sentences.append(
            f"**What serves best in how many bytes? {', '.join(answer)}.** ({group}; bytes per "
            "entity of all that a fresh process needs to answer; chosen on validation)"
            + "".join(POINT + _within(row) for row in data.to_dict("records"))
        )
    return sentences


def does_bet_beat_rules(results: Results) -> list[str]:
    """Against the simple rules and the best competitor; the rule that does best comes first."""
    no = "No, a simple rule is better"
    return _duels(results, "Does BET beat simple rules?", no, deciding=RULES, further=BEST)


def does_the_predictor_help(results: Results) -> list[str]:
    """Against searches that do without it."""
    no = "No, the search is better without"
    return _duels(results, "Does its predictor help?", no, deciding=RANDOM, further=NESTED)


def which_table_is_best(results: Results) -> list[str]:
    """Per dataset and protocol, by table bytes: the best packed and the best float32 table."""
    sentences = []
    for group in results.groups:
        data = best_tables(results, group)
        if data.empty:
            continue
        answer, compared = "Only float32 tables have run", data["packed"].notna().sum()
        if compared:
            ahead, behind = int((data["low"] > 0).sum()), int((data["high"] < 0).sum())
            answer = f"Quantized or coded tables at {ahead} of {compared} sizes"
            answer += f", float32 tables at {behind}" * (behind > 0)
        sentence = (
            f"**Which table is best, by the bytes of its file? {answer}.** ({group}; chosen on "
            "validation; shares of the full table's NDCG@20, table bytes per entity)"
        )
        for backbone, sizes in data.groupby("backbone", sort=False):
            parts = "; ".join(map(_at_size, sizes.itertuples()))
            sentence += f"{POINT}{BACKBONES[str(backbone)]}: {parts}."
        sentences.append(sentence)
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
        "both over users: they do not cover the randomness of training and search."
    ]
    if len(used := budget_use(results)):
        over = f"{(used > 1).sum()} EXCEED it" if used.max() > 1 else "none exceeds it"
        sentences.append(
            f"**Are budgets kept?** Of {len(used)} tables with a limit of parameters, {over}; "
            f"each uses at least {100 * used.min():.4g}% of it."
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
    versions = [msgspec.to_builtins(record.run.versions).items() for record in records]
    rows = {
        "command": f"make reproduce PROFILE={results.profile}",
        "cells": f"{len(records)} of {len(results.cells)} finished",
        "seeds": _distinct(record.cell.seed for record in records),
        "commit (+ = changed files)": _distinct(record.run.commit for record in records),
        "data (sha256)": _distinct(f"{d.name} {d.hash[:12]}" for d in data),
        "users, items, interactions": _distinct(counts),
        "columns of the full table": _distinct(record.settings.d_max for record in records),
        "machine": _distinct(f"{h.processor}, {h.cpus} cores, on {h.device}" for h in hosts),
        "versions": _distinct(", ".join(map(" ".join, each)) for each in versions),
        "records of other settings than now": sum(r.key != keys[r.cell_id] for r in records),
        "hours of all cells together": f"{results.cells['total_seconds'].sum() / 3600:.1f}",
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})


def _duels(
    results: Results, question: str, no: str, *, deciding: Names, further: Names
) -> list[str]:
    """A sentence per group: BET against the opponents of ``deciding``, the strongest of which
    gives the answer, and of ``further``.
    """
    sentences, opponents = [], deciding | further
    for group in results.groups:
        tests = {name: group.of(compare(results, METRIC, name)) for name in opponents}
        ran = [name for name in opponents if len(tests[name])]
        order = sorted(filter(deciding.__contains__, ran), key=lambda name: _balance(tests[name]))
        if not order:
            continue
        strongest = tests[order[0]]
        answer = {True: "Yes", False: no, None: "Undecided"}[_verdict(strongest)]
        order += [name for name in ran if name in further]
        duels = "".join(POINT + _duel(tests[name], opponents[name]) for name in order)
        seeds = strongest["seeds"].max()
        where = f"{group}, {'a single seed' if seeds == 1 else f'{seeds} seeds'}"
        sentences.append(f"**{question} {answer}.** ({where}; {SETTINGS}){duels}")
    return sentences or [f"**{question}** No run to compare with has finished."]


def _balance(tests: pd.DataFrame) -> int:
    """Settings that BET surely wins minus those that it surely loses."""
    return int(tests["wins"].sum()) - int(tests["loses"].sum())


def _verdict(tests: pd.DataFrame) -> bool | None:
    """Whether BET is better: at least two settings, and a third of them, must tip the balance."""
    balance = _balance(tests)
    return balance > 0 if abs(balance) >= max(min(2, len(tests)), len(tests) / 3) else None


def _duel(tests: pd.DataFrame, opponent: str) -> str:
    difference, parts = tests["difference"], []
    leads, trails = int((difference > 0).sum()), int((difference < 0).sum())
    if leads:
        parts.append(f"leads in {leads} of {len(tests)} (significantly in {tests['wins'].sum()})")
    if trails:
        parts.append(
            f"trails in {trails} of {len(tests)} (significantly in {tests['loses'].sum()})"
        )
    return (
        f"Against {opponent}, BET {' and '.join(parts) or 'is level in all'}, with a mean "
        f"difference of {difference.mean():+.4f}."
    )


def _within(row: dict[Hashable, Any]) -> str:
    """What the row of ``best_to_serve`` says of its size."""
    rival, where = row["rival"], row["rival backbone"]
    if pd.isna(rival):
        beside = "no searched or float32 table fits"
    elif (rival, where) == (row["method"], row["backbone"]):
        beside = "it is the best searched or float32 table as well"
    else:
        beside = f"best searched or float32 table: {on_backbone(rival, where)} with "
        beside += decimal(row["rival " + METRIC])
        if row["low"] <= 0:
            beside += ", ahead on test" if row["high"] < 0 else ", level on test"
    of_full = "" if pd.isna(row["of full"]) else f", {row['of full']:.0%} of the full LightGCN's"
    return (
        f"Within {row['at most']}: {on_backbone(row['method'], row['backbone'])} takes "
        f"{row[TO_SERVE]:.1f} ({row['holds']}) and has Recall@20 {decimal(row['recall@20'])}, "
        f"NDCG@20 {decimal(row[METRIC])}{of_full}; {beside}."
    )


def _at_size(row: Any) -> str:
    if pd.isna(row.packed):
        return f"{row.float32} keeps {row.float32_share:.0%} in {row.bytes:.1f} bytes"
    packed = f"{row.packed} keeps {row.packed_share:.0%} in {row.bytes:.1f} bytes"
    return f"{packed} (float32: {row.float32}, {row.float32_share:.0%})"


def _published(results: Results, group: Group) -> list[str]:
    data = beside_published(results, group)
    data = data[(data["metric"] == "recall@20") & data["difference"].notna()]
    data = data[data["method"].isin(["bet", "su"])].sort_values("budget")
    ends, sentences = training_ends(results, group), []
    for backbone, numbers in data.groupby("backbone", sort=False):
        parts = []
        for method, of_method in numbers.groupby("method"):
            pairs = ", ".join(
                f"{decimal(row.ours)} against {decimal(row.published)} at {row.budget}"
                for row in of_method.itertuples()
            )
            gap = (of_method["difference"] / of_method["published"]).mean()
            parts.append(f"{method} {pairs} ({gap:+.0%} on average)")
        where = f"{group.dataset}, {BACKBONES[str(backbone)]}, protocol {group.protocol}"
        sentence = (
            f"**How close to the published numbers?** ({where}; Recall@20, ours against published)"
            f"{''.join(POINT + part + '.' for part in parts)}"
        )
        if backbone in ends.index and 2 * ends.loc[backbone, "best"] > ends.loc[backbone, "models"]:
            models, best, gain = ends.loc[backbone]
            sentence += (
                f"{POINT}Training had not ended: in {best:.0f} of {models:.0f} models the last "
                "epoch was the best on validation, and the last interval between evaluations added "
                f"{gain:.1%}."
            )
        sentences.append(sentence)
    return sentences


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values)) or "none yet"
