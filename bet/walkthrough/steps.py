"""Pictures and small computations of the walkthrough notebooks."""

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import stats

from bet.actions import (
    FAMILIES,
    Action,
    Allocation,
    Budget,
    allocate,
    parse_budget,
    sample_actions,
)
from bet.actions.published import floor_and_raise
from bet.data import FrequencyOrder, Interactions, Split
from bet.predictor import DeepSets, PredictorTrainer, stack_histograms
from bet.search import Evaluated, SearchContext, SearchSettings, Trained
from bet.seeds import numpy_generator, torch_generator
from bet.study.cell import Cell
from bet.study.setup import cell_context

SIDES = ("users", "items")


def frequency_order(split: Split) -> FrequencyOrder:
    """Training frequencies of both sides and their ranks."""
    return FrequencyOrder.of(split.train)


# 01: data


def summary(data: Interactions) -> pd.DataFrame:
    """Counts of a dataset as one column."""
    by_user, by_item = (
        np.diff(data.matrix.indptr),
        np.bincount(data.matrix.indices, minlength=data.n_items),
    )
    top = [
        np.sort(counts)[::-1][: max(1, len(counts) // 10)].sum() / len(data)
        for counts in (by_user, by_item)
    ]
    rows = {
        "users": f"{data.n_users:,}",
        "items": f"{data.n_items:,}",
        "interactions": f"{len(data):,}",
        "density": f"{len(data) / data.n_users / data.n_items:.2%}",
        "interactions per user (least, median, most)": f"{by_user.min()}, {np.median(by_user):g}, {by_user.max()}",
        "interactions per item (least, median, most)": f"{by_item.min()}, {np.median(by_item):g}, {by_item.max()}",
        "held by the most active tenth of users": f"{top[0]:.0%}",
        "held by the most popular tenth of items": f"{top[1]:.0%}",
    }
    return pd.DataFrame({data.name: rows})


def parts(split: Split) -> pd.DataFrame:
    """Interactions and users of the three parts and of the merged training data."""
    rows = {
        "train": split.train,
        "validation": split.validation,
        "test": split.test,
        "train + validation": split.merged(),
    }
    total = split.train.nnz + split.validation.nnz + split.test.nnz
    return pd.DataFrame(
        {
            name: {
                "interactions": m.nnz,
                "share": f"{m.nnz / total:.1%}",
                "users": int((np.diff(m.indptr) > 0).sum()),
            }
            for name, m in rows.items()
        }
    ).T


def budgets(n: int, d_max: int, sparsities: Sequence[str]) -> pd.DataFrame:
    """What each sparsity leaves of a table of ``n`` entities and ``d_max`` columns."""
    rows = {"full": n * d_max} | {text: parse_budget(text, n, d_max).total for text in sparsities}
    return pd.DataFrame(
        {
            name: {
                "parameters": f"{total:,}",
                "kB in float32": f"{4 * total / 1000:,.0f}",
                "columns per entity": f"{total / n:.2f}",
            }
            for name, total in rows.items()
        }
    ).T


def plot_long_tail(data: Interactions) -> Figure:
    """Frequency against rank of users and items, both axes logarithmic."""
    counts = (np.diff(data.matrix.indptr), np.bincount(data.matrix.indices, minlength=data.n_items))
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.6), sharey=True)
    for axis, side, count in zip(axes, SIDES, counts, strict=True):
        axis.plot(
            np.arange(1, len(count) + 1), np.sort(count)[::-1], drawstyle="steps-post", label=side
        )
        axis.axvline(len(count) / 10, color="0.5", linestyle=":", label="most frequent tenth")
        axis.set(xscale="log", yscale="log", xlabel=f"frequency rank of {side}")
        axis.legend(loc="lower left")
    axes[0].set_ylabel("interactions")
    return figure


# 02: sampling


