"""Figures of ``cell.ipynb``, from the record of one cell of the study: how it learned, what it
searched, the sizes and the budget it ended with.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bet.report.table import decimal
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
        label = "mean size" if side == "users" else None
        axis.plot(binned.rank, binned.size, marker=".", label=label)
        if size.limit:
            mean = size.limit / size.tables / (data.users + data.items)
            label = label and f"budget per entity, {mean:.1f}"
            axis.axhline(mean, color="0.5", linestyle=":", label=label)
        axis.set(xscale="log", xlabel=f"{side} by frequency rank", ylim=(0, None))
        axis.xaxis.set_major_formatter("{x:,.0f}")
    axes[0].set_ylabel("size (columns kept)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
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
    drawn = axis.barh(list(bars), list(bars.values()), color=["C0", "C1", "0.7"])
    axis.bar_label(drawn, [f"{value:,}" for value in bars.values()], padding=3)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set(xlabel="parameters (numbers in the table)")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.xaxis.set_major_locator(MaxNLocator(5))
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
    left.set(xlabel="iteration t", ylabel="fitness\n(share of full quality)")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    if learns:
        axes[0, 1].plot(t, losses, marker="o")
        axes[0, 1].set(xlabel="iteration t", ylabel="predictor loss\n(squared error)", yscale="log")
        axes[0, 1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def explain_training(record: Record) -> str:
    """Which epoch was kept, and whether training had ended."""
    curve = record.learning_curve
    if not curve:
        return "Nothing is trained: a rule is fitted to the interactions, or read from them."
    best = max(curve, key=lambda row: row.quality)
    ended = "it had ended" if best is not curve[-1] else "more epochs might be better"
    return (
        f"Kept: epoch {best.epoch} of {curve[-1].epoch}, the best on validation "
        f"({decimal(best.quality)}); {ended}."
    )


def explain_search(record: Record) -> str:
    """What the search found, and whether training again changed the order."""
    if record.search is None:
        tried = len(record.trials)
        return f"No search; {tried} settings were tried." if tried else "No search: one training."
    best = max(record.search.iterations, key=lambda row: row.fitness)
    winner = record.search.winners[-1]
    same = "the same" if winner.retrained_t == best.t else "another one"
    return (
        f"Of {len(record.search.iterations)} measured actions t = {best.t} is the fittest "
        f"({best.fitness:.3f} of the full table's quality). Trained to the end the best is "
        f"t = {winner.retrained_t}, {same}."
    )


def explain_budget(record: Record) -> str:
    """How much of what is allowed the table uses."""
    size = record.size
    if not size.parameters:
        return "There is no table, and so no budget for one."
    kept = f"{size.parameters:,} of {size.full_parameters:,} numbers are kept"
    if size.limit is not None:
        assert size.parameters <= size.limit, "the budget is exact"
        return f"{kept}; {size.limit:,} are allowed, {size.parameters / size.limit:.1%} of it used."
    if size.limit_bytes is not None:
        assert size.bytes <= size.limit_bytes, "the budget is exact"
        return f"{kept}; {size.limit_bytes:,} bytes are allowed, {size.bytes:,} used."
    return f"{kept}, without a budget."


def explain_quality(record: Record) -> str:
    """What the means on test say about a user's list, and how validation compares."""
    test, validation = record.metrics.test, record.metrics.validation
    return (
        f"On test a user's first 20 recommendations hold {test.recall_at_20:.0%} of the items to "
        f"be found; NDCG@20 is {decimal(test.ndcg_at_20)}. Quality: validation "
        f"{decimal(validation.quality)}, test {decimal(test.quality)}. They need not agree: the "
        "two parts are masked differently, and validation was selected on."
    )
