"""Our numbers beside the published ones (Tables 1 and 2 of the paper), and the published sampler.

``published.csv`` holds the printed values; two evident misprints are repaired, see ``note``.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bet.actions import parse_budget
from bet.actions.published import BudgetUse, formula_sizes
from bet.analysis.results import METRICS, NO_BUDGET, Group, Results
from bet.data import FrequencyOrder
from bet.seeds import numpy_generator

DRAWS = 200  # of the published formula, at every budget
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
    printed = printed[(printed["metric"] == metric) & printed["method"].isin(["su", "bet"])]
    printed = printed.assign(kept=100 - printed["budget"].str.rstrip("%").astype(float))
    by_method = printed.set_index("kept").groupby("method", sort=False)["value"]
    return {str(method): values.sort_index() for method, values in by_method}


def formula_use(results: Results) -> pd.DataFrame:
    """How ``DRAWS`` actions of the paper's formula use every sparsity of the study: share over
    budget, largest excess and mean unused, relative to the budget.
    """
    shapes, rows = {}, []
    for record in results.records:
        if record.cell.budget and record.cell.budget.endswith("%"):
            shape = (record.data.users, record.data.items, record.settings.d_max)
            shapes[record.cell.dataset, record.cell.budget] = shape
    for (dataset, sparsity), (n_users, n_items, d_max) in sorted(shapes.items()):
        # How many columns are used does not depend on who is frequent.
        order = FrequencyOrder(np.zeros(n_users, dtype=np.int64), np.zeros(n_items, dtype=np.int64))
        budget, rng = parse_budget(sparsity, order.n, d_max), numpy_generator(0, "published")
        columns = [int(formula_sizes(order, budget, rng).sum()) for _ in range(DRAWS)]
        use = BudgetUse.of(columns, budget)
        rows.append((dataset, sparsity, use.over, use.largest_excess, use.mean_unused))
    names = ["dataset", "sparsity", "over budget", "largest excess", "unused, mean"]
    return pd.DataFrame(rows, columns=names)
