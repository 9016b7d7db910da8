"""The report's opening: where its numbers come from and what they say, computed from the records."""

import pandas as pd

from bet.analysis.curves import Panel, areas, lead, panels
from bet.analysis.results import Results, groups, in_group
from bet.analysis.statistics import average_ranks, between, compare
from bet.methods import IN_BYTES
from bet.report.published import statements
from bet.report.tables import SIGNIFICANT, leaders, rank_blocks
from bet.study.profiles import PROFILES

METRIC = "ndcg@20"


def provenance(study: Results) -> pd.DataFrame:
    """What was run, where and with what, as one column of text."""
    records = study.records

    def distinct(values) -> str:
        return "; ".join(dict.fromkeys(str(value) for value in values)) or "none yet"

    keys = {cell.id: PROFILES[study.profile].key(cell) for cell in PROFILES[study.profile].cells}
    rows = {
        "command": f"make reproduce PROFILE={study.profile}",
        "cells": f"{len(records)} of {len(study.cells)} finished",
        "seeds": distinct(record["cell"]["seed"] for record in records),
        "commit (+ = changed files)": distinct(record["commit"] for record in records),
        "data (sha256)": distinct(
            f"{record['data']['name']} {record['data']['hash'][:12]}" for record in records
        ),
        "users, items, interactions": distinct(_counts(record["data"]) for record in records),
        "columns of the full table": distinct(record["settings"]["d_max"] for record in records),
        "machine": distinct(
            f"{r['host']['kind']}, {r['host']['cpus']} cores, on {r['host']['device']}"
            for r in records
        ),
        "versions": distinct(
            ", ".join(f"{name} {v}" for name, v in record["versions"].items()) for record in records
        ),
        "records of other settings than now": sum(r["key"] != keys[r["cell_id"]] for r in records),
        "hours of all cells together": f"{sum(record['seconds']['total'] for record in records) / 3600:.1f}",
    }
    return pd.DataFrame({"": rows})


def _counts(data: dict) -> str:
    return f"{data['users']:,}, {data['items']:,}, {data['train'] + data['validation'] + data['test']:,}"


def findings(study: Results) -> str:
    """Markdown sentences for every dataset and protocol, or that nothing is finished."""
    if not study.records:
        return "No cell has finished yet; nothing can be said."
    lines = [
        line
        for dataset, protocol, _ in groups(study)
        for line in _findings(study, dataset, protocol)
    ]
    found = average_ranks(rank_blocks(study, METRIC))
    if found is not None:
        order = ", ".join(f"{method} {rank:.1f}" for method, rank in found.mean.items())
        lines.append(
            f"**Average ranks** by NDCG@20 over {found.blocks} cells: {order}; those less than {found.difference:.1f} apart do not "
            f"differ at the 5 % level (Nemenyi); Friedman's p = {found.p:.2g}."
        )
    if study.missing:
        lines.append(
            f"{len(study.missing)} of {len(study.cells)} cells are missing; statements cover the finished ones only."
        )
    return "\n".join(f"- {line}" for line in lines)


