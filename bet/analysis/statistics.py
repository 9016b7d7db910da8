"""Paired comparisons of methods over users. The opponent is chosen on validation, never on test."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from bet.analysis.results import Results
from bet.seeds import numpy_generator

# Budgeted, and neither BET nor its ablations.
COMPETITORS = ("su", "sr", "powerlaw", "magnitude", "pep", "optembed", "esapn", "ciess", "amtl")
RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Paired:
    """Mean of per-user differences, its bootstrap interval, and the p-value of Wilcoxon's
    signed-rank test (two-sided).
    """

    difference: float
    low: float
    high: float
    p: float
    users: int


def paired(differences: np.ndarray, seed: int = 0) -> Paired:
    """Compare from per-user ``differences`` (u,); the percentile bootstrap resamples users."""
    u = len(differences)
    rng = numpy_generator(seed, "bootstrap")
    means = np.array([differences[rng.integers(u, size=u)].mean() for _ in range(RESAMPLES)])
    low, high = interval(means)
    p = float(stats.wilcoxon(differences).pvalue) if np.any(differences) else 1.0
    return Paired(float(differences.mean()), float(low), float(high), p, u)


def interval(resampled: np.ndarray) -> np.ndarray:
    """Low and high percentiles (2, ...) over the last axis of ``resampled`` (..., r)."""
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(resampled, [tail, 1 - tail], axis=-1)


def resampled_means(values: np.ndarray, seed: int = 0, block: int = 100) -> np.ndarray:
    """Means of the rows of ``values`` (k, u) over the resamples of users that ``paired`` draws: (k,
    RESAMPLES).
    """
    u = values.shape[1]
    rng = numpy_generator(seed, "bootstrap")
    means = np.empty((len(values), RESAMPLES))
    for start in range(
        0, RESAMPLES, block
    ):  # so many at once that the counts stay small beside the records
        draws = range(min(block, RESAMPLES - start))
        counts = np.stack(
            [np.bincount(rng.integers(u, size=u), minlength=u) for _ in draws]
        )  # (block, u)
        means[:, start : start + len(draws)] = values @ counts.T / u
    return means


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values (k,)."""
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def user_means(study: Results, cell_ids: list[str], metric: str) -> pd.Series:
    """Per user, the mean of ``metric`` over the given cells (one per seed), for users that all of
    them evaluate.
    """
    rows = study.per_user[study.per_user["cell_id"].isin(cell_ids)]
    by_user = rows.groupby("user")[metric].agg(["mean", "size"])
    return by_user.loc[by_user["size"] == len(cell_ids), "mean"]


def best_competitor(block: pd.DataFrame) -> str | None:
    """The method of ``COMPETITORS`` with the best mean validation quality in ``block``, of those
    with all of BET's seeds.

    Every seed has its own split: means over different seeds cannot be compared.
    """
    finished = block[block["finished"]]
    seeds = set(finished.loc[finished["method"] == "bet", "seed"])
    complete = [name for name, own in finished.groupby("method") if seeds <= set(own["seed"])]
    rivals = finished[
        finished["method"].isin(COMPETITORS)
        & finished["method"].isin(complete)
        & finished["seed"].isin(seeds)
    ]
    return None if rivals.empty else str(rivals.groupby("method")["validation"].mean().idxmax())


def compare(
    study: Results, metric: str, method: str = "bet", opponent: str | None = None
) -> pd.DataFrame:
    """``method`` against its best competitor, or a named ``opponent``, in every (dataset, protocol,
    backbone, budget).

    Only seeds that both have count; users' metrics are averaged over seeds first. p is adjusted by
    Holm over all rows.
    """
    known = study.comparisons
    if (metric, method, opponent) not in known:
        known[metric, method, opponent] = _compare(study, metric, method, opponent)
    return known[metric, method, opponent].copy()


def between(study: Results, ours: pd.DataFrame, theirs: pd.DataFrame, *, metric: str) -> Paired:
    """Two methods' finished cells, a cell per seed: users' metrics are averaged over the seeds that
    both have, then compared.
    """
    seeds = set(ours["seed"]) & set(theirs["seed"])
    means = [
        user_means(study, list(side.index[side["seed"].isin(seeds)]), metric)
        for side in (ours, theirs)
    ]
    return paired((means[0] - means[1]).dropna().to_numpy(dtype=np.float64))


def _compare(study: Results, metric: str, method: str, opponent: str | None) -> pd.DataFrame:
    rows = []
    keys = ["dataset", "protocol", "backbone", "budget"]
    for key, block in study.main[study.main["budget"] != "none"].groupby(keys, sort=False):
        finished = block[block["finished"]]
        rival = opponent or best_competitor(block)
        ours, theirs = (finished[finished["method"] == name] for name in (method, rival))
        seeds = sorted(set(ours["seed"]) & set(theirs["seed"]))
        if not seeds:
            continue
        result = between(study, ours, theirs, metric=metric)
        by_seed = [
            side[side["seed"].isin(seeds)].set_index("seed")[metric] for side in (ours, theirs)
        ]
        counts = {
            "seeds": len(seeds),
            "ahead": int((by_seed[0] > by_seed[1].reindex(by_seed[0].index)).sum()),
        }
        names = dict(zip(keys, key, strict=True)) | {
            "method": method,
            "opponent": rival,
            "metric": metric,
        }
        rows.append(names | counts | vars(result))
    frame = pd.DataFrame(rows)
    if len(frame):
        frame["p_holm"] = holm(frame["p"].to_numpy())
    return frame


@dataclass(frozen=True)
class Ranks:
    """``mean`` rank by method (1 is best) over ``blocks``, Friedman's ``p``, and Nemenyi's critical
    ``difference`` at 95 %.
    """

    mean: pd.Series
    blocks: int
    p: float
    difference: float


def average_ranks(scores: pd.DataFrame) -> Ranks | None:
    """Rank methods (columns) within every block (row) of ``scores``, larger being better (Demsar,
    JMLR 2006); None below 3 x 2.
    """
    n, k = scores.shape
    if k < 3 or n < 2:
        return None
    p = float(stats.friedmanchisquare(*(scores[name] for name in scores)).pvalue)
    quantile = float(stats.studentized_range.ppf(CONFIDENCE, k, np.inf)) / np.sqrt(2)
    mean = scores.rank(axis=1, ascending=False).mean().sort_values()
    return Ranks(mean, n, p, quantile * np.sqrt(k * (k + 1) / (6 * n)))
