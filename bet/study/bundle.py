"""All records of a profile: in its results folder, and in the bundle that a report commits.

A bundle's folder holds ``records.jsonl``, ``per_user.parquet`` and, where there are some,
``unreached.jsonl``.
"""

import itertools
import logging
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pandas as pd

from bet.errors import BetError
from bet.files import atomic_files, write_whole
from bet.study.part import RUN_AGAIN, decode, encode
from bet.study.per_user import COLUMNS, columns_of, read_rows, rows_digest, write_rows
from bet.study.profiles import PROFILES
from bet.study.record import FinishedRun, read_record_file, write_record
from bet.study.stream_record import AnyRecord, record_type
from bet.study.unreached import Unreached, text_of

log = logging.getLogger(__name__)

RECORDS, PER_USER, UNREACHED = "records.jsonl", "per_user.parquet", "unreached.jsonl"
EMPTY = pd.DataFrame(columns=["cell_id", *COLUMNS]).astype(dict.fromkeys(COLUMNS, "int32"))
FROM_GIT = "restore it from git"
AnyLine = TypeVar("AnyLine", bound=FinishedRun | Unreached)
Reader = Callable[[str], bytes | None]  # the content of a bundle's file by name, None without it


@dataclass(frozen=True)
class Bundle:
    """``records`` of finished cells in the profile's order; ``per_user``: cell_id, user, positives,
    hits; ``unreached``: cells that ended above their budget.
    """

    profile: str
    records: tuple[AnyRecord, ...]
    per_user: pd.DataFrame
    unreached: tuple[Unreached, ...] = ()


def load(profile: str, results: Path, folder: Path) -> Bundle:
    """The records of ``profile`` in ``results`` or, when it has none, in the bundle in ``folder``.

    A record that equals the bundle's in all but its part ``run`` keeps the bundle's measurements:
    a repeated run changes no committed file. Raises BetError when a record is damaged or lacks its
    per-user file.
    """
    committed, local = read_bundle(profile, reader(folder)), read_results(profile, results)
    if not (local.records or local.unreached):
        return committed
    records = _keep_runs(local.records, committed.records)
    unreached = _keep_commits(local.unreached, committed.unreached)
    return Bundle(profile, records, local.per_user, unreached)


def read_results(profile: str, folder: Path) -> Bundle:
    """What the cells of ``profile`` left in ``folder``. Raises BetError where a file is damaged, or
    another cell's.
    """
    paths, part = sorted(folder.glob("*.json")), record_type(PROFILES[profile].is_stream)
    records = _of_profile(profile, [read_record_file(path, part) for path in paths])
    frames = [_read_per_user(folder, record) for record in records]
    per_user = pd.concat(frames, ignore_index=True) if frames else EMPTY
    unreached = [_read_unreached(path) for path in sorted(folder.glob("*.unreached"))]
    return Bundle(profile, records, per_user, _current(profile, unreached))


def read_bundle(profile: str, read: Reader) -> Bundle:
    """The records of a bundle whose files ``read`` gives; empty without one. Raises BetError where
    one is damaged, or of another bundle.
    """
    part = record_type(PROFILES[profile].is_stream)
    records = _of_profile(profile, _lines(read(RECORDS), part, RECORDS))
    unreached = _lines(read(UNREACHED), Unreached, UNREACHED)
    content = read(PER_USER)
    if content is None and records:
        raise BetError(f"{RECORDS} has no {PER_USER} beside it; restore both from git")
    per_user = EMPTY if content is None else read_rows(content, PER_USER, FROM_GIT)
    if "cell_id" not in per_user:
        raise BetError(f"{PER_USER}: lacks cell_id: of another version; {FROM_GIT}")
    rows = dict(_rows_by_cell(per_user))
    for record in records:
        _check_rows(record, rows.get(record.cell_id, EMPTY), PER_USER, "restore both from git")
    return Bundle(profile, records, per_user, _current(profile, unreached))


def reader(folder: Path) -> Reader:
    """Reads the files of a folder."""
    return lambda name: (folder / name).read_bytes() if (folder / name).is_file() else None