def _bytes(study: Results, dataset: str, protocol: str) -> list[str]:
    """The best quantized table beside the best float32 one of no fewer bytes, both chosen on
    validation; a line per backbone.
    """
    cells, lines = in_group(study.by_bytes, dataset, protocol), []
    for backbone, own in cells.groupby("backbone", sort=False):
        parts = []
        for budget, floats in own[own["limit"].notna()].groupby("budget", sort=False):
            # The float32 numbers alone take as many bytes as the whole quantized file.
            per_entity = 4 * floats["limit"] / floats["entities"]
            packed = own[
                (own["limit_bytes"] / own["entities"]).sub(per_entity.iloc[0]).abs() < 0.05
            ]
            best = [
                leaders(block).groupby("method")["validation"].mean().idxmax()
                for block in (packed, floats)
                if len(block)
            ]
            if len(best) < 2:
                continue
            chosen = [
                block[block["method"] == name]
                for name, block in zip(best, (packed, floats), strict=True)
            ]
            whole = own[own["method"] == "full"]
            seeds = set(chosen[0]["seed"]) & set(chosen[1]["seed"]) & set(whole["seed"])
            if not seeds:
                continue
            ceiling, *values = [
                rows.loc[rows["seed"].isin(seeds), METRIC].mean() for rows in (whole, *chosen)
            ]
            found, shares = (
                between(study, *chosen, metric=METRIC),
                [value / ceiling for value in values],
            )
            parts.append(
                f"{per_entity.iloc[0]:.1f} bytes per entity ({budget}): {best[0]} {shares[0]:.0%} of the full table's NDCG@20 "
                f"against {shares[1]:.0%} ({best[1]}), difference {found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            )
        if parts:
            where = f"{dataset}, protocol {protocol}, {backbone}; best on validation, 95 % intervals over users"
            lines.append(
                f"**The same bytes, quantized or float32** ({where}): " + "; ".join(parts) + "."
            )
    return lines


def area_findings(study: Results) -> str:
    """Markdown: the method with the largest area under its curve and its lead over the other kind,
    a sentence per backbone.
    """
    lines = []
    for dataset, protocol, _ in groups(study):
        for panel in panels(study, dataset, protocol):
            where = f"{dataset}, protocol {protocol}, {panel.backbone}; best on validation, 95 % intervals over users"
            if says := _area(panel):
                lines.append(f"- **Area under the curve** ({where}): {says}")
    return "\n".join(lines) or "No two methods have curves over the same range yet."


def _area(panel: Panel) -> str | None:
    found = areas(panel)
    if panel.span is None or len(found) < 2:
        return None
    best = found.iloc[0]
    low, high = (2**end for end in panel.span)
    says = (
        f"from {low:.1f} to {high:.1f} bytes per entity {best['method']} has the largest, on average {best['area']:.4f} NDCG@20 "
        f"({_share(best['relative'])})"
    )
    packed = found["method"].isin(IN_BYTES)
    others = found[~packed] if packed.iloc[0] else found[packed]
    if others.empty:
        return f"{says}; no other kind of table covers this range."
    kind = "float32" if packed.iloc[0] else "quantized or hashed"
    rival = others.iloc[0]
    difference, *ends = lead(panel, best["method"], rival["method"])
    return (
        f"{says}, {difference:+.4f} [{ends[0]:+.4f}, {ends[1]:+.4f}] over {rival['method']}, the best {kind} one "
        f"({_share(rival['relative'])})."
    )


def _share(relative: float) -> str:
    return (
        f"{relative:.0%} of the full table's"
        if relative == relative
        else "the full table is missing"
    )


def _findings(study: Results, dataset: str, protocol: str) -> list[str]:
    where = f"{dataset}, protocol {protocol}"
    lines = _bytes(study, dataset, protocol)
    opponents = {
        None: "its best competitor (chosen on validation)",
        "powerlaw": "the tuned power-law rule",
        "bet-random": "random selection",
        "nested": "the search that scores actions by a nested model, without fine-tuning",
    }
    for opponent, name in opponents.items():
        tests = compare(study, METRIC, opponent=opponent)
        tests = in_group(tests, dataset, protocol) if len(tests) else tests
        if len(tests):
            difference = tests["difference"]
            # Wilcoxon's test looks at ranks, the interval at the mean that is reported: both must
            # say so.
            significant = tests["p_holm"] < SIGNIFICANT
            above, below = (
                int((significant & (tests["low"] > 0)).sum()),
                int((significant & (tests["high"] < 0)).sum()),
            )
            pairs = f"{len(tests)} {'pair' if len(tests) == 1 else 'pairs'} of backbone and budget"
            lines.append(
                f"**BET against {name}** ({where}): mean difference in NDCG@20 {difference.mean():+.4f} over {pairs}, "
                f"from {difference.min():+.4f} to {difference.max():+.4f}; BET is ahead in "
                f"{int((difference > 0).sum())}, significantly in {above}, and significantly behind in {below}."
            )
    lines += statements(study, dataset, protocol)
    cells = in_group(study.main, dataset, protocol)
    cells = cells[cells["finished"]]
    for backbone, own in cells.groupby("backbone", sort=False):
        full = own.loc[own["method"] == "full", METRIC].mean()
        kept = []
        for budget, block in own[own["budget"] != "none"].groupby("budget", sort=False):
            block = leaders(block)
            best = block.groupby("method")["validation"].mean().idxmax()
            quality = block.loc[block["method"] == best, METRIC].mean()
            kept.append(f"{quality / full:.0%} at sparsity {budget} ({best})")
        if kept and full == full:
            shares = ", ".join(kept)
            lines.append(
                f"**{backbone}** ({where}): NDCG@20 relative to the full table's, best method on validation: {shares}."
            )
    return lines
