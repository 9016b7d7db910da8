"""What the committed records of the study say, for notebooks 05 to 07."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy  # its part stats, slow to load, loads when it is used
from matplotlib.figure import Figure

from bet.analysis.results import METRIC, Results, results_of
from bet.analysis.statistics import between, overall
from bet.paths import project_root
from bet.search import Evaluated
from bet.study.bundle import read_bundle, reader
from bet.study.cell import Cell

UNTRAINED = 3  # iterations whose predictions come from a predictor that has hardly been trained


def committed_results(profile: str) -> Results:
    """The records of ``profile`` that the checkout holds, whatever has run since."""
    folder = project_root() / "reports"
    folder = folder if profile == "default" else folder / profile
    return results_of(read_bundle(profile, reader(folder)))


def compare_with_record(
    population: Sequence[Evaluated], dataset: str, sparsity: str, seed: int
) -> str:
    """Whether the fitness of every action is that of the committed search of profile ``scratch``;
    a longer search begins as a shorter one.
    """
    cell = Cell(dataset, "lightgcn", sparsity, "bet", seed, profile="scratch")
    record = committed_results("scratch").record(cell.id)
    if record is None or record.search is None:
        return "The study has no committed search with this data, budget and seed."
    pairs = list(zip(population, record.search.iterations, strict=False))
    most = max(abs(member.fitness - row.fitness) for member, row in pairs)
    alike = "equal" if most < 1e-6 else f"differ by at most {most:.3f} from"
    return f"The fitness values of {len(pairs)} actions {alike} those of profile `scratch`."


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
    searches, its 95 % interval (Student's t), and the mean absolute error.
    """
    rows = {}
    for method, part in predicted.groupby("method"):
        searches = [search for _, search in part.groupby("search") if len(search) > UNTRAINED]
        correlations = [s["predicted"].corr(s["fitness"], "spearman") for s in searches]
        mean, k = np.mean(correlations), len(correlations)
        reach = scipy.stats.t.ppf(0.975, k - 1) * np.std(correlations, ddof=1) / np.sqrt(k)
        rows[method] = {
            "searches": k,
            "actions": len(part),
            "rank correlation": mean,
            "from": max(-1.0, mean - reach),
            "to": min(1.0, mean + reach),
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


def method_differences(
    results: Results, backbone: str, budget: str, method: str, others: Sequence[str]
) -> pd.DataFrame:
    """``method`` minus each of ``others`` in NDCG@20 on test at one backbone and budget, and the
    interval over the runs and users that both have.
    """
    cells = results.tested(in_bytes=False)
    cells = cells[(cells["backbone"] == backbone) & (cells["budget"] == budget)]
    ours, rows = cells[cells["method"] == method], {}
    for other in others:
        theirs = cells[cells["method"] == other]
        if len(ours) and len(theirs):
            found = between(results, ours, theirs, metric=METRIC)
            rows[other] = {
                "difference": found["difference"],
                "from": found["low"],
                "to": found["high"],
                "on this data": _judgment(found["low"], found["high"]),
            }
    columns = ["difference", "from", "to", "on this data"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).round(4)
