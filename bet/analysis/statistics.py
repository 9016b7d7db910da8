"""Methods compared over runs and users. The opponent is chosen on validation, never on test."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import pandas as pd
import scipy  # its part stats, slow to load, loads when it is used

from bet.analysis.paired import CONFIDENCE, MARGIN, SIGNIFICANT, holm, paired
from bet.analysis.results import METRIC, NO_BUDGET, RUN, Results
from bet.methods import IN_BYTES, METHODS

# Methods of ours that are compared, and those that are variants of each: no competitors of it.
OURS = {
    "bet": ("bet", "nested"),  # by the beginning of the name
    "bet-plus": ("bet-plus",),
    "magnitude-rotated": ("magnitude-rotated",),
    "bet-plus-bytes": ("bet-plus",),
    "bet-plus-vectors": ("bet-plus",),
}
ENOUGH = 0.8  # share of su's cells that a method must have to be ranked
_SETTING = ["dataset", "protocol", "backbone", "budget"]
_NUMBERS = ["difference", "low", "high", "p", "users"]
_OF_DUEL = ["method", "opponent", "candidates", "opponent_candidates"]
_COMPARED = ["method", "opponent", "metric", "seeds", "ahead", *_NUMBERS, *_OF_DUEL[2:]]
_COMPARED += ["opponent_mean"]


def competitors(method: str) -> tuple[str, ...]:
    """All methods with a budget that are neither ``method``, of ``OURS``, nor its variants."""
    names = [name for name, known in METHODS.items() if name != "full" and not known.reference]
    return tuple(name for name in names if not name.startswith(OURS[method]))


def leads(values: pd.DataFrame) -> pd.Series:
    """By how much every column of ``values`` (seeds, names) is ahead of the best mean of those with
    most seeds, over the seeds of both: a seed is a split of its own. The largest leads; where it is
    above 0, it is of a column that lacks seeds. Those meet the best of the others, not each other.

    >>> values = pd.DataFrame({"a": [3.0, 5.0], "b": [1.0, 6.0], "c": [3.5, None]})
    >>> leads(values).to_dict()
    {'a': 0.0, 'b': -0.5, 'c': 0.5}
    """
    counts = values.count()
    best = values.loc[:, counts == counts.max()].mean().idxmax()
    return values.sub(values[best], axis=0).mean()


def best_competitor(
    block: pd.DataFrame, method: str = "bet", opponents: tuple[str, ...] = ()
) -> str | None:
    """The method of ``opponents``, or else of all competitors, that ``leads`` on validation in
    ``block``, by the splits of ``method``; None without one.

    Every quality is that of the method's own choice, the best of its ``candidates``: a maximum for
    those that train several, so that the choice leans to them. A cell with another start or search
    has no say.
    """
    own = block[block["finished"] & block[RUN[1:]].isna().all(axis=1)]
    seeds = own.loc[own["method"] == method, "seed"]
    rivals = own[own["method"].isin(opponents or competitors(method)) & own["seed"].isin(seeds)]
    if rivals.empty:
        return None
    return str(leads(rivals.pivot_table("validation", "seed", "method")).idxmax())


@dataclass(frozen=True)
class Duel:
    """``method`` against ``opponent`` in one setting (dataset, protocol, backbone, budget), and by
    run and user the ``differences`` in the metric; ``opponent_means``: its mean over users, by run.
    """

    setting: tuple[str, ...]
    method: str
    opponent: str
    candidates: float
    opponent_candidates: float
    opponent_means: pd.Series
    differences: pd.DataFrame


@lru_cache(maxsize=64)  # tables and sentences ask for the same ones
def duels(
    results: Results, metric: str, method: str, opponents: tuple[str, ...] = ()
) -> list[Duel]:
    """``method``, of ``OURS``, against the best of ``opponents`` on validation (without any: of all
    its competitors) in every setting: with budgets of bytes where the method meets those, else of
    parameters. Without the settings in which no run of both has finished.
    """
    fought = []
    cells = results.tested(in_bytes=method in IN_BYTES)
    cells = cells[[*_SETTING, *RUN, "method", "finished", "validation", "candidates", metric]]
    for setting, block in cells.groupby(_SETTING, sort=False):
        has_run = (block["method"] == method).any()
        rival = best_competitor(block, method, opponents) if has_run else None
        if rival is None:
            continue
        ours, theirs = (block[block["method"] == name] for name in (method, rival))
        found = differences(results, ours, theirs, metric=metric)
        if len(found):
            fought.append(
                Duel(
                    setting=setting,
                    method=method,
                    opponent=rival,
                    candidates=ours["candidates"].max(),
                    opponent_candidates=theirs["candidates"].max(),
                    opponent_means=_means_of_runs(theirs, ours, metric),
                    differences=found,
                )
            )
    return fought


def compare(
    results: Results, metric: str, method: str = "bet", opponents: tuple[str, ...] = ()
) -> pd.DataFrame:
    """A row for each of ``duels``; p is adjusted by Holm over all rows. ``seeds``: how many runs
    were resampled; ``ahead``: in how many of them the mean is higher; ``wins``, ``loses``:
    significantly.
    """
    rows = []
    for duel in duels(results, metric, method, opponents):
        runs = duel.differences
        row: dict[str, Any] = dict(zip(_SETTING, duel.setting, strict=True))
        row |= {name: getattr(duel, name) for name in _OF_DUEL}
        row |= {"metric": metric, "seeds": len(runs), "ahead": int((runs.mean(axis=1) > 0).sum())}
        row["opponent_mean"] = duel.opponent_means.mean()
        rows.append(row | _numbers(runs))
    frame = pd.DataFrame(rows, columns=[*_SETTING, *_COMPARED])
    frame["p_holm"] = holm(frame["p"].to_numpy(dtype=np.float64))
    significant = frame["p_holm"] < SIGNIFICANT
    frame["wins"] = significant & (frame["difference"] > 0)
    frame["loses"] = significant & (frame["difference"] < 0)
    return frame


def overall(
    results: Results, metric: str, method: str = "bet", opponents: tuple[str, ...] = ()
) -> pd.DataFrame:
    """The mean of the differences over all settings of a (dataset, protocol), each over its runs,
    by the users that all of them have, tested as one; a row where there are such users.
    """
    by_group: dict[tuple[str, ...], list[Duel]] = {}
    for duel in duels(results, metric, method, opponents):
        by_group.setdefault(duel.setting[:2], []).append(duel)
    rows = []
    for group, of_group in by_group.items():
        frames = [duel.differences for duel in of_group]
        users = reduce(pd.Index.intersection, (frame.columns for frame in frames))
        if users.empty:
            continue
        by_runs: dict[frozenset[str], list[pd.DataFrame]] = {}
        for frame in frames:
            by_runs.setdefault(frozenset(frame.index), []).append(frame)
        names: dict[str, Any] = dict(zip(_SETTING[:2], group, strict=True))
        names["settings"] = len(frames)
        names["opponent_mean"] = float(np.mean([duel.opponent_means.mean() for duel in of_group]))
        blocks = [_mean(block, users) for block in by_runs.values()]
        rows.append(names | _numbers(*blocks, settings=[*map(len, by_runs.values())]))
    return pd.DataFrame(rows, columns=[*_SETTING[:2], "settings", "opponent_mean", *_NUMBERS])


def _mean(frames: Sequence[pd.DataFrame], users: pd.Index) -> pd.DataFrame:
    """The mean of ``frames``, which have the same runs: (r, u), of ``users``."""
    runs = frames[0].index
    total = sum(frame.loc[runs, users].to_numpy(dtype=np.float64) for frame in frames)
    return pd.DataFrame(total / len(frames), index=runs)


def differences(
    results: Results, ours: pd.DataFrame, theirs: pd.DataFrame, *, metric: str
) -> pd.DataFrame:
    """``ours`` minus ``theirs``, two methods' finished cells, by run that both have and user that
    all of them evaluate (r, u).
    """
    both = ours[RUN].reset_index().merge(theirs[RUN].reset_index(), on=RUN)
    if both.empty:
        return pd.DataFrame()
    by_pair = {}
    for pair, cells in enumerate(both[["cell_id_x", "cell_id_y"]].itertuples(index=False)):
        sides = (results.of_users(cell, metric) for cell in cells)
        by_pair[pair] = next(sides) - next(sides)
    pairs, names = pd.DataFrame(by_pair).dropna(), _runs_of(both).to_numpy()
    by_run = {name: pairs.loc[:, names == name].mean(axis=1) for name in names}
    return pd.DataFrame(by_run).T


def _means_of_runs(cells: pd.DataFrame, others: pd.DataFrame, metric: str) -> pd.Series:
    """The metric of ``cells`` by run that ``others`` have as well."""
    both = cells.merge(others[RUN], on=RUN)
    return both.groupby(_runs_of(both), sort=False)[metric].mean()


def _runs_of(cells: pd.DataFrame) -> pd.Series:
    """The name of the run that each of ``cells`` belongs to: its split, over whose starts and
    searches users' metrics are averaged, since each split has its own, so that they vary with it.
    Where all have one split, a run is a start and search.
    """
    splits = cells["seed"].astype(str)
    if len(cells) == 1 or splits.nunique() > 1:
        return splits
    return cells[RUN].map(str).agg(", ".join, axis=1)


def between(
    results: Results, ours: pd.DataFrame, theirs: pd.DataFrame, *, metric: str
) -> dict[str, float]:
    """``difference``, ``low``, ``high``, ``p`` and ``users`` of two methods' finished cells."""
    return _numbers(differences(results, ours, theirs, metric=metric))


