"""Our numbers beside the published ones (BET, Tables 1 and 2), cell by cell.

``published.csv`` holds the printed values; two evident misprints are repaired and say so in
``note``.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from bet.analysis.results import METRICS, Results, in_group
from bet.report.tables import MISSING, SHORT, Table, mean_sd, own_sparsity

TABLE_1 = (
    "full",
    "esapn",
    "optembed",
    "amtl",
    "magnitude",
    "pep",
    "su",
    "sr",
    "powerlaw",
    "ciess",
    "bet",
)
TABLE_2 = {"bet-random": "random", "bet-simple": "simple (sizes only)", "bet": "DeepSets"}


@cache
def published() -> pd.DataFrame:
    """One row per printed number: dataset, backbone, budget ("own": the method has none), method,
    metric, value, table, note.
    """
    return pd.read_csv(Path(__file__).with_name("published.csv"), keep_default_na=False)


def has_published(dataset: str) -> bool:
    """Whether the paper has numbers for this dataset."""
    return bool((published()["dataset"] == dataset).any())


def beside_published(study: Results, dataset: str, protocol: str) -> pd.DataFrame:
    """Every cell that we or the paper have: ours (mean over seeds), published, difference, seeds;
    methods without a budget once.
    """
    keys = ["backbone", "budget", "method", "metric"]
    cells = in_group(study.main, dataset, protocol).copy()
    cells.loc[(cells["budget"] == "none") & (cells["method"] != "full"), "budget"] = "own"
    ours = cells.melt([*keys[:3], "seed"], list(METRICS), "metric", "ours").dropna(subset="ours")
    ours = (
        ours.groupby(keys)["ours"]
        .agg(["mean", "count"])
        .rename(columns={"mean": "ours", "count": "seeds"})
    )
    printed = published()
    printed = printed[(printed["dataset"] == dataset) & printed["backbone"].isin(cells["backbone"])]
    printed = printed.set_index(keys)[["value", "reported_sparsity", "note"]].rename(
        columns={"value": "published"}
    )
    both = ours.join(printed, how="outer").reset_index()
    both["difference"] = both["ours"] - both["published"]
    both.insert(0, "dataset", dataset)
    both.insert(1, "protocol", protocol)
    return both


def table_1(study: Results, dataset: str, protocol: str, metric: str, suffix: str = "") -> Table:
    """Methods x backbones x budgets: ours, published, and the difference (Table 1)."""
    caption = (
        f"{SHORT[metric]} on {dataset}, ours under protocol {protocol} beside Table 1 of the paper: ours, published, difference. "
        "full, powerlaw, magnitude, amtl: not in the paper. Rows (own): without a budget, at the sparsity that the method "
        "reached; their one result is repeated. The paper's split, seeds and training length are not known. Two evident "
        "misprints of the paper are repaired, see the CSV."
    )
    name = f"published_{metric.replace('@', '_')}{suffix}"
    return _table(
        study, dataset, protocol, metric, {method: method for method in TABLE_1}, name, caption
    )


def table_2(study: Results, dataset: str, protocol: str, metric: str, suffix: str = "") -> Table:
    """How the next action is selected: ours, published, and the difference (Table 2)."""
    caption = (
        f"Selection of actions, {SHORT[metric]} on {dataset}, ours under protocol {protocol} beside Table 2 of the paper: ours, "
        "published, difference."
    )
    name = f"published_selection_{metric.replace('@', '_')}{suffix}"
    return _table(study, dataset, protocol, metric, TABLE_2, name, caption, ["lightgcn"])


def _table(
    study: Results,
    dataset: str,
    protocol: str,
    metric: str,
    methods: dict[str, str],
    name: str,
    caption: str,
    backbones: Sequence[str] | None = None,
) -> Table:
    data = beside_published(study, dataset, protocol)
    data = data[data["method"].isin(methods)]
    cells = in_group(study.main, dataset, protocol)
    budgets = [budget for budget in dict.fromkeys(cells["budget"]) if budget != "none"]
    own = data[data["metric"] == metric].set_index(["backbone", "method", "budget"])
    rows, index = [], []
    for backbone in backbones or dict.fromkeys(cells["backbone"]):
        block = cells[cells["backbone"] == backbone]
        for method, label in methods.items():
            for free in (False, True):
                kind = ("none" if method == "full" else "own") if free else None
                planned = (
                    (block["method"] == method) & ((block["budget"] == "none") == free)
                ).any()
                printed = any(
                    key[:2] == (backbone, method) and (key[2] in ("none", "own")) == free
                    for key in own.index
                )
                if not planned and not printed:
                    continue
                row = []
                for budget in budgets:
                    key = (backbone, method, kind or budget)
                    found = (
                        own.loc[key]
                        if key in own.index
                        else pd.Series({"ours": float("nan"), "published": float("nan")})
                    )
                    ours = mean_sd(pd.Series([found["ours"]], dtype=float))
                    row += [ours if planned else "", _printed(found["published"])]
                    row.append(
                        f"{found['difference']:+.4f}" if pd.notna(found.get("difference")) else ""
                    )
                rows.append(row)
                index.append(
                    (
                        backbone,
                        label + (_own_label(block, own, backbone, method) if kind == "own" else ""),
                    )
                )
    columns = pd.MultiIndex.from_product(
        [[f"sparsity {b}" for b in budgets], ["ours", "paper", "diff."]]
    )
    if not rows:
        return Table(name, caption, pd.DataFrame({"result": [MISSING]}), data)
    text = pd.DataFrame(
        rows, pd.MultiIndex.from_tuples(index, names=["backbone", "method"]), columns
    )
    return Table(name, caption, text, data)


def _own_label(cells: pd.DataFrame, data: pd.DataFrame, backbone: str, method: str) -> str:
    """The sparsity reached without a budget, ours and the paper's."""
    key = (backbone, method, "own")
    printed = data.loc[key, "reported_sparsity"] if key in data.index else float("nan")
    paper = (
        f"; paper {float(printed):.0f}%"
        if pd.notna(pd.to_numeric(printed, errors="coerce"))
        else ""
    )
    return f" ({own_sparsity(cells, method)}{paper})"


