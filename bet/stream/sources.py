"""Streams by name, and those in files of your own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from bet.data.columns import Columns
from bet.data.memory import check_memory
from bet.data.readers import read_columns
from bet.data.sources import find_source_file
from bet.errors import BetError
from bet.paths import data_dir
from bet.stream.events import Events, arrange
from bet.stream.synthetic import drifting

LATEST_SMALL = "ml-latest-small"
_COUNTS = (671, 9_066, 100_004)  # users, items, interactions


def read_events(
    path: Path | str,
    *,
    columns: Columns | None = None,
    minimum_rating: float | None = None,
    name: str | None = None,
) -> Events:
    """The events of a CSV, TSV, Parquet or RecBole file with a column of timestamps, numbers or
    dates. Raises BetError, naming file, line or column, and remedy, on one that cannot be read.
    """
    path = Path(path)
    if path.is_file():
        check_memory([path])
    columns = columns or Columns()
    frame = read_columns(path, columns, minimum_rating is not None)
    if "timestamp" not in frame:
        raise BetError(
            f"{path}: no column {columns.timestamp!r}; a stream needs one with the time of every "
            "interaction: say which (--timestamp-column)"
        )
    if minimum_rating is not None:
        frame = frame[frame["rating"] >= minimum_rating]
        if frame.empty:
            raise BetError(f"{path}: no rating reaches {minimum_rating}; lower the minimum rating")
    return arrange(name or path.stem, frame["user"], frame["item"], frame["timestamp"])


def load_events(name: str | Path) -> Events:
    """The stream called ``name``, or in the file of that path; raises BetError for another one."""
    if name in STREAMS:
        return STREAMS[str(name)]()
    if not Path(name).is_file():
        raise BetError(
            f"unknown stream {str(name)!r}: no such file, and known are {', '.join(STREAMS)}"
        )
    return read_events(name)


def _movielens() -> Events:
    name = "movielens-100k"
    return read_events(find_source_file(name, "ml-100k.inter"), name=name)


def latest_small(path: Path | None = None) -> Events:
    """MovieLens-latest-small of 2016, out of the R data file of the package dslabs: ``path``, or
    ``$BET_DATA/ml-latest-small/movielens.rda`` (or ``.RData``). Raises BetError where it, or the
    package that reads it, is absent.
    """
    folder = data_dir()
    if path is None and folder is not None:
        found = [folder / LATEST_SMALL / f"movielens.{ending}" for ending in ("rda", "RData")]
        path = next((file for file in found if file.is_file()), None)
    if path is None:
        raise BetError(
            f"{LATEST_SMALL}: no $BET_DATA/{LATEST_SMALL}/movielens.rda; it is in the R package "
            "dslabs (Debian: r-cran-dslabs), docs/own_data.md says how to get it"
        )
    try:
        import rdata
    except ImportError as error:
        raise BetError(f"{path}: an R data file needs rdata: pip install 'bet[rdata]'") from error
    try:
        frame = rdata.read_rda(path)["movielens"]
        columns = [pd.Series(frame[each]) for each in ("userId", "movieId", "timestamp")]
    except Exception as error:  # a damaged file can raise almost anything
        raise BetError(
            f"{path}: not dslabs' data frame 'movielens' ({error}); get the file again"
        ) from error
    return arrange(LATEST_SMALL, *columns)


def _checked_latest_small() -> Events:
    events = latest_small()
    counts = (len(events.user_ids), len(events.item_ids), len(events))
    if counts != _COUNTS:
        raise BetError(
            f"{LATEST_SMALL}: {counts} users, items and interactions instead of {_COUNTS}; get "
            "dslabs' movielens.rda again"
        )
    return events


STREAMS: dict[str, Callable[[], Events]] = {
    "tiny-drift": partial(drifting, 150, 80, 6_000, name="tiny-drift"),
    "drift": partial(drifting, 600, 500, 60_000, name="drift"),
    "movielens-100k": _movielens,
    LATEST_SMALL: _checked_latest_small,
}