def interval_of_mean(
    results: Results, cells: pd.DataFrame, *, metric: str
) -> tuple[float, float] | None:
    """The 95 % interval of a method's mean ``metric`` over its finished cells, a seed each, seeds,
    then users resampled; None where no user is known.
    """
    by_seed = {cell["seed"]: results.of_users(str(i), metric) for i, cell in cells.iterrows()}
    users = pd.DataFrame(by_seed).dropna()
    return paired(users.T.to_numpy(dtype=np.float64)).interval() if len(users) else None


def is_equivalent(results: Results, cells: pd.DataFrame, full: pd.DataFrame) -> bool:
    """Whether a method's finished ``cells`` are equivalent to those of the ``full`` table: surely
    within ``MARGIN`` of its NDCG@20, on the runs that both have. False without one.
    """
    runs = differences(results, cells, full, metric=METRIC)
    shared = full.loc[full["seed"].isin(cells["seed"]), METRIC]
    margin = MARGIN * shared.mean()
    return bool(len(runs)) and paired(runs.to_numpy(dtype=np.float64)).is_equivalent(margin)


def _numbers(*blocks: pd.DataFrame, settings: Sequence[int] = (1,)) -> dict[str, float]:
    """Of ``blocks`` of differences by run and user, of as many settings each."""
    arrays = (block.to_numpy(dtype=np.float64) for block in blocks)
    tested = paired(*arrays, settings=settings, names=[list(block.index) for block in blocks])
    numbers = (tested.difference, *tested.interval(), tested.p, tested.users)
    return dict(zip(_NUMBERS, numbers, strict=True))


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
    p = float(scipy.stats.friedmanchisquare(*(scores[name] for name in scores)).pvalue)
    quantile = float(scipy.stats.studentized_range.ppf(CONFIDENCE, k, np.inf)) / np.sqrt(2)
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


def best_cells(cells: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """The finished cells of those that ``by`` tells apart whose validation quality ``leads``, a
    cell per seed if ``by`` tells all else apart; of equals the first; empty without any.
    """
    finished = cells[cells["finished"]]
    if finished.empty:
        return finished
    numbers = finished.groupby(list(by), sort=False).ngroup()
    values = finished.pivot_table("validation", "seed", numbers)
    return finished[numbers == leads(values).idxmax()]


def best_on_validation(cells: pd.DataFrame) -> str | None:
    """The method of ``best_cells(cells)``; None without one."""
    best = best_cells(cells)
    return None if best.empty else str(best["method"].iloc[0])
