"""What other readings of the paper would have given, where that can be computed from the records or
in seconds.
"""

import numpy as np
import pandas as pd

from bet.actions import parse_budget
from bet.actions.published import BudgetUse, formula_sizes
from bet.analysis.results import Results
from bet.data import FrequencyOrder
from bet.report.tables import MISSING, Table
from bet.seeds import numpy_generator

DRAWS = 200


def published_formula(study: Results) -> Table:
    """How far actions of the published formula (floor, then raise zeros to one) miss the budgets of
    the study.
    """
    caption = (
        f"{DRAWS} actions drawn by the published formula at each budget: how many exceed it, the largest excess, and what the "
        "others leave unused on average. Ours use the budget exactly."
    )
    rows = []
    for (dataset, budget), (n_users, n_items, d_max) in _shapes(study).items():
        order = FrequencyOrder(np.zeros(n_users, dtype=np.int64), np.zeros(n_items, dtype=np.int64))
        limit, rng = parse_budget(budget, order.n, d_max), numpy_generator(0, "published")
        use = BudgetUse.of(
            [int(formula_sizes(order, limit, rng).sum()) for _ in range(DRAWS)], limit
        )
        rows.append(
            {
                "dataset": dataset,
                "sparsity": budget,
                "over budget": use.over,
                "largest excess": use.largest_excess,
                "unused, mean": use.mean_unused,
            }
        )
    data = pd.DataFrame(rows)
    if not rows:
        return Table("published_formula", caption, pd.DataFrame({"result": [MISSING]}), data)
    text = data.set_index(["dataset", "sparsity"])
    return Table("published_formula", caption, text.map(lambda share: f"{share:.1%}"), data)


def _shapes(study: Results) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(dataset, budget) -> users, items and columns of the full table, of the finished cells with a
    sparsity for a budget.
    """
    found = {}
    for record in study.records:
        cell, data = record["cell"], record["data"]
        if (cell["budget"] or "").endswith("%"):
            found[cell["dataset"], cell["budget"]] = (
                data["users"],
                data["items"],
                record["settings"]["d_max"],
            )
    return dict(sorted(found.items()))


def top_three(study: Results) -> Table:
    """Retraining three actions, as the published code does, instead of five, as the paper says."""
    caption = (
        "Selective retraining of the three fittest actions (published code) instead of five (paper): searches in which the winner "
        "on validation would be another, and the loss in validation quality, mean and largest."
    )
    rows = []
    for record in study.records:
        cell = record["cell"]
        if record["search"] is None or cell["protocol"] != "clean" or cell["iterations"]:
            continue
        ranked = sorted(record["search"]["retrained"], key=lambda row: (-row["fitness"], row["t"]))
        best = [max(row["quality"] for row in ranked[:top]) for top in (3, 5)]
        rows.append(
            {
                "dataset": cell["dataset"],
                "backbone": cell["backbone"],
                "method": cell["method"],
                "loss": best[1] - best[0],
            }
        )
    data = pd.DataFrame(rows, columns=["dataset", "backbone", "method", "loss"])
    if not rows:
        return Table("top_three", caption, pd.DataFrame({"result": [MISSING]}), data)
    grouped = data.groupby(["dataset", "backbone", "method"], sort=False)["loss"]
    text = pd.DataFrame(
        {
            "searches": grouped.size(),
            "another winner": grouped.apply(lambda loss: int((loss > 0).sum())),
            "loss, mean": grouped.mean().map("{:.4f}".format),
            "loss, largest": grouped.max().map("{:.4f}".format),
        }
    )
    return Table("top_three", caption, text, data)
