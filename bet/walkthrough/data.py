"""Tables and the figure of notebook 01: the data, its long tail, the split, what budgets leave."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bet.actions import parse_budget
from bet.data import FrequencyOrder, Interactions, Split

TENTH = 0.1  # of the entities of a side: the most frequent ones, of which the notebook speaks


def summarize(data: Interactions) -> pd.DataFrame:
    """Counts of a dataset as one column."""
    order = FrequencyOrder.of(data.matrix)
    by_user, by_item = order.sorted_users, order.sorted_items
    rows = {
        "users": f"{data.n_users:,}",
        "items": f"{data.n_items:,}",
        "interactions": f"{len(data):,}",
        "density": f"{len(data) / data.n_users / data.n_items:.2%}",
        "interactions per user (least, median, most)": _spread(by_user),
        "interactions per item (least, median, most)": _spread(by_item),
        "held by the most active tenth of users": f"{_held_by_tenth(by_user):.0%}",
        "held by the most popular tenth of items": f"{_held_by_tenth(by_item):.0%}",
    }
    return pd.DataFrame({data.name: rows})


def _spread(frequency: np.ndarray) -> str:
    return f"{frequency.min()}, {np.median(frequency):g}, {frequency.max()}"


def _held_by_tenth(frequency: np.ndarray) -> float:
    """Share of the interactions that belong to the most frequent tenth of a side; ``frequency`` by
    rank.
    """
    largest = frequency[: max(1, int(TENTH * len(frequency)))]
    return float(largest.sum() / frequency.sum())


def split_table(split: Split) -> pd.DataFrame:
    """Interactions and users of the three parts and of the merged training data."""
    parts = {
        "train": split.train,
        "validation": split.validation,
        "test": split.test,
        "train + validation": split.merged(),
    }
    total = split.train.nnz + split.validation.nnz + split.test.nnz
    rows = {}
    for name, part in parts.items():
        rows[name] = {
            "interactions": part.nnz,
            "share": f"{part.nnz / total:.1%}",
            "users": int((np.diff(part.indptr) > 0).sum()),
        }
    return pd.DataFrame(rows).T


def budget_table(n: int, d_max: int, sparsities: Sequence[str]) -> pd.DataFrame:
    """What each sparsity leaves of a table of ``n`` entities and ``d_max`` columns."""
    totals = {"full": n * d_max} | {text: parse_budget(text, n, d_max).total for text in sparsities}
    rows = {}
    for name, total in totals.items():
        rows[name] = {
            "parameters": f"{total:,}",
            "kB in float32": f"{4 * total / 1000:,.0f}",
            "columns per entity": f"{total / n:.2f}",
        }
    return pd.DataFrame(rows).T


def plot_long_tail(data: Interactions) -> Figure:
    """Frequency against rank of users and items, both axes logarithmic."""
    order = FrequencyOrder.of(data.matrix)
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.6), sharey=True)
    sides = (("users", order.sorted_users), ("items", order.sorted_items))
    for axis, (side, frequency) in zip(axes, sides, strict=True):
        ranks = np.arange(1, len(frequency) + 1)
        axis.plot(ranks, frequency, drawstyle="steps-post", label=side)
        axis.axvline(TENTH * len(ranks), color="0.5", linestyle=":", label="most frequent tenth")
        axis.set(xscale="log", yscale="log", xlabel=f"frequency rank of {side}")
        axis.legend(loc="lower left")
    axes[0].set_ylabel("interactions")
    return figure
