"""Studies made of one real record, whose numbers are set by hand."""

import copy
import dataclasses

import msgspec
import numpy as np
import pandas as pd

from bet.analysis.results import METRICS, Results
from bet.backbones import NO_BACKBONE
from bet.methods import REFERENCES
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import Record

USERS, ENTITIES = 40, 1000
BASE = {
    "full": 0.5,
    "su": 0.30,
    "sr": 0.25,
    "powerlaw": 0.33,
    "bet": 0.36,
    "bet-random": 0.34,
    "bet-simple": 0.35,
}
RIVALS = BASE | {"magnitude": 0.40, "esapn": 0.20, "amtl": 0.31}


def smoke_cell(backbone, budget, method, seed=0, **others):
    return Cell("tiny", backbone, budget, method, seed, profile="smoke", **others)


def cells_of(backbones=("lightgcn", "ncf"), budgets=("80%", "90%"), seeds=(0, 1)):
    """Every method of ``BASE``, and searches with another T and m."""
    cells = []
    for seed in seeds:
        for backbone in backbones:
            cells.append(smoke_cell(backbone, "none", "full", seed))
            for budget in budgets:
                cells += [smoke_cell(backbone, budget, m, seed) for m in BASE if m != "full"]
        for method in ("bet", "bet-random"):
            cells.append(smoke_cell("lightgcn", "90%", method, seed, iterations=50))
        cells += [smoke_cell("lightgcn", "90%", "bet", seed, actions=m) for m in (20, 40)]
    return tuple(cells)


def with_rivals(seeds=(0, 1)):
    """``cells_of`` with three competitors, two of them also without a budget."""
    cells = list(cells_of())
    for seed in seeds:
        for backbone in ("lightgcn", "ncf"):
            for budget in ("80%", "90%", "none"):
                names = ("esapn", "amtl") if budget == "none" else ("magnitude", "esapn", "amtl")
                cells += [smoke_cell(backbone, budget, method, seed) for method in names]
    return tuple(cells)


def record_content(template, cell, test, validation):
    """A copy of ``template``, a record as dicts, for ``cell``; ``test``: metric -> value."""
    content = copy.deepcopy(template)
    names = dataclasses.asdict(cell)
    absent = {"budget": "none", "iterations": 0, "actions": 0}
    content["cell"] = {n: None if value == absent.get(n) else value for n, value in names.items()}
    content["cell_id"] = cell.id
    content["metrics"]["test"] |= test
    content["metrics"]["validation"]["quality"] = validation
    return content


def serve(content, graph=0.0):
    """Let the file to serve hold the table and, of ``graph`` bytes per entity, the interactions."""
    interactions, size = round(graph * ENTITIES), content["size"]["bytes"]
    form = "table and interactions" if graph else "table"
    if content["cell"]["backbone"] == NO_BACKBONE:
        form = "interactions"
    content["serving"] = {
        "form": form,
        "bytes": size + interactions,
        "interactions": interactions,
        "weights": 0,
        "seen_bytes": 0 if graph else 9 * ENTITIES,
        "id_bytes": 3 * ENTITIES,
    }


def noisy_study(template, cells, *, left_out=(), base=BASE, validation=None, change=None):
    """Results whose test and validation quality follow ``base``; users differ at random.

    change: called with every record's content before it is made one.
    """
    records, rows = [], []
    for i, cell in enumerate(cells):
        if cell.id in left_out:
            continue
        noise = 0.02 * np.random.default_rng(i).standard_normal((len(METRICS), USERS))
        values = dict(zip(METRICS, np.clip(base[cell.method] + noise, 0, 1), strict=True))
        test = {name: float(value.mean()) for name, value in values.items()}
        content = record_content(template, cell, test, (validation or base)[cell.method])
        share = {"80%": 0.2, "90%": 0.1}.get(cell.budget, 1.0)
        limit = int(share * content["size"]["full_parameters"])
        content["size"] |= {"limit": None if share == 1 else limit, "parameters": limit}
        if cell.method in ("full", "su", "sr"):
            content["search"] = None
        serve(content, graph=10.0)
        if change:
            change(content)
        records.append(msgspec.convert(content, Record))
        rows.append(pd.DataFrame({"cell_id": cell.id, "user": range(USERS), **values}))
    empty = pd.DataFrame(columns=["cell_id", "user", *METRICS])
    return Results("smoke", tuple(records), pd.concat([*rows, empty]) if rows else empty)


def sized_study(
    template,
    quality,
    *,
    graph=0.0,
    seeds=None,
    backbone="lightgcn",
    protocol="clean",
    change=None,
):
    """Results with given table bytes per entity and qualities: method -> budget -> (bytes per
    entity, limit in bytes per entity or None, mean quality); users differ by their own level.

    graph: bytes per entity that serving takes besides; all bytes of a reference are for that.
    """
    places = [("full", "none", (257.0, None, 0.5))]
    for method, points in quality.items():
        places += [(method, budget, point) for budget, point in points.items()]
    records, rows, cells = [], [], []
    level = np.linspace(-0.05, 0.05, USERS)
    for method, budget, (size, limit, mean) in places:
        for seed in (seeds or {}).get(method, (0,)):
            bare = method in REFERENCES
            on = NO_BACKBONE if bare else backbone
            cell = smoke_cell(on, budget, method, seed, protocol=protocol)
            cells.append(cell)
            content = record_content(template, cell, dict.fromkeys(METRICS, mean), mean)
            counts = {"users": 600, "items": ENTITIES - 600, "train": 7000, "validation": 1000}
            content["data"] |= counts
            limited = limit is None and budget != "none"
            content["size"] |= {
                "bytes": 0 if bare else round(size * ENTITIES),
                "limit": round((size - 1) * ENTITIES / 4) if limited else None,
                "limit_bytes": round(limit * ENTITIES) if limit else None,
            }
            serve(content, size if bare else graph)
            if change:
                change(content)
            records.append(msgspec.convert(content, Record))
            values = dict.fromkeys(METRICS, mean + level)
            rows.append(pd.DataFrame({"cell_id": cell.id, "user": range(USERS), **values}))
    return tuple(cells), Results("smoke", tuple(records), pd.concat(rows))


def only_cells(patch, cells):
    """Make ``cells`` the ones of profile smoke."""
    patch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], cells=tuple(cells)))
