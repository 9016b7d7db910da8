"""Pictures of the walkthrough of a competitor, AMTL."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bet.actions import Action, Allocation, Budget
from bet.data import FrequencyOrder
from bet.methods.amtl import FrequencyGroups, TwinTable, at_least

SIDES = ("users", "items")


def plot_choice(table: TwinTable, groups: FrequencyGroups, order: FrequencyOrder) -> Figure:
    """P(k >= j): how likely each column is kept, by training frequency; the line is the size that
    the hard choice takes now.
    """
    keep = at_least(table.choice()).detach().cpu().numpy()  # (g, d_max)
    figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), sharey=True)
    colors = ScalarMappable(Normalize(0, 1), "viridis")
    for axis, side, frequency, rows in zip(
        axes, SIDES, _frequencies(order), _sides(groups, order), strict=True
    ):
        by_group = np.zeros(len(groups.counts))
        by_group[groups.group[rows]] = frequency
        own = np.unique(groups.group[rows])[::-1]  # groups come most frequent first
        x, y = by_group[own], np.arange(1, keep.shape[1] + 1)
        axis.pcolormesh(
            x + 1, y, keep[own].T, shading="nearest", norm=colors.norm, cmap=colors.cmap
        )
        axis.step(
            x + 1, table.choice().argmax(1).cpu().numpy()[own] + 1, color="white", linewidth=1.2
        )
        axis.set(xscale="log", xlabel=f"training frequency of {side} + 1")
        axis.xaxis.set_minor_formatter(NullFormatter())
    highest = np.flatnonzero((keep > 0.01).any(axis=0)).max() + 1
    axes[0].set(ylabel="column j", ylim=(0.5, min(keep.shape[1], highest + 2) + 0.5))
    figure.colorbar(colors, ax=axes, label="P(k >= j)")
    return figure


def _frequencies(order: FrequencyOrder) -> tuple[np.ndarray, np.ndarray]:
    return order.user_frequency, order.item_frequency


def _sides(groups: FrequencyGroups, order: FrequencyOrder) -> tuple[slice, slice]:
    return slice(None, order.n_users), slice(order.n_users, None)


def totals(table: TwinTable, sizes: np.ndarray, budget: Budget) -> pd.DataFrame:
    """Columns of the hard choice and of ``sizes`` (n,) beside the budget."""
    rows = {
        "hard choice": int(table.sizes.sum(dtype=np.int64)),
        "projected": int(sizes.sum(dtype=np.int64)),
        "budget": budget.target,
    }
    return pd.DataFrame(
        {
            "columns": rows,
            "mean size": {name: round(value / budget.n, 2) for name, value in rows.items()},
        }
    )


def plot_sizes(actions: dict[str, np.ndarray], order: FrequencyOrder) -> Figure:
    """Sizes (n,) by label, against frequency rank."""
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.8), sharey=True)
    for axis, side, ids, attribute in zip(
        axes, SIDES, (order.users, order.items), ("user_sizes", "item_sizes"), strict=True
    ):
        for label, sizes in actions.items():
            own = getattr(Action(Allocation.from_sizes(sizes), order.n_users), attribute)[ids]
            axis.plot(np.arange(1, len(ids) + 1), own, drawstyle="steps-post", label=label)
        axis.set(xscale="log", xlabel=f"frequency rank of {side}")
    axes[0].set_ylabel("size (columns kept)")
    axes[1].legend(fontsize=7)
    return figure
