"""Tables of a stream: the cap holds to the byte, rows stay with their entities, a killed run ends
the same.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lowered import lowered

from bet.actions import Allocation, Budget
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.packed import float32_file_bytes
from bet.search import RunSettings, SearchSettings, Workspace
from bet.stream import STREAM_METHODS, StreamSettings, StreamTask, arrange, load_events, run_stream
from bet.stream.carry import Inherited, carry_rows, carry_sizes
from bet.training import AlsSettings, TrainSettings

TRAINING = {
    "lightgcn": TrainSettings(batch_size=64, max_epochs=1, schedule="cosine", init_std=0.1),
    "ials": AlsSettings(sweeps=1, unobserved_weight=0.1, evaluate_every=1),
}
SEARCH = SearchSettings(iterations=2, actions=4, finetune_epochs=1)
CAPPED = [name for name, method in STREAM_METHODS.items() if method.capped]
D_MAX = 8


# The actor-critic need not learn well here.
few_updates = lowered(("bet.stream.methods.scall", "UPDATES", 2))


def task_of(method, events, cap, backbone="lightgcn", rule=None, seed=0):
    training = RunSettings(backbone, TRAINING[backbone], SEARCH, seed)
    rule = rule or StreamSettings(3)
    return StreamTask(events, STREAM_METHODS[method], training, rule, cap, D_MAX)


@st.composite
def arrivals(draw):
    """Entities that arrive early, late, all at once or one by one."""
    k, n_users, n_items = 120, draw(st.integers(3, 25)), draw(st.integers(3, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    when = np.linspace(0, 1, k) ** draw(st.floats(0.1, 5.0))
    users = np.rint((n_users - 1) * when * rng.random(k)).astype(int)
    items = np.rint((n_items - 1) * when * rng.random(k)).astype(int)
    return arrange("arrivals", pd.Series(users), pd.Series(items), pd.Series(np.arange(k)))


@pytest.mark.parametrize("method", CAPPED)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=arrivals(),
    room=st.integers(0, 400),
    seed=st.integers(0, 99),
    backbone=st.sampled_from(["lightgcn", "ials"]),
    empty=st.booleans(),
)
def test_every_table_is_within_the_cap(
    tmp_path_factory, method, events, room, seed, backbone, empty
):
    users, items = len(events.user_ids), len(events.item_ids)
    smallest = float32_file_bytes(users, items, 1, D_MAX, parameters=users + items)
    rule = StreamSettings(2, empty_rows=empty and backbone == "lightgcn")
    task = task_of(method, events, f"{smallest + room} B", backbone, rule, seed)
    folder = tmp_path_factory.mktemp("stream")
    try:
        results = run_stream(task, Workspace(folder, folder))
    except BetError as error:  # of a stream in which there is nothing to rank or to learn
        assert "cap" not in str(error) and "budget" not in str(error)
        assume(False)
    for result in results:
        sizes = result.allocation.columns
        exact = float32_file_bytes(
            result.n_users, result.n_items, 1, D_MAX, parameters=int(sizes.sum())
        )
        assert result.n_bytes == exact <= result.limit_bytes == smallest + room
        assert len(sizes) == result.n_users + result.n_items and sizes.max() <= D_MAX
        assert sizes.min() >= (0 if rule.empty_rows else 1)
        # Nothing that fits is left over.
        full = len(sizes) * D_MAX
        assert sizes.sum() == full or result.limit_bytes - result.n_bytes < 4 + 8


@pytest.mark.parametrize("backbone", ["lightgcn", "ials"])
def test_without_a_cap_tables_grow(tmp_path, backbone):
    task = task_of("stream-full", load_events("tiny-drift"), None, backbone)
    results = run_stream(task, Workspace(tmp_path, tmp_path))
    sizes = [result.n_bytes for result in results]
    assert sizes == sorted(set(sizes)) and results[0].limit_bytes is None
    assert all((result.allocation.columns == D_MAX).all() for result in results)


def same(one, other):
    """Whether two results are equal but for the clock."""
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "allocation":
            assert a.digest == b.digest
        elif field.name == "ranked":
            assert np.array_equal(a.hits, b.hits) and np.array_equal(a.users, b.users)
        elif field.name != "seconds":
            assert a == b, field.name
    return True


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", STREAM_METHODS)
def test_a_killed_run_ends_the_same(tmp_path, method):
    events, capped = load_events("tiny-drift"), STREAM_METHODS[method].capped
    task = task_of(method, events, "3 kB" if capped else None)
    whole = run_stream(task, Workspace(tmp_path, tmp_path / "whole"))

    def kill_at(number):
        def kill(result, model, data):
            if result.number == number:
                raise Killed

        return kill

    seen = []
    for number in (1, 2):  # after training, before it is saved: the segment is run again
        with pytest.raises(Killed):
            run_stream(task, Workspace(tmp_path, tmp_path / "killed"), kill_at(number))
    ended = run_stream(
        task,
        Workspace(tmp_path, tmp_path / "killed"),
        lambda result, model, data: seen.append(result.number),
    )
    assert seen == [2]
    assert all(same(*pair) for pair in zip(whole, ended, strict=True))


def test_unfinished_work_of_another_task_is_not_used(tmp_path):
    events, workspace = load_events("tiny-drift"), Workspace(tmp_path, tmp_path)
    run_stream(task_of("stream-uniform", events, "3 kB"), workspace)
    wider = run_stream(task_of("stream-uniform", events, "4 kB"), workspace)
    assert wider[0].limit_bytes == 4000 and wider[0].n_bytes > 3000


def test_a_cap_that_does_not_hold_everybody_names_the_smallest_one(tmp_path):
    events, workspace = load_events("tiny-drift"), Workspace(tmp_path, tmp_path)
    task = task_of("stream-uniform", events, "1200 B")
    with pytest.raises(BetError, match=r"segment 1: .*smallest cap that holds all 3") as error:
        run_stream(task, workspace)
    smallest = int(str(error.value).split("segments is ")[1].split(" bytes")[0].replace(",", ""))
    assert not list(tmp_path.iterdir())  # before any work
    results = run_stream(task_of("stream-uniform", events, f"{smallest} B"), workspace)
    assert max(result.n_bytes for result in results) == smallest
    with pytest.raises(BetError, match=f"{smallest:,} bytes"):
        run_stream(task_of("stream-uniform", events, f"{smallest - 1} B"), workspace)


def test_empty_rows_hold_more_and_need_a_graph(tmp_path):
    events, workspace = load_events("tiny-drift"), Workspace(tmp_path, tmp_path)
    rule = StreamSettings(3, empty_rows=True)
    results = run_stream(task_of("stream-uniform", events, "1200 B", rule=rule), workspace)
    assert all(result.n_bytes <= 1200 for result in results)
    assert (results[-1].allocation.columns == 0).any()
    with pytest.raises(BetError, match="empty rows need a backbone that reads a graph"):
        run_stream(task_of("stream-uniform", events, "1200 B", "ials", rule), workspace)


@pytest.mark.parametrize(
    ("method", "backbone", "cap", "message"),
    [
        ("stream-uniform", "lightgcn", None, "stream-uniform takes a cap"),
        ("stream-full", "lightgcn", "2 kB", "stream-full takes no cap"),
        ("stream-uniform", "ncf", "2 kB", "streams run on lightgcn, ials"),
        ("stream-uniform", "lightgcn", "90%", "a stream has a cap in bytes, got '90%'"),
    ],
)
def test_what_cannot_run_is_refused(tmp_path, method, backbone, cap, message):
    events = load_events("tiny-drift")
    training = RunSettings(backbone, TRAINING["lightgcn"], SEARCH)
    task = StreamTask(events, STREAM_METHODS[method], training, StreamSettings(3), cap, D_MAX)
    with pytest.raises(BetError, match=message):
        run_stream(task, Workspace(tmp_path, tmp_path))


sizes_lists = st.lists(st.integers(0, 6), min_size=1, max_size=12)


@given(users=sizes_lists, items=sizes_lists, more=st.tuples(st.integers(0, 5), st.integers(0, 5)))
def test_rows_stay_with_their_entities(users, items, more):
    sizes = np.array([*users, *items])
    assume(sizes.max() > 0)
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.uniform(1, 2, (len(sizes), sizes.max()))).float()
    before = Inherited(Allocation.from_sizes(sizes), rows, len(users))
    n_users, n_items = len(users) + more[0], len(items) + more[1]
    carried = carry_rows(before, n_users, n_items, d_max=8, std=0.01, seed=3)
    assert carried.shape == (n_users + n_items, 8)
    now = np.arange(len(sizes)) + more[0] * (np.arange(len(sizes)) >= len(users))
    for old, new in enumerate(now):
        size = sizes[old]
        assert torch.equal(carried[new, :size], rows[old, :size])
        assert (carried[new, size:].abs() < 0.1).all()  # small noise, ten deviations
    others = np.setdiff1d(np.arange(len(carried)), now)
    assert (carried[others].abs() < 0.1).all() and (carried[others] != 0).all()


@given(
    users=st.lists(st.integers(1, 8), min_size=1, max_size=12),
    items=st.lists(st.integers(1, 8), min_size=1, max_size=12),
    now=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    room=st.floats(0, 1),
)
def test_sizes_follow_the_rank_in_a_new_budget(users, items, now, room):
    sizes = np.array([*users, *items])
    before = Inherited(Allocation.from_sizes(sizes), torch.zeros(len(sizes), 8), len(users))
    rng = np.random.default_rng(len(sizes))
    order = FrequencyOrder(rng.integers(0, 9, now[0]), rng.integers(0, 9, now[1]))
    n = sum(now)
    budget = Budget(n + int(7 * n * room), n, d_max=8)
    action = carry_sizes(before, order, budget)
    assert action.allocation.total == budget.target
    for part, ranks in ((action.user_sizes, order.users), (action.item_sizes, order.items)):
        assert (np.diff(part[ranks]) <= 0).all()


def test_the_same_sides_keep_their_sizes():
    sizes = np.array([5, 3, 1, 4, 4, 2])
    before = Inherited(Allocation.from_sizes(sizes), torch.zeros(6, 8), 3)
    order = FrequencyOrder(np.array([9, 5, 2]), np.array([7, 6, 1]))
    assert carry_sizes(before, order, Budget(19, 6, 8)).sizes.tolist() == sizes.tolist()