def git_reader(folder: Path) -> Reader | None:
    """Reads the files of ``folder`` as git last committed them; None where git has none of them."""

    def read(name: str) -> bytes | None:
        command = ["git", "show", f"HEAD:./{name}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    try:
        return read if folder.is_dir() and read(RECORDS) is not None else None
    except OSError:  # no git
        return None


def write(bundle: Bundle, folder: Path) -> None:
    """What a report is made from: records and cells above their budget as JSON lines, all per-user
    rows as one Parquet.
    """
    rows = dict(_rows_by_cell(bundle.per_user))
    records = [
        msgspec.structs.replace(record, per_user_digest=rows_digest(rows[record.cell_id]))
        for record in bundle.records
    ]
    per_user = bundle.per_user[["cell_id", *columns_of(bundle.per_user)]]
    with atomic_files(folder) as private:
        for name, lines in {RECORDS: records, UNREACHED: bundle.unreached}.items():
            write_whole(private / name, "".join(encode(line) + "\n" for line in lines).encode())
        if not bundle.unreached:
            (private / UNREACHED).unlink()
        write_rows(per_user, private / PER_USER)
    if not bundle.unreached:
        (folder / UNREACHED).unlink(missing_ok=True)


def restore(profile: str, folder: Path, results: Path) -> int:
    """Put the committed records in ``folder`` back into ``results``, so that the grid goes on from
    them; how many were put there.

    Left out: cells that ``results`` has. Those of other settings than the profile's now are shown
    by a report and run again by the grid. Raises BetError without a bundle.
    """
    if not (folder / RECORDS).is_file():
        raise BetError(f"no records in {folder}; a report of profile {profile} puts them there")
    committed, keys = read_bundle(profile, reader(folder)), profile_keys(profile)
    for unreached in committed.unreached:
        write_whole(results / f"{unreached.cell_id}.unreached", text_of(unreached))
    rows = dict(_rows_by_cell(committed.per_user))
    restored, stale, now = 0, 0, time.time()
    for record in committed.records:
        path = results / f"{record.cell_id}.json"
        if path.is_file():
            continue
        write_record(path, record, rows[record.cell_id][columns_of(committed.per_user)])
        for part in (path, path.with_name(record.per_user)):
            # One of them newer than another that depends on it would be run again.
            os.utime(part, (now, now))
        restored += 1
        stale += record.key != keys[record.cell_id]
    if stale:
        log.warning(
            "%d of them are of other settings than now; 'bet study %s' runs them again",
            stale,
            profile,
        )
    return restored


def profile_keys(profile: str) -> dict[str, str]:
    """Today's key of every cell of ``profile`` by its id."""
    study = PROFILES[profile]
    return {cell.id: study.key(cell) for cell in study.cells}


def _keep_runs(
    records: Sequence[AnyRecord], committed: Sequence[AnyRecord]
) -> tuple[AnyRecord, ...]:
    runs = {record.cell_id: record for record in committed}
    merged = []
    for record in records:
        other = runs.get(record.cell_id, record)
        again = msgspec.structs.replace(record, run=other.run)
        merged.append(again if again == other else record)
    return tuple(merged)


def _keep_commits(
    unreached: Sequence[Unreached], committed: Sequence[Unreached]
) -> tuple[Unreached, ...]:
    others = {_without_commit(other): other for other in committed}
    return tuple(others.get(_without_commit(cell), cell) for cell in unreached)


def _without_commit(cell: Unreached) -> Unreached:
    return msgspec.structs.replace(cell, commit=None)


def _of_profile(profile: str, records: Sequence[AnyRecord]) -> tuple[AnyRecord, ...]:
    """Those of cells that the profile has, in its order. Raises BetError for another profile's."""
    for record in records:
        if record.cell.profile != profile:
            raise BetError(
                f"the record of {record.cell_id} is of profile {record.cell.profile}, not "
                f"{profile}; put it where it belongs"
            )
    places = {cell.id: i for i, cell in enumerate(PROFILES[profile].cells)}
    known = [record for record in records if record.cell_id in places]
    return tuple(sorted(known, key=lambda record: places[record.cell_id]))


def _current(profile: str, unreached: Sequence[Unreached]) -> tuple[Unreached, ...]:
    keys = profile_keys(profile)
    return tuple(cell for cell in unreached if keys.get(cell.cell_id) == cell.key)


def _lines(content: bytes | None, part: type[AnyLine], name: str) -> list[AnyLine]:
    lines = (content or b"").splitlines()
    parts = [decode(line, part, f"{name}, line {i}", FROM_GIT) for i, line in enumerate(lines, 1)]
    for cell_id, count in Counter(part.cell_id for part in parts).items():
        if count > 1:
            raise BetError(f"{name}: {count} lines of {cell_id}; {FROM_GIT}")
    return parts


def _read_unreached(path: Path) -> Unreached:
    unreached = decode(path.read_bytes(), Unreached, str(path))
    if unreached.cell_id != path.stem:
        raise BetError(f"{path}: of another cell, {unreached.cell_id}; {RUN_AGAIN}")
    return unreached


def _read_per_user(folder: Path, record: AnyRecord) -> pd.DataFrame:
    path, remedy = folder / record.per_user, "delete its record and run the cell again"
    if not path.is_file():
        raise BetError(f"{path}: the per-user metrics of {record.cell_id} are missing; {remedy}")
    frame = read_rows(path.read_bytes(), str(path), remedy)
    _check_rows(record, frame, str(path), remedy)
    frame.insert(0, "cell_id", record.cell_id)
    return frame


def _rows_by_cell(per_user: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of every cell, which stand together."""
    cell_ids = per_user["cell_id"].to_numpy()
    changes = np.flatnonzero(cell_ids[1:] != cell_ids[:-1]) + 1
    ends = [0, *changes, len(cell_ids)]
    for first, end in itertools.pairwise(ends):
        if end > first:
            yield str(cell_ids[first]), per_user.iloc[first:end]


def _check_rows(record: AnyRecord, frame: pd.DataFrame, source: str, remedy: str) -> None:
    """Raise BetError unless ``frame`` holds what the users of ``record`` got, by its digest."""
    if record.per_user_digest is None:
        raise BetError(
            f"{source}: the record of {record.cell_id} has no digest of them, it is of an earlier "
            "version; delete it and run the cell again"
        )
    if rows_digest(frame) != record.per_user_digest:
        raise BetError(
            f"{source}: damaged, or not the per-user metrics of {record.cell_id}; {remedy}"
        )
