"""Figures of one cell's record: how it learned, what it searched, the sizes and the budget it ended
with.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bet.study.record import Bins, Record

PER_MILLION = 1e-6


def plot_learning_curve(record: Record) -> Figure:
    """Training loss and validation quality of the reported model against the epoch."""
    curve = record.learning_curve
    epochs = [point.epoch for point in curve]
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.4))
    left.plot(epochs, [point.loss for point in curve], marker="o")
    left.set(xlabel="epoch", ylabel="BPR loss, L2 included")
    right.plot(epochs, [point.quality for point in curve], marker="o")
    best = max(curve, key=lambda point: point.quality)
    right.axvline(best.epoch, color="0.5", linestyle=":", label=f"kept: epoch {best.epoch}")
    right.set(xlabel="epoch", ylabel="quality on validation")
    right.legend(loc="lower right")
    return figure


def plot_sizes(record: Record) -> Figure:
    """Mean size against frequency rank, both sides, binned; and the budget per entity as a line."""
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.4), sharey=True)
    size, data = record.size, record.data
    for axis, side in zip(axes, ("users", "items"), strict=True):
        binned: Bins = getattr(record.sizes, side)
        axis.plot(binned.rank, binned.size, marker=".", label=f"size of {side}")
        if size.limit:
            mean = size.limit / size.tables / (data.users + data.items)
            axis.axhline(mean, color="0.5", linestyle=":", label=f"budget per entity, {mean:.1f}")
        axis.set(
            xscale="log", xlabel=f"frequency rank of {side} (1 = most frequent)", ylim=(0, None)
        )
        axis.legend()
    axes[0].set_ylabel("size (columns kept)")
    return figure


def plot_budget(record: Record) -> Figure:
    """Parameters of the table, its limit and the full table as bars."""
    size = record.size
    bars = {"this table": size.parameters, "full table": size.full_parameters}
    if size.limit is not None:
        bars |= {"budget": size.limit}
    bars = {name: bars[name] for name in ("this table", "budget", "full table") if name in bars}
    figure, axis = plt.subplots(figsize=(6.5, 0.5 + 0.4 * len(bars)))
    drawn = axis.barh(
        list(bars), [value * PER_MILLION for value in bars.values()], color=["C0", "C1", "0.7"]
    )
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
    for strategy, marker in zip(sorted({row.strategy for row in iterations}), "os^D", strict=False):
        chosen = [row for row in iterations if row.strategy == strategy]
        left.plot(
            [row.t for row in chosen], [row.fitness for row in chosen], marker, label=strategy
        )
    left.set(xlabel="iteration t", ylabel="fitness (share of full quality)")
    left.legend(fontsize=7)
    if learns:
        axes[0, 1].plot(t, losses, marker="o")
        axes[0, 1].set(xlabel="iteration t", ylabel="predictor loss (squared error)", yscale="log")
    return figure
