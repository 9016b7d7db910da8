"""A short search, and the tables and figures of notebook 03; notebook 04 compares its tables in the
same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bet.data import FrequencyOrder, Split
from bet.search import Evaluated, SearchContext, SearchSettings, Trained
from bet.study.cell import Cell
from bet.study.setup import cell_context

ABOUT_EQUAL = 0.02  # relative difference of quality that one run cannot tell from none


def small_context(split: Split, dataset: str, seed: int, iterations: int) -> SearchContext:
    """LightGCN at sparsity 90 % with short training, so that a whole search takes seconds."""
    context = cell_context(Cell(dataset, "lightgcn", "90%", "bet", seed), split)
    training = replace(context.settings.by_gradient, batch_size=2048, max_epochs=6)
    search = SearchSettings(iterations=iterations, actions=100, finetune_epochs=2, top=2)
    settings = replace(context.settings, training=training, search=search)
    folder = context.workspace.cache / "work" / f"walkthrough-{dataset}-{seed}"
    return replace(context, settings=settings).in_folder(folder)


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
                "users' share": origin["user_share"],
                "families (users, items)": f"{origin['user_family']}, {origin['item_family']}",
                "predictor loss": member.predictor_loss,
            }
        )
    return pd.DataFrame(rows).set_index("t").round(3)


def plot_population(population: Sequence[Evaluated]) -> Figure:
    """Predicted against actual fitness, fitness against t, and the predictor's loss against t."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 2.8))
    t = [member.t for member in population]
    fitness = np.array([member.fitness for member in population])
    middle.step(t, np.maximum.accumulate(fitness), where="post", color="0.5", label="best so far")
    strategies = sorted({member.strategy for member in population})
    for strategy, marker in zip(strategies, "os^", strict=False):
        chosen = [member for member in population if member.strategy == strategy]
        actual = [member.fitness for member in chosen]
        left.plot([member.predicted for member in chosen], actual, marker, label=strategy)
        middle.plot([member.t for member in chosen], actual, marker)
    ends = [fitness.min(), fitness.max()]
    left.plot(ends, ends, color="0.5", linestyle=":", label="predicted = actual")
    left.set(xlabel="predicted fitness, before fine-tuning", ylabel="actual fitness")
    middle.set(xlabel="iteration t", ylabel="fitness (share of full quality)")
    right.plot(t, [member.predictor_loss for member in population], marker=".")
    right.set(xlabel="iteration t", ylabel="predictor loss (squared error)", yscale="log")
    middle.legend(fontsize=7, loc="upper right")
    middle.margins(y=0.2)
    labels = left.get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def best_median_worst(population: Sequence[Evaluated]) -> dict[str, np.ndarray]:
    """Sizes (n,) of three actions of the population, labeled with their fitness."""
    ranked = sorted(population, key=lambda member: -member.fitness)
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return {
        f"{name}, fitness {member.fitness:.3f}": member.action.sizes
        for name, member in chosen.items()
    }


def plot_sizes(sizes_by_label: Mapping[str, np.ndarray], order: FrequencyOrder) -> Figure:
    """Sizes (n,) by entity id, drawn against the frequency rank of users and of items."""
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.8), sharey=True)
    sides = (("users", order.users), ("items", order.n_users + order.items))
    for axis, (side, entities) in zip(axes, sides, strict=True):
        ranks = np.arange(1, len(entities) + 1)
        for label, sizes in sizes_by_label.items():
            axis.plot(ranks, sizes[entities], drawstyle="steps-post", label=label)
        axis.set(xscale="log", xlabel=f"frequency rank of {side}")
    axes[0].set_ylabel("size (columns kept)")
    axes[1].legend(fontsize=7)
    return figure


def quality_table(**trained: Trained) -> pd.DataFrame:
    """Parameters and validation quality of trained tables, side by side."""
    rows = {}
    for name, model in trained.items():
        rows[name.replace("_", " ")] = {
            "parameters": model.model.table.n_parameters(),
            "quality on validation": round(model.result.quality, 4),
        }
    return pd.DataFrame(rows).T.astype({"parameters": int})


def explain(name: str, trained: Trained, uniform: Trained) -> str:
    """One sentence: what it means that the table called ``name`` is so much better or worse than
    rows of equal length.
    """
    ratio = trained.result.quality / uniform.result.quality
    if abs(ratio - 1) <= ABOUT_EQUAL:
        meaning = "one short run cannot tell the two apart"
    elif ratio > 1:
        meaning = "different sizes were the better use of the budget here"
    else:
        meaning = "equal rows were the better use of the budget here"
    return f"{name} reaches {ratio:.1%} of the uniform table's quality: {meaning}."
