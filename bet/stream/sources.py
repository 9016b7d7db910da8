"""Streams by name, and those in files of your own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bet.data.columns import Columns
from bet.data.memory import check_memory
from bet.data.readers import read_columns
from bet.data.sources import find_source_file
from bet.errors import BetError
from bet.stream.events import Events, arrange
from bet.stream.latest_small import latest_small
from bet.stream.synthetic import drifting


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


PLANTED = {"tiny-drift": (150, 80, 6_000), "drift": (600, 500, 60_000)}
"""Users, items and draws of the made-up streams, whose ``drift_of(items)`` is known."""

STREAMS: dict[str, Callable[[], Events]] = {
    **{name: partial(drifting, *counts, name=name) for name, counts in PLANTED.items()},
    "movielens-100k": _movielens,
    "ml-latest-small": latest_small,
}