def _printed(value: float) -> str:
    return f"{value:.4f}".removeprefix("0") if pd.notna(value) else ""


def statements(study: Results, dataset: str, protocol: str) -> list[str]:
    """One sentence per backbone: how SU and BET compare with the paper's at every budget."""
    if not has_published(dataset):
        return []
    data = beside_published(study, dataset, protocol)
    data = data[
        (data["metric"] == "recall@20")
        & data["method"].isin(["su", "bet"])
        & data["difference"].notna()
    ]
    lines = []
    for backbone, own in data.groupby("backbone", sort=False):
        parts = [
            f"{method} {', '.join(_against(row) for row in block.sort_values('budget').itertuples())}"
            for method, block in own.groupby("method")
        ]
        where = f"{dataset}, protocol {protocol}, Recall@20, ours against published"
        lines.append(f"**{backbone} beside the paper** ({where}): {'; '.join(parts)}.")
    return lines + _convergence(study, dataset, protocol)


def _convergence(study: Results, dataset: str, protocol: str) -> list[str]:
    """Whether training had ended to improve, per backbone: one of the reasons why numbers differ
    from the paper's.
    """
    cells = in_group(study.main, dataset, protocol)
    lines = []
    for backbone, own in cells.groupby("backbone", sort=False):
        curves = [
            record["learning_curve"] for record in study.records if record["cell_id"] in own.index
        ]
        curves = [curve for curve in curves if len(curve) > 1]
        if curves:
            gain = sum(curve[-1]["quality"] / curve[-2]["quality"] - 1 for curve in curves) / len(
                curves
            )
            last = sum(max(curve, key=lambda row: row["quality"]) is curve[-1] for curve in curves)
            lines.append(
                f"**Training length of {backbone}** ({dataset}, protocol {protocol}): in {last} of {len(curves)} reported models "
                f"the last epoch was the best on validation, and the last interval between evaluations added {gain:.1%} of quality "
                "on average."
            )
    return lines


def _against(row) -> str:
    return f"{_printed(row.ours)} against {_printed(row.published)} at {row.budget}"
