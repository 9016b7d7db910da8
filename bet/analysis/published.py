"""Our numbers beside the published ones (Tables 1 and 2 of the paper).

``published.csv`` holds the printed values; two evident misprints are repaired and say so in
``note``.
"""

from functools import cache
from pathlib import Path

import pandas as pd

from bet.analysis.results import METRICS, NO_BUDGET, Group, Results

OWN = "own"  # budget of a method as published, which chooses its own size


@cache
def published() -> pd.DataFrame:
    """One row per printed number: dataset, backbone, budget ("own": the method has none), method,
    metric, value, table, note.
    """
    return pd.read_csv(Path(__file__).with_name("published.csv"), keep_default_na=False)


def has_published(group: Group) -> bool:
    """Whether the paper has numbers for this dataset."""
    return bool((published()["dataset"] == group.dataset).any())


def beside_published(results: Results, group: Group) -> pd.DataFrame:
    """Every cell that we or the paper have: ours (mean over seeds), published, difference, seeds;
    methods without a budget once.
    """
    keys = ["backbone", "budget", "method", "metric"]
    cells = group.of(results.main).copy()
    cells.loc[(cells["budget"] == NO_BUDGET) & (cells["method"] != "full"), "budget"] = OWN
    ours = cells.melt([*keys[:3], "seed"], list(METRICS), "metric", "ours").dropna(subset="ours")
    ours = ours.groupby(keys)["ours"].agg(ours="mean", seeds="count")
    printed = published()
    printed = printed[printed["dataset"] == group.dataset]
    printed = printed[printed["backbone"].isin(cells["backbone"])].set_index(keys)
    printed = printed[["value", "reported_sparsity", "note"]].rename(columns={"value": "published"})
    both = ours.join(printed, how="outer").reset_index()
    both["difference"] = both["ours"] - both["published"]
    both.insert(0, "dataset", group.dataset)
    both.insert(1, "protocol", group.protocol)
    return both


def published_curves(group: Group, backbone: str, metric: str) -> dict[str, pd.Series]:
    """The paper's SU and BET by the share of parameters kept (%), for a picture.

    Only under protocol ``merged``, whose models see as much data as the paper's.
    """
    if group.protocol != "merged":
        return {}
    printed = published()
    printed = printed[(printed["dataset"] == group.dataset) & (printed["backbone"] == backbone)]
    printed = printed[printed["metric"] == metric]
    curves = {}
    for method in ("su", "bet"):
        values = printed[printed["method"] == method].set_index("budget")["value"]
        values.index = pd.Index([100.0 - float(budget.rstrip("%")) for budget in values.index])
        if len(values):
            curves[method] = values.sort_index()
    return curves