def plot_families(order: FrequencyOrder, budget: Budget, seed: int, draws: int = 4) -> Figure:
    """Item sizes of some draws of every family, half of the budget for the items."""
    n_items = order.n - order.n_users
    columns = min(budget.target // 2, n_items * budget.d_max)
    figure, axes = plt.subplots(1, len(FAMILIES), figsize=(8.5, 2.5), sharey=True)
    for axis, (name, family) in zip(axes, FAMILIES.items(), strict=True):
        rng = numpy_generator(seed, "families", name)
        for _ in range(draws):
            beta = rng.uniform(0, family.beta_max)
            values = family.quantile(np.sort(rng.uniform(1e-9, 1 - 1e-9, n_items)), beta)[::-1]
            sizes = allocate(values, columns, budget.d_min, budget.d_max)
            axis.plot(
                np.arange(1, n_items + 1), sizes, label=f"β = {beta:.2f}", drawstyle="steps-post"
            )
        axis.set(title=name, xscale="log", xlabel="frequency rank of items")
        axis.legend(fontsize=7)
    axes[0].set_ylabel("size (columns kept)")
    return figure


def allocation_steps(values: Sequence[float], total: int, d_min: int, d_max: int) -> pd.DataFrame:
    """From target sizes to exact sizes, entity by entity: the target, its floor and raise, and what
    ``allocate`` gives.
    """
    targets = np.asarray(values, dtype=np.float64)
    targets = targets / targets.sum() * total
    raised = np.clip(np.floor(targets), d_min, d_max).astype(int)
    exact = allocate(targets, total, d_min, d_max)
    frame = pd.DataFrame(
        {"target size": targets.round(2), "floor and raise": raised, "exact": exact}
    )
    frame.index = pd.Index(range(1, len(targets) + 1), name="rank")
    frame.loc["sum"] = [total, raised.sum(), exact.sum()]
    return frame.astype({"floor and raise": int, "exact": int})


def budget_shares(
    order: FrequencyOrder, budget: Budget, seed: int, draws: int = 300
) -> pd.DataFrame:
    """Share of the budget that ``draws`` actions of either sampler use: columns ``published``,
    ``exact``.
    """
    rng = numpy_generator(seed, "published")
    published = [floor_and_raise(order, budget, rng) for _ in range(draws)]
    exact = [
        int(a.sizes.sum(dtype=np.int64))
        for a in sample_actions(order, budget, draws, numpy_generator(seed, "exact"))
    ]
    return pd.DataFrame({"published": published, "exact": exact}) / budget.total


def budget_statement(shares: pd.DataFrame) -> pd.DataFrame:
    """How many actions exceed the budget, by how much at most, and what the others leave unused on
    average.
    """
    over = shares > 1
    rows = {
        "over budget": over.mean().map("{:.1%}".format),
        "largest excess": (shares.max() - 1).clip(lower=0).map("{:.2%}".format),
        "unused where not over, mean": (1 - shares.where(~over)).mean().map("{:.2%}".format),
    }
    return pd.DataFrame(rows).T


def plot_budget_shares(shares: pd.DataFrame) -> Figure:
    """Histogram of budget use; right of the line the budget is broken."""
    figure, axis = plt.subplots(figsize=(6.5, 2.6))
    spread = float(max(0.02, (shares - 1).abs().max().max()))
    edges = np.linspace(
        1 - spread, 1 + spread, 62
    ).tolist()  # an odd number of bins: the budget is in the middle of one
    for name, hatch in (("published", ""), ("exact", "//")):
        axis.hist(
            shares[name], edges, label=f"{name}, {len(shares)} actions", alpha=0.7, hatch=hatch
        )
    axis.axvline(1.0, color="black", linestyle=":", label="the budget")
    axis.set(xlabel="columns used / budget", ylabel="actions", yscale="log")
    axis.legend(loc="upper left")
    return figure


def plot_mask(action: Action, order: FrequencyOrder, budget: Budget) -> Figure:
    """The prefix mask of an action, rows by entity id and by frequency rank."""
    by_rank = order.entities
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 3.2), sharey=True)
    for axis, rows, title in zip(
        axes,
        (np.arange(order.n), by_rank),
        ("rows by entity id", "rows by frequency rank"),
        strict=True,
    ):
        mask = np.arange(budget.d_max) < action.sizes[rows][:, None]
        axis.imshow(mask, aspect="auto", interpolation="nearest", cmap="Greys", vmax=1.5)
        axis.axhline(
            order.n_users - 0.5, color="C3", linestyle="--", label="users above, items below"
        )
        axis.set(title=title, xlabel="column")
        axis.grid(False)
    axes[0].set_ylabel("entity")
    axes[1].legend(loc="lower right")
    return figure


# 03: predictor and search


def small_context(dataset_split: Split, dataset: str, seed: int, iterations: int) -> SearchContext:
    """LightGCN at sparsity 90 % with short training, so that a whole search takes seconds."""
    context = cell_context(Cell(dataset, "lightgcn", "90%", "bet", seed), dataset_split)
    training = replace(context.settings.training, batch_size=2048, max_epochs=6)
    search = SearchSettings(iterations=iterations, actions=100, finetune_epochs=2, top=2)
    settings = replace(context.settings, training=training, search=search)
    folder = context.workspace.cache / "work" / f"walkthrough-{dataset}-{seed}"
    return replace(context, settings=settings).in_folder(folder)


def sets_of(action: Action, order: FrequencyOrder) -> pd.DataFrame:
    """The sets S_d of an action: how many users and items have size d, and how frequent they are on
    average.
    """
    frequency = np.concatenate([order.user_frequency, order.item_frequency])
    frame = pd.DataFrame(
        {"d": action.sizes, "frequency": frequency, "user": np.arange(order.n) < order.n_users}
    )
    grouped = frame.groupby("d")
    return pd.DataFrame(
        {
            "users": grouped["user"].sum(),
            "items": grouped["user"].size() - grouped["user"].sum(),
            "mean frequency": grouped["frequency"].mean().round(1),
        }
    )


