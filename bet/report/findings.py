"""The report's opening: five answers, computed from the records; and what else they say."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pandas as pd

from bet.analysis.answers import best_tables, best_to_serve, budget_use, training_ends
from bet.analysis.paired import MARGIN
from bet.analysis.published import beside_published, has_published
from bet.analysis.results import METRIC, TO_SERVE, Group, Results
from bet.analysis.statistics import interval_of_mean
from bet.analysis.summaries import SETTING
from bet.report.duels import (
    do_our_methods_pay,
    does_bet_beat_rules,
    does_the_predictor_help,
    strongest,
)
from bet.report.finding import (
    Clause,
    Finding,
    combined,
    deciding,
    listed,
    number_of_seeds,
    place,
)
from bet.report.opponents import RULES
from bet.report.style import BACKBONES, on_backbone
from bet.report.table import decimal, interval, of_full

SIZES = (12.8, 25.6, 51.2)  # bytes per entity to serve that the opening answers for
RECALL = "recall@20"  # of which the paper's text speaks


def findings(results: Results) -> list[Finding]:
    """The five answers, in the order in which a reader asks, without those that have no records;
    before them what is missing.
    """
    answers = (
        is_it_complete(results),
        does_bet_beat_rules(results),
        does_the_predictor_help(results),
        what_serves_best(results),
        how_close_to_published(results),
        what_to_do(results),
    )
    return [answer for answer in answers if answer]


def further_findings(results: Results) -> list[Finding]:
    """What else the records say, and how far to trust it."""
    if not results.records:
        return [Finding("Is there an answer?", "No cell has finished yet; nothing can be said.")]
    best = which_table_is_best(results)
    return [*do_our_methods_pay(results), *([best] if best else []), *how_far_to_trust(results)]


def is_it_complete(results: Results) -> Finding | None:
    """How much has not run; None where all has, or nothing."""
    if not results.missing or not results.records:
        return None
    answer = (
        f"No: {len(results.missing)} of {len(results.cells)} cells have not run (a cell is one "
        "method on one backbone at one budget); the answers are of the rest."
    )
    return Finding("Is the study complete?", answer)


def opening_group(results: Results) -> Group:
    """Of the first dataset, the group whose answer to what serves best is in the sentence."""
    first = results.groups[0].dataset
    groups = [group for group in results.groups if group.dataset == first]
    return deciding({group: _small(results, group) for group in groups})


def what_serves_best(results: Results) -> Finding | None:
    """Per dataset: the best that fits at every size to serve of ``SIZES``."""
    clauses = []
    for group in results.groups:
        data = best_to_serve(results, group)
        shown = data[data["at most"].isin(SIZES)]
        if len(shown):
            parts = [
                f"{on_backbone(*pair)} at {listed(map(str, sizes['at most']))}{_shares(sizes)}"
                for pair, sizes in shown.groupby(["method", "backbone"], sort=False)
            ]
            points = tuple(f"{group}: {_within(row)}" for row in data.to_dict("records"))
            text = f"on {place(group)} {listed(parts)}"
            clauses.append(Clause(group, text, points, _small(results, group)))
    question = f"What is best at {listed(map(str, SIZES))} bytes per entity to serve?"
    shares = (best_to_serve(results, group)["of full"] for group in results.groups)
    known = any(share.notna().any() for share in shares)
    ending = ", in brackets the share of the full LightGCN's NDCG@20" if known else ""
    return combined(question, clauses, f"{ending}.")


def how_close_to_published(results: Results) -> Finding | None:
    """SU and BET beside the paper's, protocol merged where it has run, and whether training had
    ended.
    """
    question = "How close to the published numbers?"
    clauses = [_published(results, group) for group in results.groups if has_published(group)]
    if answer := combined(question, filter(None, clauses)):
        return answer
    if any(map(has_published, results.groups)) or not results.records:
        return None
    names = listed(dict.fromkeys(group.dataset for group in results.groups))
    return Finding(question, f"The paper has none for {names}.")


def what_to_do(results: Results) -> Finding | None:
    """Per dataset: the smallest size to serve at which the best is surely less than 1 % below the
    full LightGCN, or else less than 1 % below the best of all on validation; and whether to search
    sizes.
    """
    clauses = []
    for group in results.groups:
        data = best_to_serve(results, group).dropna(subset=["of full", "full low"])
        if data.empty:
            continue
        enough = data[data["full low"] > -MARGIN * data[METRIC] / data["of full"]]
        near = data[data["validation"] >= (1 - MARGIN) * data["validation"].max()]
        row = (enough if len(enough) else near).to_dict("records")[0]
        share = of_full(row["of full"], row["equivalent"])
        text = (
            f"on {place(group)} serve {on_backbone(row['method'], row['backbone'])}: in "
            f"{row[TO_SERVE]:.1f} bytes per entity it has {share} of the NDCG@20 of the full "
            f"LightGCN, which takes {row['full ' + TO_SERVE]:.0f}"
        )
        unsure = "; of the best of every size none is surely within 1 % of it"
        text += "" if len(enough) else unsure
        points = [f"{group}: NDCG@20 minus the full LightGCN's is {_beside_full(row)}."]
        if rules := strongest(results, group, "bet", RULES):
            level = [duels.rival for duels in rules if duels.is_better is None]
            ahead = [duels.rival for duels in rules if duels.is_better is False]
            if ahead:
                text += f"; leave the paper's search of sizes out, {ahead[0]} does better"
            elif level:
                text += f"; the paper's search of sizes is not surely better than {level[0]}"
            else:
                text += "; the paper's search of sizes pays"
        clauses.append(Clause(group, text, tuple(points), _small(results, group)))
    return combined("What should an engineer do?", clauses)


def which_table_is_best(results: Results) -> Finding | None:
    """Per dataset, by table bytes: the best packed and the best float32 table; without datasets
    where only one kind has run.
    """
    clauses = []
    for group in results.groups:
        data = best_tables(results, group)
        if not (compared := int(data["packed"].notna().sum())):
            continue
        ahead, behind = int((data["low"] > 0).sum()), int((data["high"] < 0).sum())
        answer = f"quantized or coded tables at {ahead} of {compared} sizes"
        answer += f", float32 tables at {behind}" * (behind > 0)
        points = tuple(
            f"{group}, {BACKBONES[str(backbone)]}: {'; '.join(map(_at_size, sizes.itertuples()))}."
            for backbone, sizes in data.groupby("backbone", sort=False)
        )
        clauses.append(Clause(group, f"on {place(group)} {answer}", points, compared))
    finding = combined("Which table is best, by the bytes of its file?", clauses)
    meaning = (
        "Of tables whose own bytes are limited, not the bytes to serve; chosen on validation; "
        "shares of the full table's NDCG@20, ≈: equivalent to it within 1 %."
    )
    return replace(finding, points=(meaning, *finding.points)) if finding else None


def how_far_to_trust(results: Results) -> list[Finding]:
    """Seeds, tests and budgets."""
    cells = results.by_bytes
    if cells.empty:
        return []
    seeds = cells.groupby(["dataset", "protocol", *SETTING])["seed"].nunique()
    count = number_of_seeds(seeds) + (" a setting" if seeds.nunique() > 1 else "")
    count += ", each with its own split" if seeds.max() > 1 else ""
    answers = [
        Finding(
            "How far to trust this?",
            f"The numbers come from {count}.",
            (
                "Significant means p < 0.05, adjusted by Holm, where seeds are resampled, then "
                "users: what another split, start or search would change is in it.",
                "Of a cell with one seed only users are resampled: that is not in it, and a small "
                "p says little about another seed.",
            ),
        )
    ]
    if len(used := budget_use(results)):
        over = f"{(used > 1).sum()} EXCEED it" if used.max() > 1 else "none exceeds it"
        answer = f"Of {len(used)} tables with a limit of parameters, {over}; each uses at least "
        answers.append(Finding("Are budgets kept?", f"{answer}{100 * used.min():.4g}% of it."))
    return answers


def _small(results: Results, group: Group) -> int:
    """How many finished cells fit within the largest of ``SIZES``."""
    return int((group.of(results.by_bytes)[TO_SERVE] <= SIZES[-1]).sum())


def _shares(sizes: pd.DataFrame) -> str:
    """``(98%, 100% ≈)``; nothing without a full table."""
    shares = [of_full(*pair) for pair in zip(sizes["of full"], sizes["equivalent"], strict=True)]
    return f" ({', '.join(shares)})" if all(shares) else ""


def _within(row: dict[Hashable, Any]) -> str:
    """What the row of ``best_to_serve`` says of its size."""
    rival, where = row["rival"], row["rival backbone"]
    if pd.isna(rival):
        beside = "no searched or float32 table fits"
    elif (rival, where) == (row["method"], row["backbone"]):
        beside = "it is the best searched or float32 table as well"
    else:
        beside = f"best searched or float32 table: {on_backbone(rival, where)} with "
        beside += f"{decimal(row['rival ' + METRIC])}, the difference is "
        beside += f"{row['difference']:+.4f} {interval(row['low'], row['high'])}"
        if row["low"] <= 0:
            beside += ", ahead on test" if row["high"] < 0 else ", level on test"
    share = of_full(row["of full"], row["equivalent"])
    share = f", {share} of the full LightGCN's ({_beside_full(row)})" if share else ""
    return (
        f"Within {row['at most']}: {on_backbone(row['method'], row['backbone'])} takes "
        f"{row[TO_SERVE]:.1f} ({row['holds']}) and has Recall@20 {decimal(row['recall@20'])}, "
        f"NDCG@20 {decimal(row[METRIC])}{share}; {beside}."
    )


def _beside_full(row: dict[Hashable, Any]) -> str:
    return f"{row['full difference']:+.4f} {interval(row['full low'], row['full high'])}"


def _at_size(row: Any) -> str:
    floats = of_full(row.float32_share, row.float32_equivalent)
    if pd.isna(row.packed):
        return f"{row.float32} keeps {floats} in {row.bytes:.1f} bytes"
    packed = of_full(row.packed_share, row.packed_equivalent)
    return (
        f"{row.packed} keeps {packed} in {row.bytes:.1f} bytes (float32: {row.float32}, {floats})"
    )


def _published(results: Results, group: Group) -> Clause | None:
    data = beside_published(results, group)
    data = data[(data["metric"] == RECALL) & data["difference"].notna()]
    data = data[data["method"].isin(["bet", "su"])].sort_values("budget")
    ends, parts, points = training_ends(results, group), [], []
    for backbone, numbers in data.groupby("backbone", sort=False):
        gaps: list[str] = []
        where = f"{group}, {BACKBONES[str(backbone)]}"
        for method, of_method in numbers.groupby("method"):
            pairs = ", ".join(_pair(results, group, row) for row in of_method.itertuples())
            gap = (of_method["difference"] / of_method["published"]).mean()
            name = {"bet": "BET", "su": "equal sizes"}[str(method)]
            side = f"{abs(gap):.0%} {'above' if gap > 0 else 'below'}"
            side += "" if gaps else " the paper's"
            gaps.append(f"{side} for {name}")
            points.append(f"{where}: {method} {pairs} ({gap:+.0%} on average).")
        parts.append(f"with {BACKBONES[str(backbone)]} it is {listed(gaps)}")
        if backbone in ends.index:
            models, best, gain = ends.loc[backbone]
            ended = "training had not ended: in" if 2 * best > models else "in"
            points.append(
                f"{where}: {ended} {best:.0f} of {models:.0f} models the last epoch was the best "
                f"on validation, and the last interval between evaluations added {gain:.1%}."
            )
    if not parts:
        return None
    text = f"Recall@20 on {place(group)}: {', '.join(parts)}"
    return Clause(group, text, tuple(points), group.protocol == "merged")


def _pair(results: Results, group: Group, row: Any) -> str:
    """``.1234 [.1200, .1268] against .1300 at 90%``, the interval where users are known."""
    cells = group.of(results.main)
    names = [row.backbone, row.method, row.budget]
    cells = cells[(cells[["backbone", "method", "budget"]] == names).all(axis=1)]
    ends = interval_of_mean(results, cells[cells["finished"]], metric=RECALL)
    sure = f" [{decimal(ends[0])}, {decimal(ends[1])}]" if ends else ""
    return f"{decimal(row.ours)}{sure} against {decimal(row.published)} at {row.budget}"
