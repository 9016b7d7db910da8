"""The report's opening: the answers in sentences of Markdown, computed from the records."""

from collections.abc import Hashable
from itertools import chain
from typing import Any

import pandas as pd

from bet.analysis.answers import best_tables, best_to_serve, budget_use, training_ends
from bet.analysis.published import beside_published, has_published
from bet.analysis.results import METRIC, REFERENCE, TO_SERVE, Group, Results
from bet.report.duels import (
    POINT,
    does_bet_beat_rules,
    does_bet_plus_pay,
    does_the_predictor_help,
)
from bet.report.style import BACKBONES, on_backbone
from bet.report.table import decimal, of_full


def findings(results: Results) -> list[str]:
    """The answers, in the order in which a reader asks; each may have points below it."""
    if not results.records:
        return ["No cell has finished yet; nothing can be said."]
    parts = (
        what_serves_best(results),
        does_bet_beat_rules(results),
        does_the_predictor_help(results),
        does_bet_plus_pay(results),
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
            "validation; shares of the full table's NDCG@20, ≈: equivalent to it within 1 %; table "
            "bytes per entity)"
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
        f"**How far to trust this?** The numbers come from {count}. Significant means p < 0.05, "
        "adjusted by Holm, where seeds are resampled, then users: what another split, start or "
        "search would change is in it. Of a cell with one seed only users are resampled: that is "
        "not in it, and a small p says little about another seed."
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
    share = of_full(row["of full"], row["equivalent"])
    share = f", {share} of the full LightGCN's" if share else ""
    return (
        f"Within {row['at most']}: {on_backbone(row['method'], row['backbone'])} takes "
        f"{row[TO_SERVE]:.1f} ({row['holds']}) and has Recall@20 {decimal(row['recall@20'])}, "
        f"NDCG@20 {decimal(row[METRIC])}{share}; {beside}."
    )


def _at_size(row: Any) -> str:
    floats = of_full(row.float32_share, row.float32_equivalent)
    if pd.isna(row.packed):
        return f"{row.float32} keeps {floats} in {row.bytes:.1f} bytes"
    packed = of_full(row.packed_share, row.packed_equivalent)
    return (
        f"{row.packed} keeps {packed} in {row.bytes:.1f} bytes (float32: {row.float32}, {floats})"
    )


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
        if backbone in ends.index:
            models, best, gain = ends.loc[backbone]
            ended = "Training had not ended: in" if 2 * best > models else "In"
            sentence += (
                f"{POINT}{ended} {best:.0f} of {models:.0f} models the last epoch was the best on "
                f"validation, and the last interval between evaluations added {gain:.1%}."
            )
        sentences.append(sentence)
    return sentences
