"""The record of a finished run of a streaming method, a part for every segment."""

from typing import Annotated, Any

from msgspec import Meta

from bet.study.part import Part
from bet.study.record import (
    Count,
    Digest,
    FinishedRun,
    Host,
    Metrics,
    Positive,
    Record,
    Seconds,
    Settings,
    Share,
    Versions,
)


class StreamNumbers(Settings, frozen=True):
    """Every number that the run was made with; ``stream``: how it was cut."""

    stream: dict[str, Any] = {}


class StreamCounts(Part, frozen=True):
    """The events; ``recurring``: share of the users of every segment but the first who had been in
    an earlier one.
    """

    name: str
    hash: Digest
    users: Count
    items: Count
    events: Count
    recurring: tuple[Share, ...]


class SegmentPart(Part, frozen=True):
    """A finished segment: who is known, events by part, what the table takes, how it does.

    ``unknown``: test events of whoever appeared after training. ``user_share``: of the columns.
    ``wasted``: share of the items' columns that are of items nobody asks for at the segment's end,
    where that is known.
    """

    number: Count
    users: Count
    items: Count
    train: Count
    validation: Count
    test: Count
    unknown: Count
    limit_bytes: Positive | None
    bytes: Positive
    parameters: Count
    user_share: Share
    short_trainings: Count
    epochs: Count
    quality: Share  # on validation
    metrics: Metrics  # on test
    facts: dict[str, float | str]
    wasted: Share | None = None


class Followed(Part, frozen=True):
    """An item over the segments: training frequency, and columns; 0 before it is known."""

    item: str
    frequency: tuple[Count, ...]
    size: tuple[Count, ...]


class SegmentSeconds(Part, frozen=True):
    """By the clock, of every segment: choosing sizes, training, testing."""

    total: Seconds
    size: tuple[Seconds, ...]
    train: tuple[Seconds, ...]
    test: tuple[Seconds, ...]


class StreamRun(Part, frozen=True):
    """What was measured, and where."""

    commit: str | None
    versions: Versions
    host: Host
    seconds: SegmentSeconds
    peak_memory_bytes: Positive


class StreamRecord(FinishedRun, frozen=True):
    """One finished run of a streaming method. ``rising`` and ``falling``: the items whose training
    frequency grows and shrinks most.
    """

    settings: StreamNumbers
    data: StreamCounts
    segments: Annotated[tuple[SegmentPart, ...], Meta(min_length=1)]
    rising: tuple[Followed, ...]
    falling: tuple[Followed, ...]
    run: StreamRun
    per_user_digest: Digest | None = None  # None: its rows are not written yet


AnyRecord = Record | StreamRecord


def record_type(is_stream: bool) -> type[Record] | type[StreamRecord]:
    """Of the cells of a profile, or of one."""
    return StreamRecord if is_stream else Record
