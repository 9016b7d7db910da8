"""Figures of notebook 03: the shapes of actions, how the exact scale is found, and the budget."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bet.actions import FAMILIES, Action, Budget
from bet.data import FrequencyOrder


def plot_families(k: int, columns: int, d_max: int) -> Figure:
    """Target sizes of ``k`` entities that share ``columns``, in each family for four values of its
    parameter.
    """
    evenly = (np.arange(k)[::-1] + 0.5) / k  # as k uniform numbers are on average, largest first
    figure, axes = plt.subplots(1, len(FAMILIES), figsize=(9.0, 2.7), sharey=True)
    for axis, (name, family) in zip(axes, FAMILIES.items(), strict=True):
        for share in (0.005, 0.05, 0.3, 1.0):
            beta = share * family.beta_max
            values = family.quantile(evenly, beta)
            targets = values / values.sum() * columns
            axis.plot(np.arange(1, k + 1), targets, label=f"β = {beta:g}")
        axis.axhline(d_max, color="black", linestyle=":", label=f"d_max = {d_max}")
        axis.set(title=name, xscale="log", yscale="log", ylim=(0.1, 5 * d_max))
        axis.set(xlabel="frequency rank of items")
        axis.legend(fontsize=6, loc="lower left")
    axes[0].set_ylabel("target size (columns)")
    return figure


def plot_scale(values: np.ndarray, total: int, d_min: int, d_max: int) -> Figure:
    """The sum of the rounded sizes of ``values`` (k,) against the scale they are multiplied with;
    ``total`` is what they may sum to.
    """
    scales = np.linspace(0, 1.1 * d_max / values.min(), 3001)[1:]  # to where all have d_max
    sizes = np.clip(np.floor(scales[:, None] * values), d_min, d_max)  # (3000, k)
    figure, axis = plt.subplots(figsize=(5.6, 2.7))
    axis.plot(scales, sizes.sum(1), label="sum of clip(floor(s v), d_min, d_max)")
    axis.axhline(total, color="C3", linestyle="--", label=f"budget, {total} columns")
    axis.set(xlabel="scale s", ylabel="columns")
    axis.legend(loc="lower right", fontsize=8)
    return figure


def plot_budget_use(columns: Mapping[str, Sequence[int]], budget: Budget) -> Figure:
    """A histogram for each of ``columns``, by label the columns that actions use; right of the line
    the budget is broken.
    """
    shares = {label: 100 * np.asarray(used) / budget.total for label, used in columns.items()}
    spread = max(2.0, *(float(np.abs(used - 100).max()) for used in shares.values()))
    edges = np.linspace(100 - spread, 100 + spread, 62)  # 61 bins: the budget is in the middle one
    figure, axis = plt.subplots(figsize=(6.5, 2.7))
    for (label, used), hatch in zip(shares.items(), ("", "//"), strict=True):
        axis.hist(used, edges.tolist(), label=f"{label}, {len(used):,}", alpha=0.7, hatch=hatch)
    axis.axvline(100, color="black", linestyle=":", label="the budget")
    axis.set(xlabel="columns used (% of the budget)", ylabel="actions", yscale="log")
    axis.legend(loc="upper left", fontsize=8)
    return figure


def plot_mask(action: Action, order: FrequencyOrder, d_max: int) -> Figure:
    """The prefix mask of an action, rows by entity id and by frequency rank."""
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 3.2), sharey=True)
    orders = (("entity id", np.arange(order.n)), ("frequency rank", order.entities))
    for axis, (name, entities) in zip(axes, orders, strict=True):
        mask = np.arange(d_max) < action.sizes[entities][:, None]  # (n, d_max)
        axis.imshow(mask, aspect="auto", interpolation="nearest", cmap="Greys", vmax=1.5)
        border = {"color": "C3", "linestyle": "--", "label": "users above, items below"}
        axis.axhline(order.n_users - 0.5, **border)
        axis.set(title=f"rows by {name}", xlabel="column")
        axis.grid(False)
    axes[0].set_ylabel("row")
    axes[1].legend(loc="lower right")
    return figure
