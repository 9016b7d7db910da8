"""Streams are cut by time, and nothing from after a cut is ever seen before it."""

import datetime
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bet.data.columns import Columns
from bet.data.readers import read_pairs
from bet.errors import BetError
from bet.stream import (
    STREAMS,
    StreamSettings,
    arrange,
    cut,
    load_events,
    read_events,
    recurring_users,
    segment_data,
)
from bet.stream.latest_small import latest_small
from bet.stream.segments import Segment
from bet.stream.synthetic import drift_of


@st.composite
def streams(draw):
    """Any events: few or many equal times, entities that come once or always, in any order."""
    k = draw(st.integers(20, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_users, n_items = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    late = draw(st.floats(0.2, 4.0))  # how unevenly entities appear
    users = (n_users * rng.random(k) ** late).astype(int)
    items = (n_items * rng.random(k) ** late).astype(int)
    times = rng.integers(0, draw(st.integers(1, 500)), k)
    return arrange("any", *(pd.Series(values) for values in (users, items, times)))


settings = st.one_of(
    st.integers(1, 5).map(StreamSettings),
    st.integers(1, 20).map(lambda n: StreamSettings(new_entities=n)),
)


def cut_or_assume(events, rule):
    try:
        return cut(events, rule)
    except BetError as error:
        assert "too few" in str(error)
        assume(False)


@given(streams())
def test_numbers_are_given_as_entities_appear(events):
    assert (np.diff(events.times) >= 0).all()
    for numbers in (events.users, events.items):
        first = np.maximum.accumulate(numbers)
        assert numbers[0] == 0 and (numbers[1:] <= first[:-1] + 1).all()
    pairs = set(zip(events.users.tolist(), events.items.tolist(), strict=True))
    assert len(pairs) == len(events)


@given(streams(), settings)
def test_segments_follow_one_another_and_part_no_time(events, rule):
    segments = cut_or_assume(events, rule)
    assert segments[0].start == 0 and segments[-1].end == len(events)
    for before, after in zip(segments, segments[1:], strict=False):
        assert before.end == after.start
        assert events.times[before.end - 1] < events.times[after.start]
    for segment in segments:
        n = segment.end - segment.start
        assert segment.start < segment.train_end < segment.validation_end < segment.end
        assert abs(segment.train_end - segment.start - 0.7 * n) <= 0.5
        assert abs(segment.validation_end - segment.start - 0.8 * n) <= 0.5


@given(streams(), settings, st.integers(0, 9))
def test_no_time_after_the_cut_reaches_training(events, rule, seed):
    pairs = zip(events.users.tolist(), events.items.tolist(), strict=True)
    time_of = dict(zip(pairs, events.times, strict=True))
    for segment in cut_or_assume(events, rule):
        try:
            data = segment_data(events, segment, rule, seed)
        except BetError:
            continue  # nobody can be ranked
        times = {
            part: [time_of[pair] for pair in zip(*getattr(data, part).nonzero(), strict=True)]
            for part in ("train", "validation", "test", "known")
        }
        cut_at = events.times[segment.train_end - 1]
        assert max(times["train"]) <= cut_at <= min(times["validation"])
        assert max(times["validation"]) <= min(times["test"])
        assert max(times["known"]) <= min(times["test"])
        # Parts are disjoint, and test is never known.
        total = data.train + data.validation + data.test
        assert total.max() == 1 and not data.known.multiply(data.test).nnz
        assert data.unknown + data.test.nnz == segment.end - segment.validation_end
        # Rows are for those who have appeared by the cut, and only for them.
        assert data.train.shape == events.known_after(segment.train_end)


@given(streams(), st.integers(2, 4), st.integers(0, 9))
def test_the_reservoir_grows_and_is_the_seeds(events, count, seed):
    rule = StreamSettings(count, replay=0.5)
    segments = cut_or_assume(events, rule)
    replayed = []
    for segment in segments:
        try:
            train = segment_data(events, segment, rule, seed).train
            again = segment_data(events, segment, rule, seed).train
        except BetError:
            assume(False)
        assert (train != again).nnz == 0
        ours = np.arange(segment.start, segment.train_end)
        own = set(zip(events.users[ours].tolist(), events.items[ours].tolist(), strict=True))
        pairs = set(zip(*(part.tolist() for part in train.nonzero()), strict=True))
        assert own <= pairs
        replayed.append(pairs - own)
    for before, after in zip(replayed, replayed[1:], strict=False):
        assert before <= after
    assert not replayed[0]


def test_a_fifth_of_older_events_is_replayed():
    events, rule = load_events("drift"), StreamSettings(4)
    last = cut(events, rule)[-1]
    train = segment_data(events, last, rule, 0).train
    replayed = train.nnz - (last.train_end - last.start)
    deviation = np.sqrt(0.2 * 0.8 * last.start)
    assert abs(replayed - 0.2 * last.start) < 5 * deviation
    assert (segment_data(events, last, rule, 1).train != train).nnz


def test_a_segment_ends_when_so_many_have_appeared():
    users, items = pd.Series([0, 1, 2, 3, 4] * 20), pd.Series(np.arange(100))
    events = arrange("new items", users, items, pd.Series(np.arange(100.0)))
    segments = cut(events, StreamSettings(new_entities=30))
    new = [sum(events.known_after(s.end)) - sum(events.known_after(s.start)) for s in segments]
    # A last one of 15, at least half as long as the one before, stays a segment.
    assert new == [30, 30, 30, 15]
    assert [s.end for s in cut(events, StreamSettings(new_entities=34))] == [29, 63, 100]


def test_recurring_users_are_counted():
    users, items = pd.Series([0, 1, 1, 2]), pd.Series([0, 0, 1, 1])
    events = arrange("shop", users, items, pd.Series([1.0, 2.0, 3.0, 4.0]))
    assert recurring_users(events, list(_halves())) == [0.5]


def _halves():
    return Segment(0, 0, 1, 1, 2), Segment(1, 2, 3, 3, 4)


def test_files_of_your_own_have_a_column_of_times(tmp_path):
    file = tmp_path / "events.csv"
    file.write_text(
        "user,item,when\nann,tea,2024-03-02\nbob,cup,2024-03-01 12:00\nann,cup,2024-03-03\n"
    )
    events = read_events(file, columns=Columns(timestamp="when"))
    assert events.user_ids.tolist() == ["bob", "ann"] and events.item_ids.tolist() == ["cup", "tea"]
    noon = datetime.datetime(2024, 3, 1, 12, tzinfo=datetime.UTC).timestamp()
    assert events.times[0] == noon
    pairs = read_pairs(file, Columns(timestamp="when"), ["timestamp"])
    assert pairs.frame["timestamp"].dtype == np.float64 and pairs.frame["timestamp"][1] == noon
    assert pairs.times == ("2024-03-01T12:00:00", "2024-03-03T00:00:00")
    with pytest.raises(BetError, match="no column 'timestamp'.*say which one holds the timestamp"):
        read_events(file)
    parquet = tmp_path / "events.parquet"
    frame = pd.read_csv(file).assign(timestamp=lambda f: pd.to_datetime(f["when"], format="mixed"))
    frame.to_parquet(parquet)
    assert read_events(parquet).fingerprint() == events.fingerprint()


def test_streams_that_are_not_there_are_refused(tmp_path, monkeypatch):
    with pytest.raises(BetError, match="unknown stream 'drfit'.*known are tiny-drift"):
        load_events("drfit")
    monkeypatch.setenv("BET_DATA", str(tmp_path))
    with pytest.raises(
        BetError, match="no Rdata.rdx and Rdata.rdb in .BET_DATA/ml-latest-small/.*docs/own_data.md"
    ):
        load_events("ml-latest-small")


def test_an_r_data_file_needs_rdata(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdata", None)
    for name in ("Rdata.rdx", "Rdata.rdb"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(BetError, match=r"pip install 'bet\[latest-small\]'"):
        latest_small(tmp_path)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"count": 0}, "count of segments must be from 1 to 1,000,000, got 0"),
        ({"new_entities": 0}, "new_entities of segments must be from 1 to"),
        ({"replay": 1.5}, "got 1.5"),
    ],
)
def test_rules_that_cut_nothing_are_refused(rule, message):
    with pytest.raises(BetError, match=message):
        StreamSettings(**rule)


def test_too_many_segments_are_refused():
    events = STREAMS["tiny-drift"]()
    with pytest.raises(BetError, match="too few for train, validation and test; cut fewer"):
        cut(events, StreamSettings(len(events)))


def test_nobody_takes_a_dead_item():
    events = STREAMS["tiny-drift"]()
    drift = drift_of(80)
    items = events.item_ids[events.items].astype(int)
    assert all(drift.is_alive(time)[item] for item, time in zip(items, events.times, strict=True))
    # Items rise and fall: of those known in the end most are dead at some time.
    assert not drift.is_alive(0.5).all() and not drift.is_alive(0.0)[items[-1]]