def renaming_does_not_matter(context: SearchContext, action: Action, seed: int) -> float:
    """Largest change of the prediction when entities are renamed together with their frequencies; 0
    up to rounding.
    """
    rng, order = numpy_generator(seed, "rename"), context.data.order
    users, items = rng.permutation(order.n_users), rng.permutation(order.n - order.n_users)
    renamed_order = FrequencyOrder(order.user_frequency[users], order.item_frequency[items])
    sizes = np.concatenate([action.user_sizes[users], action.item_sizes[items]])
    renamed = Action(Allocation.from_sizes(sizes), order.n_users)
    scores = []
    for own_order, own in ((order, action), (renamed_order, renamed)):
        predictor = DeepSets(own_order, context.budget.d_max, torch_generator(seed, "predictor"))
        scores.append(float(predictor(stack_histograms([own], context.budget.d_max)).detach()[0]))
    return abs(scores[0] - scores[1])


def population_table(population: Sequence[Evaluated]) -> pd.DataFrame:
    """The population A, an iteration per row."""
    rows = [
        {
            "t": member.t,
            "strategy": member.strategy,
            "predicted": member.predicted,
            "fitness": member.fitness,
            "users' share": member.action.origin["user_share"],
            "families (users, items)": f"{member.action.origin['user_family']}, {member.action.origin['item_family']}",
            "predictor loss": member.predictor_loss,
        }
        for member in population
    ]
    return pd.DataFrame(rows).set_index("t").round(3)


def plot_population(population: Sequence[Evaluated]) -> Figure:
    """Predicted against actual fitness, fitness against t, and the predictor's loss against t."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 2.8))
    t = [member.t for member in population]
    fitness = np.array([member.fitness for member in population])
    middle.step(t, np.maximum.accumulate(fitness), where="post", color="0.5", label="best so far")
    for strategy, marker in zip(
        sorted({member.strategy for member in population}), "os^", strict=False
    ):
        chosen = [member for member in population if member.strategy == strategy]
        left.plot(
            [m.predicted for m in chosen], [m.fitness for m in chosen], marker, label=strategy
        )
        middle.plot([m.t for m in chosen], [m.fitness for m in chosen], marker)
    low, high = fitness.min(), fitness.max()
    left.plot([low, high], [low, high], color="0.5", linestyle=":", label="predicted = actual")
    left.set(xlabel="predicted fitness, before fine-tuning", ylabel="actual fitness")
    middle.set(xlabel="iteration t", ylabel="fitness (share of full quality)")
    right.plot(t, [member.predictor_loss for member in population], marker=".")
    right.set(xlabel="iteration t", ylabel="predictor loss (squared error)", yscale="log")
    middle.legend(fontsize=7, loc="upper right")
    middle.margins(y=0.2)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8
    )
    return figure


def plot_found_sizes(population: Sequence[Evaluated], order: FrequencyOrder) -> Figure:
    """Sizes against frequency rank of the best, the median and the worst action of the population."""
    ranked = sorted(population, key=lambda member: -member.fitness)
    shown = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    figure, axes = plt.subplots(1, 2, figsize=(6.5, 2.8), sharey=True)
    for axis, side, ids, attribute in zip(
        axes, SIDES, (order.users, order.items), ("user_sizes", "item_sizes"), strict=True
    ):
        for label, member in shown.items():
            sizes = getattr(member.action, attribute)[ids]
            axis.plot(
                np.arange(1, len(ids) + 1),
                sizes,
                drawstyle="steps-post",
                label=f"{label}, fitness {member.fitness:.3f}",
            )
        axis.set(xscale="log", xlabel=f"frequency rank of {side}")
    axes[0].set_ylabel("size (columns kept)")
    axes[1].legend(fontsize=7)
    return figure


def outcome_table(**trained: Trained) -> pd.DataFrame:
    """Parameters and validation quality of trained tables, side by side."""
    rows = {
        name.replace("_", " "): {
            "parameters": model.model.table.n_parameters(),
            "quality on validation": round(model.result.quality, 4),
        }
        for name, model in trained.items()
    }
    return pd.DataFrame(rows).T.astype({"parameters": int})


def fit_offline(
    context: SearchContext, population: Sequence[Evaluated], updates: int = 200
) -> pd.DataFrame:
    """A fresh predictor fitted on the first two thirds of the population; rank correlation there
    and on the rest.
    """
    cut = 2 * len(population) // 3
    histograms = stack_histograms([member.action for member in population], context.budget.d_max)
    fitness = torch.tensor([member.fitness for member in population])
    trainer = PredictorTrainer(
        DeepSets(
            context.data.order,
            context.budget.d_max,
            torch_generator(context.settings.seed, "offline"),
        )
    )
    for _ in range(updates):
        trainer.update(histograms[:cut], fitness[:cut])
    predicted = trainer.predictor(histograms).detach().numpy()
    rows = {
        name: {
            "actions": len(fitness[part]),
            "Spearman correlation": round(
                float(stats.spearmanr(predicted[part], fitness[part])[0]), 2
            ),
        }
        for name, part in (("fitted on", slice(None, cut)), ("not seen", slice(cut, None)))
    }
    return pd.DataFrame(rows).T.astype({"actions": int})
