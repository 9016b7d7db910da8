"""A study's records as data frames, read from its results folder or from the bundle that a report
commits.
"""

import json
import logging
import math
import os
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bet.actions import PER_ENTITY
from bet.errors import BetError
from bet.files import atomic_path
from bet.methods import ELEMENTWISE
from bet.study.per_user import COLUMNS, unpack, write_rows
from bet.study.profiles import PROFILES
from bet.study.record import check_record, write_record

log = logging.getLogger(__name__)

RECORDS, PER_USER, UNREACHED = "records.jsonl", "per_user.parquet", "unreached.jsonl"
METRICS = (
    "recall@5",
    "ndcg@5",
    "recall@20",
    "ndcg@20",
)  # shown, as in the paper; records hold more
_SIZE = (
    "limit",
    "limit_bytes",
    "bits",
    "parameters",
    "bytes",
    "full_parameters",
    "tables",
    "backbone_parameters",
)
_SERVED = (
    "users",
    "edges",
    "d_max",
    "width",
    "width_known",
)  # what serving a backbone on a graph takes depends on these
_SECONDS = ("pretrain", "search", "retrain", "evaluate", "total")
_EFFORT = ("finetunings", "trainings", "evaluations", "peak_memory_bytes")


@dataclass(frozen=True)
class Results:
    """``records`` of a profile's finished cells in the profile's order; ``per_user``: cell_id,
    user, hits and test metrics.
    """

    profile: str
    records: tuple[dict, ...]
    per_user: pd.DataFrame
    unreached: tuple[dict, ...] = ()  # cells that ended above their budget: target, reached, why

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell of the profile, finished or not (``finished`` False, numbers NaN);
        index: cell id.
        """
        finished = {record["cell_id"]: _row(record) for record in self.records}
        plain = (
            "dataset",
            "backbone",
            "budget",
            "method",
            "seed",
            "protocol",
            "iterations",
            "actions",
        )
        rows = [
            {"cell_id": cell.id}
            | {name: cell.in_old_spelling()[name] for name in plain}
            | finished.get(cell.id, {"finished": False})
            for cell in PROFILES[self.profile].cells
        ]
        numbers = [
            *METRICS,
            "quality",
            "validation",
            "entities",
            *_SIZE,
            *_SERVED,
            *(f"{name}_seconds" for name in _SECONDS),
            *_EFFORT,
        ]
        return pd.DataFrame(rows, columns=["cell_id", *plain, "finished", *numbers]).set_index(
            "cell_id"
        )

    @cached_property
    def main(self) -> pd.DataFrame:
        """The cells that run with the profile's own T and m, under a budget of parameters or none."""
        own = (self.cells["iterations"] == 0) & (self.cells["actions"] == 0)
        return self.cells[own & ~self.cells["budget"].str.endswith(PER_ENTITY)]

    @cached_property
    def by_bytes(self) -> pd.DataFrame:
        """The finished cells that run with the profile's own T and m, with what their file takes,
        ``bytes_per_entity``.
        """
        own = self.cells[
            (self.cells["iterations"] == 0)
            & (self.cells["actions"] == 0)
            & self.cells["finished"].astype(bool)
        ]
        return own.assign(bytes_per_entity=own["bytes"] / own["entities"])

    @cached_property
    def comparisons(self) -> dict[tuple, pd.DataFrame]:
        """Paired tests by what they compare: tables and sentences ask for the same ones."""
        return {}

    @cached_property
    def curves(self) -> dict[tuple[str, str], list]:
        """Curves with their resamples (``curves.Panel``) by dataset and protocol, for the same
        reason.
        """
        return {}

    @property
    def missing(self) -> list[str]:
        """Ids of the cells without a record."""
        return list(self.cells.index[~self.cells["finished"]])

    def record(self, cell_id: str) -> dict | None:
        """The record of a cell, None when it is missing."""
        return next((record for record in self.records if record["cell_id"] == cell_id), None)


def _row(record: dict) -> dict:
    seconds, size, data = record["seconds"], record["size"], record["data"]
    return {
        "finished": True,
        **record["metrics"]["test"],
        "validation": record["metrics"]["validation"]["quality"],
        "entities": data["users"] + data["items"],
        "users": data["users"],
        "edges": data["train"]
        + (
            data["validation"] if record["cell"]["protocol"] == "merged" else 0
        ),  # of the final model's graph
        "d_max": record["settings"]["d_max"],
        "width": _width(record),
        "width_known": "width" in size,
        **{name: size.get(name) for name in _SIZE},
        **{f"{name}_seconds": seconds.get(name, 0.0) for name in _SECONDS},
        "evaluations": 0,  # older records have none
        **record["effort"],
        "peak_memory_bytes": record["peak_memory_bytes"],
    }


def _width(record: dict) -> int:
    """Columns of the ego matrix, per copy; what an older record lets one know, which is a little
    less where sizes are erratic.
    """
    if "width" in record["size"]:
        return record["size"]["width"]
    if record["cell"]["method"] in ELEMENTWISE:
        return record["settings"]["d_max"]  # pruned numbers are zeros in a matrix of all columns
    return math.ceil(max(size for side in record["sizes"].values() for size in side["size"]))


