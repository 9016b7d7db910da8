"""Streams by name, and those in files of your own."""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bet.data.columns import Columns
from bet.data.memory import check_memory
from bet.data.readers import read_pairs
from bet.data.sources import find_source_file
from bet.errors import BetError
from bet.stream.events import Events, arrange
from bet.stream.latest_small import latest_small
from bet.stream.synthetic import drifting
from bet.text import quoted

log = logging.getLogger(__name__)


def read_events(
    path: Path | str,
    *,
    columns: Columns | None = None,
    minimum_rating: float | None = None,
    name: str | None = None,
) -> Events:
    """The events of a CSV, TSV, Parquet or RecBole file with a column of timestamps, numbers or
    dates (of which a number is the seconds since 1970). What was read is summed up in a line of the
    log. Raises BetError, naming file, line or column, and remedy, on one that cannot be read.
    """
    path = Path(path)
    if path.is_file():
        check_memory([path])
    columns = columns or Columns()
    further = ["timestamp"] if minimum_rating is None else ["timestamp", "rating"]
    pairs = read_pairs(path, columns, further)
    frame, times = pairs.frame, pairs.times
    if "timestamp" not in frame:
        raise BetError(
            f"{path}: a file without times; a stream needs that of every interaction: take CSV, "
            "TSV, Parquet or RecBole"
        )
    if minimum_rating is not None:
        frame = frame[frame["rating"] >= minimum_rating]
        if frame.empty:
            raise BetError(f"{path}: no rating reaches {minimum_rating}; lower the minimum rating")
    events = arrange(name or path.stem, frame["user"], frame["item"], frame["timestamp"])
    dropped = len(pairs.frame) - len(events)
    log.info(
        "%s: %s users, %s items, %s interactions; %s%s",
        path,
        *(f"{n:,}" for n in (len(events.user_ids), len(events.item_ids), len(events))),
        f"{dropped:,} dropped (repeated or rated lower)" if dropped else "none dropped",
        f"; times {' to '.join(dict.fromkeys(times))}" if times else "",
    )
    return events


def load_events(name: str | Path) -> Events:
    """The stream called ``name``, or in the file of that path; raises BetError for another one."""
    if name in STREAMS:
        return STREAMS[str(name)]()
    if not os.path.isfile(name):
        raise BetError(
            f"unknown stream {quoted(name)}: no such file, and known are {', '.join(STREAMS)}"
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
