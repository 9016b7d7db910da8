"""Tables and figures of notebook 02: the shapes of actions, and how they keep the budget."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bet.actions import FAMILIES, Action, Budget, allocate, sample_actions
from bet.actions.published import BudgetUse, published_sizes
from bet.data import FrequencyOrder
from bet.seeds import numpy_generator


def plot_families(order: FrequencyOrder, budget: Budget, seed: int) -> Figure:
    """Item sizes of four draws of every family, half of the budget for the items."""
    n_items = order.n - order.n_users
    columns = min(budget.target // 2, n_items * budget.d_max)
    figure, axes = plt.subplots(1, len(FAMILIES), figsize=(8.5, 2.5), sharey=True)
    for axis, (name, family) in zip(axes, FAMILIES.items(), strict=True):
        rng = numpy_generator(seed, "families", name)
        for _ in range(4):
            beta = rng.uniform(0, family.beta_max)
            values = family.quantile(np.sort(rng.uniform(1e-9, 1 - 1e-9, n_items)), beta)[::-1]
            sizes = allocate(values, columns, budget.d_min, budget.d_max)
            ranks = np.arange(1, n_items + 1)
            axis.plot(ranks, sizes, label=f"β = {beta:.2f}", drawstyle="steps-post")
        axis.set(title=name, xscale="log", xlabel="frequency rank of items")
        axis.legend(fontsize=7)
    axes[0].set_ylabel("size (columns kept)")
    return figure


def allocation_steps(values: Sequence[float], total: int, d_min: int, d_max: int) -> pd.DataFrame:
    """From target sizes to exact sizes, entity by entity: the target, what the published formula
    makes of it, and what ``allocate`` gives.
    """
    targets = np.asarray(values, dtype=np.float64)
    targets = targets / targets.sum() * total
    raised = np.maximum(np.floor(targets), d_min).astype(int)
    exact = allocate(targets, total, d_min, d_max)
    frame = pd.DataFrame(
        {"target size": targets.round(2), "published formula": raised, "exact": exact}
    )
    frame.index = pd.Index(range(1, len(targets) + 1), name="rank")
    frame.loc["sum"] = [total, raised.sum(), exact.sum()]
    return frame.astype({"published formula": int, "exact": int})


def draw_columns(order: FrequencyOrder, budget: Budget, seed: int, draws: int) -> pd.DataFrame:
    """Columns that ``draws`` actions of either sampler use: ``published`` (as the published code
    draws them) and ``exact``, one action per row.
    """
    rng = numpy_generator(seed, "published")
    published = [int(published_sizes(order, budget, rng).sum()) for _ in range(draws)]
    actions = sample_actions(order, budget, draws, numpy_generator(seed, "exact"))
    exact = [int(action.sizes.sum(dtype=np.int64)) for action in actions]
    return pd.DataFrame({"published": published, "exact": exact})


def budget_use_table(columns: pd.DataFrame, budget: Budget) -> pd.DataFrame:
    """How many actions of each sampler exceed the budget, by how much at most, and what the others
    leave unused on average.
    """
    table = {}
    for sampler in columns:
        use = BudgetUse.of(columns[sampler].tolist(), budget)
        table[sampler] = {
            "over budget": f"{use.over:.1%}",
            "largest excess": f"{use.largest_excess:.2%}",
            "unused where not over, mean": f"{use.mean_unused:.2%}",
        }
    return pd.DataFrame(table)


def plot_budget_use(columns: pd.DataFrame, budget: Budget) -> Figure:
    """Histogram of budget use; right of the line the budget is broken."""
    shares = columns / budget.total
    figure, axis = plt.subplots(figsize=(6.5, 2.6))
    spread = float(max(0.02, (shares - 1).abs().max().max()))
    # An odd number of bins: the budget is in the middle of one.
    edges = np.linspace(1 - spread, 1 + spread, 62).tolist()
    for sampler, hatch in (("published", ""), ("exact", "//")):
        label = f"{sampler}, {len(shares)} actions"
        axis.hist(shares[sampler], edges, label=label, alpha=0.7, hatch=hatch)
    axis.axvline(1.0, color="black", linestyle=":", label="the budget")
    axis.set(xlabel="columns used / budget", ylabel="actions", yscale="log")
    axis.legend(loc="upper left")
    return figure


def plot_mask(action: Action, order: FrequencyOrder, budget: Budget) -> Figure:
    """The prefix mask of an action, rows by entity id and by frequency rank."""
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 3.2), sharey=True)
    orders = (("entity id", np.arange(order.n)), ("frequency rank", order.entities))
    for axis, (name, entities) in zip(axes, orders, strict=True):
        mask = np.arange(budget.d_max) < action.sizes[entities][:, None]  # (n, d_max)
        axis.imshow(mask, aspect="auto", interpolation="nearest", cmap="Greys", vmax=1.5)
        border = {"color": "C3", "linestyle": "--", "label": "users above, items below"}
        axis.axhline(order.n_users - 0.5, **border)
        axis.set(title=f"rows by {name}", xlabel="column")
        axis.grid(False)
    axes[0].set_ylabel("entity")
    axes[1].legend(loc="lower right")
    return figure
