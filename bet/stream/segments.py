"""A stream cut into segments by global time; each has a train, a validation and a test part of its
own time, and a reservoir of older interactions to replay.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from bet.errors import BetError, check_between
from bet.seeds import numpy_generator
from bet.stream.events import Events

TRAIN, VALIDATION = 0.7, 0.1  # of a segment's events, in order of time; the rest is test
REPLAY = 0.2  # of all older events
MOST_SEGMENTS, MOST_ENTITIES = 10**6, 10**9


@dataclass(frozen=True)
class StreamSettings:
    """Where segments end, and what their tables may be. ``new_entities``: a segment ends whenever
    so many users and items that nobody has seen before have appeared (SCALL); None: there are
    ``count`` segments of equally many events. ``replay``: the share of older events that is trained
    on again. ``empty_rows``: rows may have no columns, where the backbone reads a graph.

    Raises BetError on numbers that cut nothing.
    """

    count: int = 6
    new_entities: int | None = None
    replay: float = REPLAY
    empty_rows: bool = False

    def __post_init__(self):
        check_between("count of segments", self.count, 1, MOST_SEGMENTS)
        if self.new_entities is not None:
            check_between("new_entities of segments", self.new_entities, 1, MOST_ENTITIES)
        if not 0 <= self.replay <= 1:
            raise BetError(f"replay is a share of older interactions in [0, 1], got {self.replay}")


@dataclass(frozen=True)
class Segment:
    """Events ``start`` to ``end`` of a stream: the first to ``train_end`` are trained on, the next
    to ``validation_end`` validate, the rest test.
    """

    number: int
    start: int
    train_end: int
    validation_end: int
    end: int

    @classmethod
    def of(cls, number: int, start: int, end: int) -> "Segment":
        """70, 10 and 20 % of the events, in order of time.

        >>> Segment.of(0, 0, 10)
        Segment(number=0, start=0, train_end=7, validation_end=8, end=10)
        """
        n = end - start
        train_end, validation_end = (start + round(n * at) for at in (TRAIN, TRAIN + VALIDATION))
        return cls(number, start, train_end, validation_end, end)


@dataclass(frozen=True, eq=False)
class SegmentData:
    """What a segment is trained, validated and tested on, |U| and |V| being those who have
    appeared before its validation starts: binary CSR (|U|, |V|) each.

    ``train``: its train part and what is replayed. ``known``: all that came before validation; it
    is not recommended again, neither on validation nor on test, which leaves out validation, too.
    ``unknown``: test events of users or items who appear later than
    training; nobody can be ranked for them.
    """

    segment: Segment
    train: csr_array
    validation: csr_array
    test: csr_array
    known: csr_array
    unknown: int


def cut(events: Events, rule: StreamSettings) -> list[Segment]:
    """The segments of ``events``, all of them in some segment; events of one time are not parted
    by a cut. A last segment that is less than half of the one before is joined to it.

    Raises BetError where a segment would have no event to train, validate or test on.
    """
    ends = _ends(events, rule)
    segments = [Segment.of(i, *span) for i, span in enumerate(zip([0, *ends], ends, strict=False))]
    for segment in segments:
        parts = (segment.start, segment.train_end, segment.validation_end, segment.end)
        if min(np.diff(parts)) < 1:
            raise BetError(
                f"{events.name}: segment {segment.number} has {segment.end - segment.start} "
                "events, too few for train, validation and test; cut fewer segments (or let more "
                "new users and items appear in each)"
            )
    return segments


def _ends(events: Events, rule: StreamSettings) -> list[int]:
    k = len(events)
    if rule.new_entities is None:
        wanted = [round(k * (i + 1) / rule.count) for i in range(rule.count)]
    else:
        numbers = np.maximum.accumulate(np.stack([events.users, events.items]), axis=1).sum(0) + 2
        most = int(numbers[-1])
        steps = np.arange(rule.new_entities, most + 1, rule.new_entities)
        wanted = [*(np.searchsorted(numbers, steps) + 1), k]
    # To the end of the events of the same time.
    last = np.searchsorted(events.times, events.times[np.array(wanted) - 1], side="right")
    ends = sorted(set(last.tolist()))
    lengths = np.diff([0, *ends])
    if rule.new_entities is not None and len(ends) > 1 and 2 * lengths[-1] < lengths[-2]:
        del ends[-2]
    return ends


def segment_data(events: Events, segment: Segment, rule: StreamSettings, seed: int) -> SegmentData:
    """The parts of ``segment``. An older event is replayed if its random number, drawn once from
    ``seed``, is below ``rule.replay``: the reservoir of a segment is part of the next one's.
    Raises BetError as ``check_rankable``.
    """
    check_rankable(events, segment)
    shape = events.known_after(segment.train_end)
    drawn = numpy_generator(seed, "replay").random(len(events)) < rule.replay
    is_train = np.zeros(len(events), dtype=bool)
    is_train[: segment.start] = drawn[: segment.start]
    is_train[segment.start : segment.train_end] = True
    validation, test = (
        np.arange(segment.train_end, segment.validation_end),
        np.arange(segment.validation_end, segment.end),
    )
    data = SegmentData(
        segment=segment,
        train=events.matrix(is_train, shape),
        validation=events.matrix(validation, shape),
        test=events.matrix(test, shape),
        known=events.matrix(np.arange(segment.train_end), shape),
        unknown=0,
    )
    return SegmentData(**{**vars(data), "unknown": len(test) - data.test.nnz})


def check_rankable(events: Events, segment: Segment) -> None:
    """Raise BetError where no event of a segment's validation or test part is of a user and an item
    who have appeared before validation starts.
    """
    unseen = _part_without_ranks(events, segment)
    if unseen is None:
        return
    whole = Segment.of(segment.number, 0, len(events))
    remedy = "cut fewer segments"
    if _part_without_ranks(events, whole) is not None:
        remedy = "one segment would not help: its users and items must come back"
    raise BetError(
        f"{events.name}: no user and item of the {unseen} part of segment {segment.number} "
        f"have been seen in training, so nothing can be ranked; {remedy}"
    )


def _part_without_ranks(events: Events, segment: Segment) -> str | None:
    n_users, n_items = events.known_after(segment.train_end)
    parts = {
        "validation": slice(segment.train_end, segment.validation_end),
        "test": slice(segment.validation_end, segment.end),
    }
    for name, part in parts.items():
        if not ((events.users[part] < n_users) & (events.items[part] < n_items)).any():
            return name
    return None


def divides_a_time(events: Events, segment: Segment) -> bool:
    """Whether events of one time are on both sides of a cut between the parts of ``segment``, where
    their order in the file decides who trains and who tests.
    """
    cuts = np.array([segment.train_end, segment.validation_end])
    return bool((events.times[cuts - 1] == events.times[cuts]).any())


def recurring_users(events: Events, segments: list[Segment]) -> list[float]:
    """Share of the users of every segment but the first who were in an earlier one."""
    shares = []
    for segment in segments[1:]:
        before, _ = events.known_after(segment.start)
        users = np.unique(events.users[segment.start : segment.end])
        shares.append(float((users < before).mean()))
    return shares
