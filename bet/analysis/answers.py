"""The numbers behind a report's answers: what is best at which size, how much of the full table's
quality is kept, whether training had ended.
"""

from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from bet.analysis.results import NO_BUDGET, Group, Results
from bet.analysis.statistics import Paired, best_on_validation, between
from bet.methods import IN_BYTES

METRIC = "ndcg@20"
NEAR = 0.05  # bytes per entity within which two limits are the same


@dataclass(frozen=True)
class Best:
    """The best method of its kind on validation, and its mean quality on test over the full
    table's.
    """

    method: str
    share: float


@dataclass(frozen=True)
class AtSize:
    """What is best within ``bytes_per_entity`` (of float32 numbers at sparsity ``budget``).

    ``packed`` is the best method that stores something else than float32 numbers, None where none
    has run; ``difference`` its lead over ``floats`` per user.
    """

    backbone: str
    budget: str
    bytes_per_entity: float
    floats: Best
    packed: Best | None = None
    difference: Paired | None = None


@lru_cache(maxsize=64)  # tables and sentences ask for the same ones
def best_at_sizes(results: Results, group: Group) -> tuple[AtSize, ...]:
    """Per backbone and sparsity, where the full table has finished; the largest size first."""
    found = []
    for backbone, cells in group.of(results.by_bytes).groupby("backbone", sort=False):
        full = cells[cells["method"] == "full"]
        limited = cells[cells["limit"].notna()]
        for budget, floats in limited.groupby("budget", sort=False):
            size = float(4 * (floats["limit"] / floats["entities"]).iloc[0])
            best = _best(floats, full)
            if best is None:
                continue
            at = AtSize(str(backbone), str(budget), size, best)
            # The float32 numbers alone take as many bytes as the whole quantized file.
            limits = cells["limit_bytes"].astype(float) / cells["entities"]
            packed = cells[(limits - size).abs() < NEAR]
            found.append(_with_packed(results, at, floats, packed, full))
    return tuple(found)


def _with_packed(
    results: Results, at: AtSize, floats: pd.DataFrame, packed: pd.DataFrame, full: pd.DataFrame
) -> AtSize:
    method = best_on_validation(packed)
    if method is None:
        return at
    theirs = floats[floats["method"] == at.floats.method]
    ours = packed[packed["method"] == method]
    seeds = set(ours["seed"]) & set(theirs["seed"]) & set(full["seed"])
    if not seeds:
        return at
    ceiling, packed_quality, float_quality = (
        rows.loc[rows["seed"].isin(seeds), METRIC].mean() for rows in (full, ours, theirs)
    )
    return AtSize(
        at.backbone,
        at.budget,
        at.bytes_per_entity,
        Best(at.floats.method, float_quality / ceiling),
        Best(method, packed_quality / ceiling),
        between(results, ours, theirs, metric=METRIC),
    )


def _best(cells: pd.DataFrame, full: pd.DataFrame) -> Best | None:
    method = best_on_validation(cells)
    if method is None or full.empty:
        return None
    chosen = cells[cells["method"] == method]
    ceiling = full.loc[full["seed"].isin(chosen["seed"]), METRIC].mean()
    return Best(method, float(chosen[METRIC].mean() / ceiling))


def shown_methods(cells: pd.DataFrame, always: tuple[str, ...], most: int) -> list[str]:
    """At most ``most`` methods of ``cells`` for a picture: those of ``always`` and, of the others,
    those most often the best of their setting on validation.
    """
    present = [method for method in always if (cells["method"] == method).any()]
    others = cells[~cells["method"].isin(always) & (cells["budget"] != NO_BUDGET)]
    by_setting = others.groupby(["backbone", "budget"], sort=False)
    best = pd.Series([best_on_validation(block) for _, block in by_setting], dtype=object)
    return (present + list(best.dropna().value_counts(sort=True).index))[:most]


def packed_first(cells: pd.DataFrame, most: int = 6) -> list[str]:
    """The methods that a picture of bytes names: two rules, BET, and the best packed ones."""
    packed = cells[cells["method"].isin((*IN_BYTES, "su", "powerlaw", "bet"))]
    return shown_methods(packed, ("su", "powerlaw", "bet"), most)


@dataclass(frozen=True)
class TrainingLength:
    """Whether training had stopped to improve, over ``models``: in ``last_is_best`` of them the
    last epoch was the best; ``gain``: of the last interval between evaluations, on average.
    """

    backbone: str
    models: int
    last_is_best: int
    gain: float


def training_lengths(results: Results, group: Group) -> list[TrainingLength]:
    """Per backbone, from the reported models' quality on validation."""
    lengths = []
    finished = group.of(results.main)
    for backbone, cells in finished[finished["finished"]].groupby("backbone", sort=False):
        records = [record for record in results.records if record.cell_id in cells.index]
        curves = [[epoch.quality for epoch in record.learning_curve] for record in records]
        curves = [curve for curve in curves if len(curve) > 1]
        if curves:
            gains = [curve[-1] / curve[-2] - 1 for curve in curves]
            last = sum(curve.index(max(curve)) == len(curve) - 1 for curve in curves)
            mean = sum(gains) / len(gains)
            lengths.append(TrainingLength(str(backbone), len(curves), last, mean))
    return lengths


@dataclass(frozen=True)
class BudgetUse:
    """Of the tables with a limit of parameters: how many, how many exceed it, the least share of
    it that one uses.
    """

    tables: int
    over: int
    least: float


def budget_use(results: Results) -> BudgetUse | None:
    """None without a table under such a limit."""
    cells = results.cells[results.cells["limit"].notna()]
    if cells.empty:
        return None
    share = cells["parameters"] / cells["limit"]
    return BudgetUse(len(cells), int((share > 1).sum()), float(share.min()))
