"""Tables and figures of notebook 05, the search; 06 compares its tables in the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from bet.analysis.paired import paired
from bet.analysis.results import METRIC
from bet.data import FrequencyOrder, Split
from bet.search import Evaluated, SearchContext, SearchSettings, Trained
from bet.study.cell import Cell
from bet.study.setup import cell_context
from bet.training import RankingMetrics

MARKERS = "os^D"


def small_context(split: Split, dataset: str, seed: int, iterations: int) -> SearchContext:
    """LightGCN at sparsity 90 % with short training, so that a whole search takes seconds."""
    context = cell_context(Cell(dataset, "lightgcn", "90%", "bet", seed, profile="scratch"), split)
    training = replace(context.settings.by_gradient, batch_size=2048, max_epochs=6)
    search = SearchSettings(iterations=iterations, actions=100, finetune_epochs=2, top=2)
    settings = replace(context.settings, training=training, search=search)
    folder = context.workspace.cache / "work" / f"walkthrough-{dataset}-{seed}"
    return replace(context, settings=settings).in_folder(folder)


def study_context(
    split: Split, dataset: str, seed: int, sparsity: str, iterations: int, folder: Path
) -> SearchContext:
    """What ``bet`` on LightGCN sees in profile ``scratch``, for a search of so many iterations.
    Unfinished work goes into ``folder``: an empty one makes everything but the full table anew.
    """
    context = cell_context(
        Cell(dataset, "lightgcn", sparsity, "bet", seed, profile="scratch"), split
    )
    search = replace(context.settings.search, iterations=iterations)
    return replace(context, settings=replace(context.settings, search=search)).in_folder(folder)


def with_finalists(context: SearchContext, top: int) -> SearchContext:
    """The same search, of which only the ``top`` fittest actions are trained from scratch."""
    search = replace(context.settings.search, top=top)
    return replace(context, settings=replace(context.settings, search=search))


def population_table(population: Sequence[Evaluated]) -> pd.DataFrame:
    """The population A, an iteration per row."""
    rows = []
    for member in population:
        origin = member.action.origin
        rows.append(
            {
                "t": member.t,
                "strategy": member.strategy,
                "predicted": member.predicted,
                "fitness": member.fitness,
                "users' share of columns": origin["user_share"],
                "families (users, items)": f"{origin['user_family']}, {origin['item_family']}",
            }
        )
    return pd.DataFrame(rows).set_index("t").round(3)


def plot_candidates(embeddings: Tensor, predicted: Tensor, picks: Mapping[str, int]) -> Figure:
    """``embeddings`` (m, 64) of sampled actions on their two principal axes, colored by predicted
    fitness (m,), and what each strategy picks of them. A row beyond ``predicted`` is the best
    action so far.
    """
    centered = embeddings - embeddings.mean(0)
    axes = np.linalg.svd(centered.numpy(), full_matrices=False)[2][:2]  # (2, 64)
    x, y = axes @ centered.numpy().T  # (m,) each
    m = len(predicted)
    figure, axis = plt.subplots(figsize=(6.5, 3.2))
    points = axis.scatter(x[:m], y[:m], c=predicted.numpy(), cmap="viridis", s=16)
    figure.colorbar(points, ax=axis, label="predicted fitness")
    for (name, i), marker in zip(picks.items(), MARKERS, strict=False):
        ring = {"s": 120, "facecolors": "none", "edgecolors": "C3", "linewidths": 1.6}
        axis.scatter(x[i], y[i], marker=marker, label=name, **ring)  # type: ignore[arg-type]
    axis.plot(x[m:], y[m:], "*", color="black", markersize=11, label="the best so far")
    axis.set(xlabel="first principal axis of h", ylabel="second principal axis of h")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def plot_population(population: Sequence[Evaluated]) -> Figure:
    """Fitness against t, and predicted against measured fitness, by strategy."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.0), sharey=True)
    t = [member.t for member in population]
    fitness = np.array([member.fitness for member in population])
    left.step(t, np.maximum.accumulate(fitness), where="post", color="0.5", label="best so far")
    strategies = sorted({member.strategy for member in population})
    for strategy, marker in zip(strategies, MARKERS, strict=False):
        chosen = [member for member in population if member.strategy == strategy]
        measured = [member.fitness for member in chosen]
        left.plot([member.t for member in chosen], measured, marker, label=strategy)
        right.plot([member.predicted for member in chosen], measured, marker)
    ends = [fitness.min(), fitness.max()]
    right.plot(ends, ends, color="0.5", linestyle=":", label="predicted = measured")
    left.set(xlabel="iteration t", ylabel="measured fitness")
    right.set(xlabel="predicted fitness, before fine-tuning")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def plot_retrained(
    fitness: Sequence[float], quality: Sequence[float], uniform: tuple[float, float]
) -> Figure:
    """Quality after training from scratch against fitness, of the best actions, in the order of
    their fitness, and of the ``uniform`` table (fitness, quality).
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.0))
    axis.plot(fitness, quality, "o", color="C0", label="the best by fitness")
    for rank, point in enumerate(zip(fitness, quality, strict=True), 1):
        style = {"textcoords": "offset points", "fontsize": 8, "va": "center"}
        axis.annotate(str(rank), point, (6, 0), **style)  # type: ignore[arg-type]
    axis.plot(*uniform, "*", color="C1", markersize=11, label="uniform, not searched")
    axis.set(
        xlabel="fitness: fine-tuned, share of full quality",
        ylabel="quality on validation,\ntrained from scratch",
    )
    axis.margins(0.12)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def plot_sizes(sizes_by_label: Mapping[str, np.ndarray], order: FrequencyOrder) -> Figure:
    """Sizes (n,) by entity id, drawn against the frequency rank of users and of items."""
    figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.9), sharey=True)
    sides = (("users", order.users), ("items", order.n_users + order.items))
    styles = ("-", "--", ":", "-.")
    for axis, (side, entities) in zip(axes, sides, strict=True):
        ranks = np.arange(1, len(entities) + 1)
        for (label, sizes), style in zip(sizes_by_label.items(), styles, strict=False):
            line = {"drawstyle": "steps-post", "linestyle": style}
            axis.plot(ranks, sizes[entities], label=label if side == "users" else None, **line)
        axis.set(xscale="log", xlabel=f"frequency rank of {side} (1 = most frequent)")
        axis.xaxis.set_major_formatter("{x:,.0f}")
    axes[0].set_ylabel("size (columns kept)")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def quality_table(
    trained: Mapping[str, Trained], tested: Mapping[str, RankingMetrics]
) -> pd.DataFrame:
    """Parameters, quality on validation and means over test users of trained tables."""
    rows = {}
    for name, ranked in tested.items():
        means, model = ranked.means(), trained[name]
        rows[name] = {
            "parameters": f"{model.model.table.n_parameters():,}",
            "quality on validation": model.result.quality,
            "Recall@20 on test": means["recall@20"],
            "NDCG@20 on test": means["ndcg@20"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(4)


def difference_table(
    name: str, tested: Mapping[str, RankingMetrics], metric: str = METRIC
) -> pd.DataFrame:
    """``name`` minus each other of ``tested`` in ``metric``, with the 95 % interval over users."""
    rows = {}
    for other, ranked in tested.items():
        if other != name:
            between = paired((tested[name].values[metric] - ranked.values[metric])[None])
            low, high = between.interval()
            rows[f"{name} minus {other}"] = {
                "difference": between.difference,
                "from": low,
                "to": high,
                "users": between.users,
            }
    return pd.DataFrame.from_dict(rows, orient="index").round(4)
