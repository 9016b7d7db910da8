"""Tables and figures of notebook 05, the search; notebook 06 compares its tables in the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from bet.analysis.paired import paired
from bet.analysis.results import METRIC, Results, results_of
from bet.analysis.statistics import overall
from bet.data import FrequencyOrder, Split
from bet.paths import project_root
from bet.search import Evaluated, SearchContext, SearchSettings, Trained
from bet.study.bundle import read_bundle, reader
from bet.study.cell import Cell
from bet.study.setup import cell_context
from bet.training import RankingMetrics

MARKERS = "os^D"
UNTRAINED = 3  # iterations whose predictions come from a predictor that has hardly been trained


def small_context(split: Split, dataset: str, seed: int, iterations: int) -> SearchContext:
    """LightGCN at sparsity 90 % with short training, so that a whole search takes seconds."""
    context = cell_context(Cell(dataset, "lightgcn", "90%", "bet", seed), split)
    training = replace(context.settings.by_gradient, batch_size=2048, max_epochs=6)
    search = SearchSettings(iterations=iterations, actions=100, finetune_epochs=2, top=2)
    settings = replace(context.settings, training=training, search=search)
    folder = context.workspace.cache / "work" / f"walkthrough-{dataset}-{seed}"
    return replace(context, settings=settings).in_folder(folder)


def study_context(
    split: Split, dataset: str, seed: int, sparsity: str, iterations: int, folder: Path
) -> SearchContext:
    """What ``bet`` on LightGCN sees in profile ``default``, for a search of so many iterations.
    Unfinished work goes into ``folder``: an empty one makes everything but the full table anew.
    """
    context = cell_context(Cell(dataset, "lightgcn", sparsity, "bet", seed), split)
    search = replace(context.settings.search, iterations=iterations)
    return replace(context, settings=replace(context.settings, search=search)).in_folder(folder)


def committed_results(profile: str) -> Results:
    """The records of ``profile`` that the checkout holds, whatever has run since."""
    folder = project_root() / "reports"
    folder = folder if profile == "default" else folder / profile
    return results_of(read_bundle(profile, reader(folder)))


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


def compare_with_record(
    population: Sequence[Evaluated], dataset: str, sparsity: str, seed: int
) -> str:
    """Whether the fitness of every action is that of the committed search of profile ``default``;
    a longer search begins as a shorter one.
    """
    cell = Cell(dataset, "lightgcn", sparsity, "bet", seed)
    record = committed_results("default").record(cell.id)
    if record is None or record.search is None:
        return "The study has no committed search with this data, budget and seed."
    pairs = list(zip(population, record.search.iterations, strict=False))
    most = max(abs(member.fitness - row.fitness) for member, row in pairs)
    alike = "equal" if most < 1e-6 else f"differ by at most {most:.3f} from"
    return f"The fitness values of {len(pairs)} actions {alike} those that the study committed."


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
        style = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6}
        axis.plot(x[i], y[i], marker, color="C3", linestyle="none", label=name, **style)
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
    axis.plot(*uniform, "*", color="C1", markersize=11, label="equal sizes, not searched")
    axis.set(
        xlabel="fitness: fine-tuned, share of full quality",
        ylabel="quality on validation,\ntrained from scratch",
    )
    axis.margins(0.12)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def finalists_table(results: Results, method: str) -> pd.DataFrame:
    """By backbone, of the fittest actions that searches of ``method`` trained from scratch: in how
    many searches the fittest was the best of them, and the rank correlation of fitness and quality,
    averaged over searches. Searches that measure by training are left out.
    """
    rows = []
    for record in results.records:
        if record.cell.method != method or record.search is None or record.cell.backbone == "ials":
            continue
        tried = pd.DataFrame([(row.fitness, row.quality) for row in record.search.retrained])
        # A search that is also reported for a smaller T trains more.
        most = record.settings.search["top"]
        tried = tried.sort_values(0, ascending=False, ignore_index=True).head(most)
        fittest = bool(tried[1].idxmax() == 0)
        rows.append((record.cell.backbone, fittest, tried[0].corr(tried[1], "spearman")))
    frame = pd.DataFrame(rows, columns=["backbone", "fittest", "correlation"])
    return (
        frame.groupby("backbone", sort=False)
        .agg(
            searches=("fittest", "size"),
            **{"fittest was best": ("fittest", "sum"), "rank correlation": ("correlation", "mean")},
        )
        .round(2)
    )


def predictions(results: Results, backbone: str, methods: Sequence[str]) -> pd.DataFrame:
    """What searches in the records of ``results`` predicted before they measured: a row per
    iteration after the first few, with search, method, predicted and fitness.
    """
    rows = []
    for record in results.records:
        names = record.cell.backbone, record.cell.method
        if record.search is None or names[0] != backbone or names[1] not in methods:
            continue
        search = f"{results.profile} {record.cell_id}"
        for row in record.search.iterations:
            if row.predicted is not None and row.t > UNTRAINED:
                rows.append((search, names[1], row.predicted, row.fitness))
    return pd.DataFrame(rows, columns=["search", "method", "predicted", "fitness"])


def skill_table(predicted: pd.DataFrame) -> pd.DataFrame:
    """By method, of ``predictions``: how many, the rank correlation within a search, averaged over
    searches, and the mean absolute error.
    """
    rows = {}
    for method, part in predicted.groupby("method"):
        searches = [search for _, search in part.groupby("search") if len(search) > UNTRAINED]
        correlations = [s["predicted"].corr(s["fitness"], "spearman") for s in searches]
        rows[method] = {
            "searches": len(searches),
            "actions": len(part),
            "rank correlation": np.mean(correlations),
            "mean error": (part["predicted"] - part["fitness"]).abs().mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(3)


def plot_predictions(predicted: pd.DataFrame) -> Figure:
    """Predicted against measured fitness, a panel for each method, a color for each search."""
    methods = list(predicted["method"].unique())
    figure, axes = plt.subplots(1, len(methods), figsize=(6.8, 3.0), sharey=True, squeeze=False)
    ends = [predicted["fitness"].min(), predicted["fitness"].max()]
    for axis, method in zip(axes[0], methods, strict=True):
        for _, search in predicted[predicted["method"] == method].groupby("search"):
            axis.plot(search["predicted"], search["fitness"], ".", alpha=0.7)
        axis.plot(ends, ends, color="0.3", linestyle=":", label="predicted = measured")
        axis.set(title=method, xlabel="predicted fitness")
    axes[0, 0].set_ylabel("measured fitness")
    axes[0, 0].legend(loc="best", fontsize=7)
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


def check_claims(results: Results, opponents: Mapping[str, str]) -> pd.DataFrame:
    """``bet`` minus each of ``opponents`` (by the claim that ``bet`` is better) in NDCG@20 on test,
    the mean over all backbones and budgets of ``results``; the interval is over runs and users.
    """
    rows = {}
    for claim, opponent in opponents.items():
        (mean,) = overall(results, METRIC, "bet", (opponent,)).to_dict("records")
        low, high = mean["low"], mean["high"]
        rows[claim] = {
            "settings": mean["settings"],
            "difference": mean["difference"],
            "from": low,
            "to": high,
            "on this data": _judgment(low, high),
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(4)


def _judgment(low: float, high: float) -> str:
    """Of a claim that a difference is positive, from its interval.

    >>> _judgment(0.1, 0.3), _judgment(-0.1, 0.3), _judgment(-0.3, -0.1)
    ('holds', 'not shown', 'the opposite holds')
    """
    return "holds" if low > 0 else "the opposite holds" if high < 0 else "not shown"
