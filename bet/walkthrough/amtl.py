"""The table and the figure of notebook 06, a competitor: AMTL."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bet.actions import Budget
from bet.data import FrequencyOrder
from bet.methods.amtl import FrequencyGroups, TwinTable, at_least


def plot_choice(table: TwinTable, groups: FrequencyGroups, order: FrequencyOrder) -> Figure:
    """P(k >= j): how likely each column is kept, by training frequency; the line is the size that
    the hard choice takes now.
    """
    keep = at_least(table.choice()).detach().cpu().numpy()  # (g, d_max)
    chosen = table.choice().argmax(1).cpu().numpy() + 1  # (g,)
    columns = np.arange(1, keep.shape[1] + 1)
    figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), sharey=True)
    colors = ScalarMappable(Normalize(0, 1), "viridis")
    sides = (
        ("users", order.user_frequency, groups.group[: order.n_users]),
        ("items", order.item_frequency, groups.group[order.n_users :]),
    )
    for axis, (side, frequency, group) in zip(axes, sides, strict=True):
        present, first = np.unique(group, return_index=True)
        present, first = present[::-1], first[::-1]  # groups come most frequent first
        x = frequency[first] + 1  # a logarithmic axis has no zero
        mesh = {"shading": "nearest", "norm": colors.norm, "cmap": colors.cmap}
        axis.pcolormesh(x, columns, keep[present].T, **mesh)
        axis.step(x, chosen[present], color="white", linewidth=1.2)
        axis.set(xscale="log", xlabel=f"training frequency of {side} + 1")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter(NullFormatter())
    highest = np.flatnonzero((keep > 0.01).any(axis=0)).max() + 1
    axes[0].set(ylabel="column j", ylim=(0.5, min(len(columns), highest + 2) + 0.5))
    figure.colorbar(colors, ax=axes, label="P(k ≥ j): column j is kept")
    return figure


def totals_table(table: TwinTable, sizes: np.ndarray, budget: Budget) -> pd.DataFrame:
    """Columns of the hard choice and of ``sizes`` (n,) beside the budget."""
    columns = pd.Series(
        {
            "hard choice": int(table.sizes.sum(dtype=np.int64)),
            "projected": int(sizes.sum(dtype=np.int64)),
            "budget": budget.target,
        }
    )
    return pd.DataFrame({"columns": columns, "mean size": (columns / budget.n).round(2)})
