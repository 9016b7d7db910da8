"""Means over seeds: quality by method, by bytes, and what cells cost."""

import msgspec
import pandas as pd

from bet.analysis.results import (
    METRIC,
    NO_BUDGET,
    REFERENCE,
    RUN,
    TABLE_BYTES,
    TO_SERVE,
    Group,
    Results,
)
from bet.analysis.statistics import is_equivalent, leads

SETTING = ["backbone", "method", "budget"]
STAGES = ["pretrain_seconds", "search_seconds", "retrain_seconds", "total_seconds"]
COUNTS = ["finetunings", "short_trainings", "trainings", "evaluations"]


def over_seeds(cells: pd.DataFrame, metric: str, by: list[str] = SETTING) -> pd.DataFrame:
    """``mean``, sample deviation ``std`` and ``count`` of ``metric``; a row for each of ``by``."""
    return cells.groupby(by, sort=False)[metric].agg(["mean", "std", "count"])


def selected_after(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells with a longer search, and what each selected after T iterations: method, budget, T,
    quality on validation, metrics on test.
    """
    cells = results.cells[results.cells["finished"]]
    cells = cells[cells["iterations"].notna()]
    rows = []
    for cell_id in cells.index:
        record = results.record(str(cell_id))
        assert record is not None
        names = {"method": record.cell.method, "budget": record.cell.budget}
        for winner in record.search.winners if record.search else ():
            test = msgspec.to_builtins(winner.test)
            rows.append(names | test | {"T": winner.t, "quality": winner.quality})
    return cells, pd.DataFrame(rows)


def best_settings(cells: pd.DataFrame, metric: str) -> set[tuple[str, str, str]]:
    """Backbone, method and budget whose ``metric`` ``leads``, where another method ran, too."""
    best = set()
    finished = cells[cells["finished"] & (cells["budget"] != NO_BUDGET)]
    for (backbone, budget), block in finished.groupby(["backbone", "budget"]):
        ahead = leads(block.pivot_table(metric, "seed", "method"))
        if len(ahead) > 1:
            best |= {(backbone, method, budget) for method in ahead.index[ahead == ahead.max()]}
    return best


def share(cells: pd.DataFrame, full: pd.DataFrame, seeds: set[int] | None = None) -> float:
    """Mean NDCG@20 of ``cells`` over that of ``full``, of ``seeds`` or those that both have."""
    seeds = set(cells["seed"]) & set(full["seed"]) if seeds is None else seeds
    of_seeds = [side.loc[side["seed"].isin(seeds), METRIC] for side in (cells, full)]
    return of_seeds[0].mean() / of_seeds[1].mean()


def quality_by_bytes(results: Results, group: Group) -> pd.DataFrame:
    """A row per backbone, budget, method, by bytes to serve: these, the table's bytes, quality on
    test, also relative to the full table's, and whether it is equivalent to that.
    """
    means = [TO_SERVE, TABLE_BYTES, "recall@20", "ndcg@20", "validation", "entities", "tables"]
    names = ["backbone", "budget", "method", "serving form", "parameters", *RUN, *means]
    cells = group.of(results.by_bytes)[names]  # a record has a hundred columns
    grouped = cells.groupby(["backbone", "budget", "method"], sort=False)
    data = grouped.agg(
        seeds=("seed", "nunique"),
        holds=("serving form", "first"),
        columns=("parameters", "mean"),
        **{name: (name, "mean") for name in means},
    ).reset_index()
    data["columns"] /= data.pop("entities") * data.pop("tables")
    full = cells[cells["method"] == "full"]
    pairs = [(runs, full[full["backbone"] == setting[0]]) for setting, runs in grouped]
    data["of full"] = [share(*pair) for pair in pairs]
    data["equivalent"] = [is_equivalent(results, *pair) for pair in pairs]
    place = {backbone: i for i, backbone in enumerate(dict.fromkeys(data["backbone"]))}
    order = data.assign(place=data["backbone"].map(place))
    return data.loc[order.sort_values(["place", TO_SERVE, TABLE_BYTES]).index]


def cost(results: Results, group: Group) -> pd.DataFrame:
    """A row per backbone and method, means over budgets and seeds: seconds by stage, models trained
    and tried; the largest peak of memory.
    """
    cells = group.of(results.main)
    cells = cells[cells["finished"]]
    own = (cells["budget"] == NO_BUDGET) & (cells["method"] != "full")
    own &= cells["backbone"] != REFERENCE
    cells = cells.assign(method=cells["method"].where(~own, cells["method"] + " (own)"))
    data = (
        cells.groupby(["backbone", "method"], sort=False)
        .agg(
            cells=("finished", "size"),
            **{name: (name, "mean") for name in [*STAGES, *COUNTS]},
            peak_memory_MB=("peak_memory_bytes", "max"),
        )
        .reset_index()
    )
    data["peak_memory_MB"] /= 1e6
    return data