def load_results(profile: str, results: Path | None, bundle: Path) -> Results:
    """The records in ``results`` or, when it has none, those committed in ``bundle``; cells of
    other ids are left out.

    Raises BetError when a record does not have the form of ``record.schema.json`` or lacks its
    per-user file.
    """
    known = {cell.id: i for i, cell in enumerate(PROFILES[profile].cells)}
    records, per_user = _read(results, "*.json") if results else [], None
    unreached = _read(results, "*.unreached") if results else []
    if not records and not unreached and (bundle / RECORDS).is_file():
        records = _lines(bundle / RECORDS)
        unreached = _lines(bundle / UNREACHED) if (bundle / UNREACHED).is_file() else []
        per_user = unpack(pd.read_parquet(bundle / PER_USER))
    records = sorted(
        (record for record in records if record["cell_id"] in known),
        key=lambda record: known[record["cell_id"]],
    )
    for record in records:
        check_record(record)
    if per_user is None:
        frames = [_read_per_user(results, record) for record in records] if results else []
        per_user = (
            pd.concat(frames, ignore_index=True)
            if frames
            else pd.DataFrame(columns=["cell_id", *COLUMNS, *METRICS])
        )
        per_user["cell_id"] = per_user["cell_id"].astype("category")
    keys = {cell.id: PROFILES[profile].key(cell) for cell in PROFILES[profile].cells}
    current = tuple(found for found in unreached if keys.get(found["cell_id"]) == found["key"])
    return Results(profile, tuple(records), per_user, current)


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _read(folder: Path, pattern: str) -> list[dict]:
    records = []
    for path in sorted(folder.glob(pattern)):
        try:
            records.append(json.loads(path.read_text()))
        except ValueError as error:
            raise BetError(
                f"{path}: not a readable record ({error}); delete it and run the cell again"
            ) from error
    return records


def _read_per_user(folder: Path, record: dict) -> pd.DataFrame:
    path = folder / record["per_user"]
    if not path.is_file():
        raise BetError(
            f"{path}: the per-user metrics of {record['cell_id']} are missing; delete its record and run the cell again"
        )
    frame = unpack(pd.read_parquet(path))
    frame.insert(0, "cell_id", record["cell_id"])
    return frame


def groups(study: Results) -> list[tuple[str, str, str]]:
    """(dataset, protocol, suffix of file names) of every group of comparable cells; no suffix when
    a profile has only one.

    Groups without a finished cell are left out, unless there is no other.
    """
    pairs = list(dict.fromkeys(zip(study.main["dataset"], study.main["protocol"], strict=True)))
    started = [pair for pair in pairs if in_group(study.main, *pair)["finished"].any()]
    return [
        (dataset, protocol, f"_{dataset}_{protocol}" if len(pairs) > 1 else "")
        for dataset, protocol in started or pairs
    ]


def in_group(frame: pd.DataFrame, dataset: str, protocol: str) -> pd.DataFrame:
    """The rows of one group."""
    return frame[(frame["dataset"] == dataset) & (frame["protocol"] == protocol)]


def restore(profile: str, bundle: Path, results: Path) -> int:
    """Put the committed records of ``bundle`` back into ``results``, so that the grid goes on from
    them; how many were put there.

    Left out: cells that ``results`` has, and those whose settings are no longer the profile's.
    Raises BetError without a bundle.
    """
    if not (bundle / RECORDS).is_file():
        raise BetError(f"no records in {bundle}; a report of profile {profile} puts them there")
    study = load_results(profile, None, bundle)
    keys = {cell.id: PROFILES[profile].key(cell) for cell in PROFILES[profile].cells}
    for found in study.unreached:
        with atomic_path(results / f"{found['cell_id']}.unreached") as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n")
    restored, now = 0, time.time()
    for record in study.records:
        path = results / f"{record['cell_id']}.json"
        if path.is_file():
            continue
        if record["key"] != keys[record["cell_id"]]:
            log.warning(
                "%s has other settings than the profile now and is left out", record["cell_id"]
            )
            continue
        rows = study.per_user.loc[study.per_user["cell_id"] == record["cell_id"], COLUMNS]
        write_record(path, record, rows)
        for part in (path, path.with_name(record["per_user"])):
            os.utime(
                part, (now, now)
            )  # one of them newer than another that depends on it would be run again
        restored += 1
    return restored


def write_bundle(study: Results, folder: Path) -> None:
    """What a report was made from: records and cells above their budget as JSON lines, all per-user
    rows as one Parquet.
    """
    for name, records in ((RECORDS, study.records), (UNREACHED, study.unreached)):
        with atomic_path(folder / name) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in records))
    if not study.unreached:
        (folder / UNREACHED).unlink()
    write_rows(study.per_user[["cell_id", *COLUMNS]], folder / PER_USER)
