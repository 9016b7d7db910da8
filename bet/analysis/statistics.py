"""Paired comparisons of methods over users. The opponent is chosen on validation, never on test."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from bet.analysis.results import NO_BUDGET, Results
from bet.seeds import numpy_generator

# Budgeted, and neither BET nor its ablations.
COMPETITORS = ("su", "sr", "powerlaw", "magnitude", "pep", "optembed", "esapn", "ciess", "amtl")
RESAMPLES = 2_000
CONFIDENCE = 0.95
SIGNIFICANT = 0.05
ENOUGH = 0.8  # share of su's cells that a method must have to be ranked
_SETTING = ["dataset", "protocol", "backbone", "budget"]
_COMPARED = ["method", "opponent", "metric", "seeds", "ahead", "difference", "low", "high"]
_COMPARED += ["p", "users"]


@dataclass(frozen=True)
class Paired:
    """Mean of per-user differences, its bootstrap interval, p of Wilcoxon's signed-rank test."""

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
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    p = float(stats.wilcoxon(differences).pvalue) if np.any(differences) else 1.0
    return Paired(float(differences.mean()), float(low), float(high), p, u)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values (k,)."""
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def user_means(results: Results, cell_ids: list[str], metric: str) -> pd.Series:
    """Per user, the mean of ``metric`` over the given cells (one per seed), for users that all of
    them evaluate.
    """
    rows = results.per_user[results.per_user["cell_id"].isin(cell_ids)]
    by_user = rows.groupby("user")[metric].agg(["mean", "size"])
    return by_user.loc[by_user["size"] == len(cell_ids), "mean"]


def best_competitor(block: pd.DataFrame) -> str | None:
    """The method of ``COMPETITORS`` with the best mean validation quality in ``block``, of those
    with all of BET's seeds: every seed has its own split.
    """
    finished = block[block["finished"]]
    seeds = set(finished.loc[finished["method"] == "bet", "seed"])
    complete = [name for name, runs in finished.groupby("method") if seeds <= set(runs["seed"])]
    rivals = finished[finished["method"].isin(set(COMPETITORS) & set(complete))]
    rivals = rivals[rivals["seed"].isin(seeds)]
    return None if rivals.empty else str(rivals.groupby("method")["validation"].mean().idxmax())


@lru_cache(maxsize=64)  # tables and sentences ask for the same ones
def compare(results: Results, metric: str, opponent: str | None = None) -> pd.DataFrame:
    """BET against its best competitor, or a named ``opponent``, in every (dataset, protocol,
    backbone, budget).

    Only seeds that both have count; users' metrics are averaged over seeds first. p is adjusted by
    Holm over all rows. ``ahead`` counts seeds; ``wins``, ``loses``: by both test and interval.
    """
    rows = []
    budgeted = results.main[results.main["budget"] != NO_BUDGET]
    for key, block in budgeted.groupby(_SETTING, sort=False):
        finished = block[block["finished"]]
        rival = opponent or best_competitor(block)
        ours, theirs = (finished[finished["method"] == name] for name in ("bet", rival))
        seeds = sorted(set(ours["seed"]) & set(theirs["seed"]))
        if not seeds:
            continue
        leads = ours.set_index("seed")[metric] - theirs.set_index("seed")[metric]
        names = dict(zip(_SETTING, key, strict=True)) | {"method": "bet", "opponent": rival}
        counts = {"metric": metric, "seeds": len(seeds), "ahead": int((leads > 0).sum())}
        rows.append(names | counts | vars(between(results, ours, theirs, metric=metric)))
    frame = pd.DataFrame(rows, columns=[*_SETTING, *_COMPARED])
    frame["p_holm"] = holm(frame["p"].to_numpy(dtype=np.float64))
    # Wilcoxon's test looks at ranks, the interval at the mean that is reported: both must say so.
    significant = frame["p_holm"] < SIGNIFICANT
    frame["wins"] = significant & (frame["low"] > 0)
    frame["loses"] = significant & (frame["high"] < 0)
    return frame


def between(results: Results, ours: pd.DataFrame, theirs: pd.DataFrame, *, metric: str) -> Paired:
    """Two methods' finished cells, a cell per seed: users' metrics are averaged over the seeds that
    both have, then compared.
    """
    seeds = set(ours["seed"]) & set(theirs["seed"])
    means = [
        user_means(results, list(side.index[side["seed"].isin(seeds)]), metric)
        for side in (ours, theirs)
    ]
    return paired((means[0] - means[1]).dropna().to_numpy(dtype=np.float64))


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


def rank_blocks(results: Results, metric: str) -> pd.DataFrame:
    """Mean of ``metric`` over seeds, protocol clean: a row per (dataset, backbone, budget), a
    column per method.

    Methods that have finished less than four fifths of the cells that ``su`` has are left out, then
    the cells that lack a method.
    """
    cells = results.main[results.main["finished"] & (results.main["protocol"] == "clean")]
    cells = cells[cells["budget"] != NO_BUDGET]
    keys = ["dataset", "backbone", "budget"]
    wide = cells.pivot_table(metric, [*keys, "seed"], "method", sort=False, observed=True)
    ours = wide[wide["su"].notna()] if "su" in wide else wide
    methods = dict.fromkeys(cells["method"]) if len(ours) else {}
    often = [name for name in methods if ours[name].notna().mean() >= ENOUGH]
    return ours[often].dropna().groupby(keys, sort=False).mean()


def leaders(cells: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """The finished cells, of those that ``by`` tells apart, that have every seed that any has:
    others saw other splits.
    """
    finished = cells[cells["finished"]]
    seeds = finished.groupby(list(by))["seed"].transform("nunique")
    return finished[seeds == seeds.max()] if len(finished) else finished


def best_cells(cells: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """Those of ``leaders`` with the best mean validation quality, a cell per seed if ``by`` tells
    all else apart; of equals the first; empty without any.
    """
    complete = leaders(cells, by)
    if complete.empty:
        return complete
    numbers = complete.groupby(list(by), sort=False).ngroup()
    means = complete["validation"].groupby(numbers).mean()
    return complete[numbers == means.idxmax()]


def best_on_validation(cells: pd.DataFrame) -> str | None:
    """The method of ``best_cells(cells)``; None without one."""
    best = best_cells(cells)
    return None if best.empty else str(best["method"].iloc[0])
