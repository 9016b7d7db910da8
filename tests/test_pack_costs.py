"""What packing is said to cost is what it costs."""

import numpy as np
import pytest
import torch
from example_vectors import N_ITEMS, N_USERS, as_arrays, both_sides, interactions, saved

from bet.pack import Options, costs_text, pack_vectors
from bet.packed import load
from bet.training.ranking import evaluate


@pytest.fixture(scope="module")
def both():
    return both_sides()


def test_costs_are_those_of_the_file(tmp_path, both):
    users, items = as_arrays(tmp_path, both)
    packed = pack_vectors(users, items, "7 B/entity", tmp_path / "out")
    rows = load(tmp_path / "out").rows(np.arange(N_USERS + N_ITEMS))[:, 0].astype(np.float64)
    exact = both[0].astype(np.float64) @ both[1].T
    scores = rows[:N_USERS] @ rows[N_USERS:].T
    costs = packed.costs
    assert costs.n_users == N_USERS and (costs.exact, costs.packed) == (None, None)
    assert costs.squared_error == pytest.approx(np.square(scores - exact).mean(), rel=1e-4)
    assert costs.variance == pytest.approx(exact.var(), rel=1e-4)
    best = np.argsort(-exact)[:, :10], np.argsort(-scores)[:, :10]
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(*best, strict=True)]
    assert costs.overlaps[0] == pytest.approx(np.mean(shared), abs=0.01)
    text = costs_text(costs)
    assert f"{costs.overlaps[0]:.1%} of the top 10" in text and "Recall" not in text


def ranked(users, items, positives, seen):
    """Recall@20 and NDCG@20 by the project's own evaluation."""
    scores = torch.from_numpy((users @ items.T).astype(np.float32))
    means = evaluate(lambda ids: scores[ids].clone(), positives, seen, cutoffs=(20,)).means()
    return means["recall@20"], means["ndcg@20"]


@pytest.mark.parametrize("with_test", [False, True])
def test_recall_and_ndcg_are_those_of_the_evaluation(tmp_path, both, with_test):
    users, items = saved(tmp_path, both)
    data, test = interactions(), interactions(seed=1, k=300)
    options = Options(data, test if with_test else None)
    packed = pack_vectors(users, items, "7 B/entity", tmp_path / "out", options)
    opened = load(tmp_path / "out")
    names = [f"ü{i}" for i in range(N_USERS)], range(3, 7 * N_ITEMS + 3, 7)
    rows = opened.users(names[0])[:, 0], opened.items(names[1])[:, 0]
    wanted = (test.matrix, [data.matrix]) if with_test else (data.matrix, [])
    for found, vectors in ((packed.costs.exact, both), (packed.costs.packed, rows)):
        recall, ndcg = ranked(*vectors, *wanted)
        assert found.recall == pytest.approx(recall, abs=2e-3)
        assert found.ndcg == pytest.approx(ndcg, abs=2e-3)
    assert "Recall@20" in costs_text(packed.costs)
