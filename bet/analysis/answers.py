"""The numbers behind a report's answers: what is best at which size, how much of the full table's
quality is kept, whether training had ended.
"""

from functools import lru_cache
from typing import Any

import pandas as pd

from bet.analysis.results import METRIC, NO_BUDGET, Group, Results
from bet.analysis.statistics import best_on_validation, between

NEAR = 0.05  # bytes per entity within which two limits are the same
COLUMNS = ["backbone", "sparsity", "bytes", "float32", "float32_share"]
COLUMNS += ["packed", "packed_share", "difference", "low", "high"]


@lru_cache(maxsize=64)  # tables and sentences ask for the same ones
def best_at_sizes(results: Results, group: Group) -> pd.DataFrame:
    """A row per backbone and sparsity where the full table has finished: the best ``float32`` and
    the best ``packed`` method (quantized, coded, hashed) in as many bytes per entity, both chosen
    on validation.

    A share is the mean NDCG@20 on test over the full table's; difference: packed minus float32 per
    user, with its interval. Packed columns are empty where none has run.
    """
    rows = []
    for backbone, cells in group.of(results.by_bytes).groupby("backbone", sort=False):
        full = cells[cells["method"] == "full"]
        for budget, floats in cells[cells["limit"].notna()].groupby("budget", sort=False):
            size = float(4 * (floats["limit"] / floats["entities"]).iloc[0])
            # The float32 numbers alone take as many bytes as the whole packed file.
            limits = cells["limit_bytes"].astype(float) / cells["entities"]
            theirs, ours = _best(floats), _best(cells[(limits - size).abs() < NEAR])
            seeds = set(theirs["seed"]) & set(full["seed"])
            if not seeds:
                continue
            row: dict[str, Any] = {"backbone": backbone, "sparsity": budget, "bytes": size}
            if both := seeds & set(ours["seed"]):
                seeds = both
                row |= vars(between(results, ours, theirs, metric=METRIC))
                row["packed"] = ours["method"].iloc[0]
                row["packed_share"] = _share(ours, full, seeds)
            row["float32"] = theirs["method"].iloc[0]
            row["float32_share"] = _share(theirs, full, seeds)
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _best(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the best method on validation."""
    return cells[cells["method"] == best_on_validation(cells)]


def _share(cells: pd.DataFrame, full: pd.DataFrame, seeds: set[int]) -> float:
    of_seeds = [side.loc[side["seed"].isin(seeds), METRIC] for side in (cells, full)]
    return of_seeds[0].mean() / of_seeds[1].mean()


def shown_methods(cells: pd.DataFrame, always: tuple[str, ...], most: int) -> list[str]:
    """At most ``most`` methods of ``cells`` for a picture: those of ``always`` and, of the others,
    those most often the best of their setting on validation.
    """
    present = [method for method in always if (cells["method"] == method).any()]
    others = cells[~cells["method"].isin(always) & (cells["budget"] != NO_BUDGET)]
    by_setting = others.groupby(["backbone", "budget"], sort=False)
    best = pd.Series([best_on_validation(block) for _, block in by_setting], dtype=object)
    return (present + list(best.dropna().value_counts(sort=True).index))[:most]


def training_ends(results: Results, group: Group) -> pd.DataFrame:
    """By backbone, over the reported models: how many ``models``, in how many the last epoch was
    the ``best`` on validation, and the mean ``gain`` of the last interval between evaluations.
    """
    cells, rows = group.of(results.main), []
    for record in results.records:
        curve = [epoch.quality for epoch in record.learning_curve]
        if record.cell_id in cells.index and len(curve) > 1:
            last = curve.index(max(curve)) == len(curve) - 1
            rows.append((record.cell.backbone, last, curve[-1] / curve[-2] - 1))
    frame = pd.DataFrame(rows, columns=["backbone", "last", "gain"])
    return frame.groupby("backbone").agg(
        models=("last", "size"), best=("last", "sum"), gain=("gain", "mean")
    )


def budget_use(results: Results) -> pd.Series:
    """The share of its limit that every table with a limit of parameters uses."""
    return (results.cells["parameters"] / results.cells["limit"]).dropna()
