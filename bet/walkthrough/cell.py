"""Figures of ``cell.ipynb``, from the record of one cell of the study: how it learned, what it
searched, the sizes and the budget it ended with.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bet.study.record import Record


def plot_learning_curve(record: Record) -> Figure | None:
    """Training loss and validation quality of the reported model against the epoch; None of a
    reference, which is not trained.
    """
    curve = record.learning_curve
    if not curve:
        return None
    epochs = [row.epoch for row in curve]
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.4))
    left.plot(epochs, [row.loss for row in curve], marker="o")
    left.set(xlabel="epoch", ylabel="BPR loss, L2 included")
    right.plot(epochs, [row.quality for row in curve], marker="o")
    best = max(curve, key=lambda row: row.quality)
    right.axvline(best.epoch, color="0.5", linestyle=":", label=f"kept: epoch {best.epoch}")
    right.set(xlabel="epoch", ylabel="quality on validation")
    right.legend(loc="lower right")
    return figure


def plot_sizes(record: Record) -> Figure | None:
    """Mean size against frequency rank, both sides, binned; and the budget per entity as a line.
    None without a table.
    """
    size, data = record.size, record.data
    if not size.parameters:
        return None
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.4), sharey=True)
    for axis, side in zip(axes, ("users", "items"), strict=True):
        binned = getattr(record.sizes, side)
        axis.plot(binned.rank, binned.size, marker=".", label=f"size of {side}")
        if size.limit:
            mean = size.limit / size.tables / (data.users + data.items)
            axis.axhline(mean, color="0.5", linestyle=":", label=f"budget per entity, {mean:.1f}")
        xlabel = f"frequency rank of {side} (1 = most frequent)"
        axis.set(xscale="log", xlabel=xlabel, ylim=(0, None))
        axis.legend()
    axes[0].set_ylabel("size (columns kept)")
    return figure


def plot_budget(record: Record) -> Figure | None:
    """Parameters of the table, its limit and the full table as bars; None without a table."""
    size = record.size
    if not size.parameters:
        return None
    bars = {"this table": size.parameters, "full table": size.full_parameters}
    if size.limit is not None:
        bars = {"this table": size.parameters, "budget": size.limit} | bars
    figure, axis = plt.subplots(figsize=(6.5, 0.5 + 0.4 * len(bars)))
    millions = [value / 1e6 for value in bars.values()]
    drawn = axis.barh(list(bars), millions, color=["C0", "C1", "0.7"])
    axis.bar_label(drawn, [f"{value:,}" for value in bars.values()], padding=3)
    axis.invert_yaxis()
    axis.set(xlabel="parameters (millions)")
    axis.margins(x=0.2)
    return figure


def plot_search(record: Record) -> Figure | None:
    """Fitness of every evaluated action by strategy, the best so far, and the predictor's loss;
    None without a search.
    """
    if record.search is None:
        return None
    iterations = record.search.iterations
    t = [row.t for row in iterations]
    fitness = np.array([row.fitness for row in iterations])
    losses = [row.predictor_loss for row in iterations]
    learns = losses[0] is not None
    figure, axes = plt.subplots(1, 2 if learns else 1, figsize=(6.5, 2.6), squeeze=False)
    left = axes[0, 0]
    left.step(t, np.maximum.accumulate(fitness), where="post", color="0.5", label="best so far")
    strategies = sorted({row.strategy for row in iterations})
    for strategy, marker in zip(strategies, "os^D", strict=False):
        chosen = [row for row in iterations if row.strategy == strategy]
        points = [row.t for row in chosen], [row.fitness for row in chosen]
        left.plot(*points, marker, label=strategy)
    left.set(xlabel="iteration t", ylabel="fitness (share of full quality)")
    left.legend(fontsize=7)
    if learns:
        axes[0, 1].plot(t, losses, marker="o")
        axes[0, 1].set(xlabel="iteration t", ylabel="predictor loss (squared error)", yscale="log")
    return figure
