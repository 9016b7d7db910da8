"""The numbers behind a report's answers: what serves best in how many bytes, which table is best at
which size, whether training had ended.
"""

from functools import lru_cache
from typing import Any

import pandas as pd

from bet.actions import bounds_serving
from bet.analysis.results import (
    METRIC,
    NO_BUDGET,
    REFERENCE,
    TABLE_BYTES,
    TO_SERVE,
    Group,
    Results,
)
from bet.analysis.statistics import best_cells, best_on_validation, between, is_equivalent
from bet.analysis.summaries import SETTING, share
from bet.methods import IN_BYTES

SIZES = (6.4, 12.8, 25.6, 51.2, 102.4)  # bytes per entity to serve
EVALUATIONS = 4  # of a model while it trains: fewer make no curve
NEAR = 0.05  # bytes per entity within which two limits are the same
PAIRED = ["difference", "low", "high"]
_BEST = ["at most", *SETTING, "holds", TO_SERVE, TABLE_BYTES, "recall@20", METRIC, "validation"]
_BEST += ["of full", "equivalent", *("full " + name for name in (TO_SERVE, *PAIRED))]
_BEST += ["rival backbone", "rival", "rival " + METRIC, *PAIRED]
_TABLES = ["backbone", "sparsity", "bytes", "float32", "float32_share"]
_TABLES += ["float32_equivalent", "packed", "packed_share", "packed_equivalent", *PAIRED]


@lru_cache(maxsize=64)  # tables and sentences ask for the same ones
def best_to_serve(results: Results, group: Group) -> pd.DataFrame:
    """A row per size of ``SIZES`` (``at most`` so many bytes per entity to serve): the best of all
    that has run and fits, and as ``rival`` the best searched or float32 table that does, which may
    be the same. The last size only where it changes the answer.

    Both are chosen on validation, of equals the smaller; a number is the mean over all seeds. ``of
    full``: NDCG@20 over the full LightGCN's, whether it is ``equivalent``, and the ``full
    difference`` with its interval; ``difference``: best minus rival per user.
    """
    cells = group.of(results.by_bytes)
    full = cells[(cells["backbone"] == "lightgcn") & (cells["method"] == "full")]
    cells = cells.sort_values(TO_SERVE, kind="stable")
    largest = cells.groupby(SETTING)[TO_SERVE].transform("max")
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        fits = cells[largest <= size]  # with every seed
        best = best_cells(fits, SETTING)
        if best.empty:
            continue
        table = best_cells(fits[_searched_or_float32(fits)], SETTING)
        means = best[[TO_SERVE, TABLE_BYTES, "recall@20", METRIC, "validation"]].mean()
        row = {"at most": size, **best[SETTING].iloc[0], **means}
        row |= {"holds": best["serving form"].iloc[0], "of full": share(best, full)}
        row |= {"equivalent": is_equivalent(results, best, full)}
        row["full " + TO_SERVE] = full[TO_SERVE].mean()
        if set(full["seed"]) & set(best["seed"]):
            beside_full = between(results, best, full, metric=METRIC)
            row |= {f"full {name}": beside_full[name] for name in PAIRED}
        if set(table["seed"]) & set(best["seed"]):
            names = {"rival backbone": table["backbone"].iloc[0], "rival": table["method"].iloc[0]}
            row |= names | {"rival " + METRIC: table[METRIC].mean()}
            if not (best[SETTING].iloc[0] == table[SETTING].iloc[0]).all():
                row |= between(results, best, table, metric=METRIC)
        if size != SIZES[-1] or not rows or any(rows[-1][name] != row[name] for name in SETTING):
            rows.append(row)
    return pd.DataFrame(rows, columns=_BEST)


def _searched_or_float32(cells: pd.DataFrame) -> pd.Series:
    searched, packed = cells["method"].str.startswith("bet"), cells["method"].isin(IN_BYTES)
    return searched | ~(packed | (cells["backbone"] == REFERENCE))


@lru_cache(maxsize=64)
def best_tables(results: Results, group: Group) -> pd.DataFrame:
    """A row per backbone and sparsity where the full table has finished: the best ``float32`` and
    the best ``packed`` method (quantized, coded, hashed) whose files are limited to as many bytes
    per entity, both chosen on validation.

    A share is the mean NDCG@20 on test over the full table's, with whether it is equivalent;
    difference: packed minus float32 per user, with its interval. Packed columns are empty where
    none has run.
    """
    rows = []
    for backbone, cells in group.of(results.by_bytes).groupby("backbone", sort=False):
        full = cells[cells["method"] == "full"]
        packed = cells[~cells["budget"].map(bounds_serving)]
        limits = packed["limit_bytes"].astype(float) / packed["entities"]
        for budget, floats in cells[cells["limit"].notna()].groupby("budget", sort=False):
            size = float(4 * (floats["limit"] / floats["entities"]).iloc[0])
            # The float32 numbers alone take as many bytes as the whole packed file.
            theirs, ours = best_cells(floats), best_cells(packed[(limits - size).abs() < NEAR])
            seeds = set(theirs["seed"]) & set(full["seed"])
            if not seeds:
                continue
            row: dict[str, Any] = {"backbone": backbone, "sparsity": budget, "bytes": size}
            if both := seeds & set(ours["seed"]):
                seeds = both
                row |= between(results, ours, theirs, metric=METRIC)
                row["packed"] = ours["method"].iloc[0]
                row["packed_share"] = share(ours, full, seeds)
                row["packed_equivalent"] = is_equivalent(results, ours, full)
            row["float32"] = theirs["method"].iloc[0]
            row["float32_share"] = share(theirs, full, seeds)
            row["float32_equivalent"] = is_equivalent(results, theirs, full)
            rows.append(row)
    return pd.DataFrame(rows, columns=_TABLES)


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


def curves(results: Results, group: Group) -> pd.DataFrame:
    """Quality on validation by ``epoch`` of full tables and of ``su`` under its smallest budget:
    backbone, method, budget, seed, epoch, quality; of models evaluated at least four times.
    """
    cells = group.of(results.main)
    cells = cells[cells["finished"]]
    equal = cells[cells["method"] == "su"]
    narrow = equal[equal["limit"] == equal.groupby("backbone")["limit"].transform("min")]
    rows = []
    for cell_id, cell in pd.concat([cells[cells["method"] == "full"], narrow]).iterrows():
        record = results.record(str(cell_id))
        curve = () if record is None else record.learning_curve
        names = tuple(cell[[*SETTING, "seed"]])
        if len(curve) >= EVALUATIONS:
            rows += [(*names, point.epoch, point.quality) for point in curve]
    return pd.DataFrame(rows, columns=[*SETTING, "seed", "epoch", "quality"])


def budget_use(results: Results) -> pd.Series:
    """The share of its limit that every table with a limit of parameters uses."""
    return (results.cells["parameters"] / results.cells["limit"]).dropna()
