"""What a segment of a stream may see, and what its training starts from."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lowered import lowered

from bet.errors import BetError
from bet.search import (
    RunSettings,
    SearchSettings,
    Workspace,
    initialize_recommender,
    train_from_scratch,
)
from bet.stream import (
    STREAM_METHODS,
    StreamSettings,
    StreamTask,
    arrange,
    load_events,
    run,
    run_stream,
)
from bet.stream.carry import Inherited
from bet.training import AlsSettings

# The actor-critic need not learn well here.
few_updates = lowered(("bet.stream.methods.scall", "UPDATES", 2))


def task_of(method, events, cap="4 kB", rule=None):
    training = AlsSettings(sweeps=1, unobserved_weight=0.1, evaluate_every=1)
    search = SearchSettings(iterations=2, actions=4, finetune_epochs=1)
    method = STREAM_METHODS[method]
    return StreamTask(
        events,
        method,
        RunSettings("ials", training, search),
        rule or StreamSettings(3),
        cap if method.capped else None,
        d_max=8,
    )


def ranked_by_hand(scores, events, masked, start, end):
    """Of the events from ``start`` to ``end``: users, and by rank whether their items are hit, by
    ``scores`` of all items without those of the ``masked`` first events.
    """
    hits, users = [], []
    for user in np.unique(events.users[start:end]):
        wanted = set(events.items[start:end][events.users[start:end] == user])
        wanted = {item for item in wanted if item < scores.shape[1]}
        if user >= len(scores) or not wanted:
            continue
        had = set(events.items[:masked][events.users[:masked] == user])
        order = [i for i in np.argsort(-scores[user], kind="stable") if i not in had]
        users.append(user)
        hits.append([item in wanted for item in order[:20]] + [False] * (20 - len(order)))
    return np.array(users), np.array(hits)


def test_validation_and_test_leave_out_all_that_came_before(tmp_path):
    """Against a ranking by hand; three quarters of older events are not trained on."""
    events = load_events("tiny-drift")
    task, segments = task_of("stream-full", events), run.cut(events, StreamSettings(3))

    def check(result, model, data):
        segment, n_users = segments[result.number], data.train.shape[0]
        scores = model.ranker()(torch.arange(n_users)).detach().numpy()
        at = segment.train_end, segment.validation_end, segment.end
        users, hits = ranked_by_hand(scores, events, at[1], at[1], at[2])
        assert np.array_equal(result.ranked.users, users)
        assert np.array_equal(result.ranked.hits[:, :20], hits)
        users, hits = ranked_by_hand(scores, events, at[0], at[0], at[1])
        n_positives = np.diff(data.validation.indptr)[users]
        recall = [np.mean(hits[:, :k].sum(1) / n_positives) for k in (5, 10, 20)]
        gain = 1 / np.log2(np.arange(20) + 2)
        ideal = [[gain[: min(k, n)].sum() for n in n_positives] for k in (5, 10, 20)]
        ndcg = [
            np.mean(hits[:, :k] @ gain[:k] / best)
            for k, best in zip((5, 10, 20), ideal, strict=True)
        ]
        assert result.validation == pytest.approx(np.mean([*recall, *ndcg]))
        seen.append(result.number)

    seen = []
    run_stream(task, Workspace(tmp_path, tmp_path), check)
    assert seen == [0, 1, 2]


def test_training_starts_from_the_rows_of_the_segment_before(tmp_path, monkeypatch):
    started, tables = [], []

    def train(context, allocation, name):
        model = initialize_recommender(context, allocation)
        started.append((Inherited.of(model), model.n_users))
        return train_from_scratch(context, allocation, name)

    monkeypatch.setattr(run, "train_from_scratch", train)
    task = task_of("stream-uniform", load_events("tiny-drift"))
    run_stream(
        task,
        Workspace(tmp_path, tmp_path),
        lambda result, model, data: tables.append(Inherited.of(model)),
    )
    for (start, n_users), before in zip(started[1:], tables, strict=False):
        old = np.arange(len(before.allocation))
        new = old + (n_users - before.n_users) * (old >= before.n_users)
        sizes, now = before.allocation.columns, start.allocation.columns[new]
        for row, (size, kept) in enumerate(zip(sizes, now, strict=True)):
            both = min(size, kept)
            assert torch.equal(start.rows[new[row], :both], before.rows[row, :both])
            # What it grew by is noise, much smaller than what was learned.
            assert (start.rows[new[row], both:kept].abs() < 0.1).all()
        newcomers = np.setdiff1d(np.arange(len(start.allocation)), new)
        assert len(newcomers) and (start.rows[newcomers].abs() < 0.1).all()


def test_equal_rows_take_as_many_columns_as_the_bandits(tmp_path):
    theirs, ours = (
        run_stream(task_of(name, load_events("tiny-drift")), Workspace(tmp_path, tmp_path / name))
        for name in ("dess-like", "dess-like-equal")
    )
    assert [each.n_bytes for each in ours] == [each.n_bytes for each in theirs]
    assert all(np.ptp(each.allocation.columns) <= 1 for each in ours)
    assert any(np.ptp(each.allocation.columns) > 1 for each in theirs)


def with_future(seed, start=300, k=100):
    """Made-up events, of which those after ``start`` follow from ``seed``."""
    rng, when = np.random.default_rng(0), np.linspace(0, 1, start)
    users, items = ((rng.random(start) * (10 + n * when)).astype(int) for n in (20, 30))
    rng = np.random.default_rng(seed)
    users, items = (np.concatenate([part, rng.integers(0, 60, k)]) for part in (users, items))
    columns = (pd.Series(part) for part in (users, items, np.arange(start + k)))
    return arrange("with a future", *columns)


def has_ranks(events, rule):
    """Whether every segment has somebody to rank; others are refused before any work."""
    try:
        task_of("stream-uniform", events, "20 kB", rule).check()
    except BetError:
        return False
    return True


class Stop(Exception):
    pass


@pytest.mark.parametrize("method", STREAM_METHODS)
@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(1, 2**32))
def test_nothing_later_changes_an_earlier_segment(tmp_path_factory, method, seed):
    rule = StreamSettings(new_entities=25)
    assume(has_ranks(with_future(seed), rule))

    def early(events):
        ends = [part.end for part in run.cut(events, rule)][:2]
        outcome = []

        def keep(result, model, data):
            rows = model.table().detach().numpy().tobytes()
            outcome.append((result.allocation.digest, rows, result.ranked.hits.tobytes()))
            if result.number == 1:
                raise Stop

        folder = tmp_path_factory.mktemp("stream")
        with pytest.raises(Stop):
            run_stream(task_of(method, events, "20 kB", rule), Workspace(folder, folder), keep)
        return ends, outcome

    known, changed = early(with_future(0)), early(with_future(seed))
    assert known == changed
