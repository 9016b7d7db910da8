"""Full ranking against an independent implementation, and the fast NCF ranker against its plain
formula.
"""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from bet.actions import Allocation
from bet.backbones import (
    BACKBONES,
    NCF,
    Backbone,
    ncf_ranking,
    new_recommender,
    normalized_adjacency,
    truncate_recommender,
)
from bet.data import planted, split_interactions
from bet.seeds import torch_generator
from bet.training import evaluate


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32))
def test_equals_ir_measures_with_ties_and_empty_users(n_users, n_items, seed):
    import ir_measures

    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (n_users, n_items)).astype(np.float32)  # many ties
    positives = rng.random((n_users, n_items)) < 0.2
    masked = (rng.random((n_users, n_items)) < 0.3) & ~positives
    cutoffs = (1, 5, 20, 60)  # also beyond the catalogue
    ours = evaluate(
        lambda users: torch.from_numpy(scores)[users].clone(),
        csr_array(positives),
        [csr_array(masked)],
        cutoffs=cutoffs,
        block=2,
    )
    # trec_eval breaks ties by descending name: names that descend with the item id put the lower id
    # first.
    name = [f"d{99_999 - i}" for i in range(n_items)]
    qrels = [
        ir_measures.Qrel(f"u{u}", name[i], 1) for u, i in zip(*positives.nonzero(), strict=True)
    ]
    allowed = zip(*(~masked).nonzero(), strict=True)
    ranking = [ir_measures.ScoredDoc(f"u{u}", name[i], float(scores[u, i])) for u, i in allowed]
    assert list(ours.users) == list(np.flatnonzero(positives.any(1)))
    if not len(ours.users):
        return
    measures = {
        f"{ours_name}@{k}": f(k) for k in cutoffs for ours_name, f in _measures(ir_measures).items()
    }
    for metric in ir_measures.iter_calc(list(measures.values()), qrels, ranking):
        label = next(key for key, value in measures.items() if value == metric.measure)
        row = list(ours.users).index(int(metric.query_id[1:]))
        assert ours.values[label][row] == pytest.approx(metric.value, abs=1e-9)


def _measures(ir):
    return {"recall": lambda k: ir.R @ k, "ndcg": lambda k: ir.nDCG @ k}


@pytest.mark.parametrize(("width", "negatives"), [(3, 1), (8, 1), (8, 3)])
def test_ncf_scores_and_gradients_of_triples_equal_the_recorded_ones(width, negatives):
    model = NCF(None, 4, 8, torch_generator(0)).double()
    rows = torch.randn(
        (2 + negatives) * 5, 2 * width, dtype=torch.double, generator=torch_generator(1)
    ).requires_grad_()
    weights = torch.randn(1 + negatives, 5, dtype=torch.double, generator=torch_generator(2))
    wanted = [rows, *model.parameters()]
    ours, by_formula = model.triple_scores(rows, 5), Backbone.triple_scores(model, rows, 5)
    torch.testing.assert_close(ours, by_formula)
    pairs = zip(
        *(torch.autograd.grad((scores * weights).sum(), wanted) for scores in (ours, by_formula)),
        strict=True,
    )
    for gradient, expected in pairs:
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_full_ranking_equals_pair_scores(name):
    train = split_interactions(planted(), 0).train
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, sum(train.shape)).astype(np.int16)
    graph = normalized_adjacency(train)
    full = new_recommender(
        BACKBONES[name],
        graph,
        Allocation.uniform(len(sizes), 8),
        n_users=train.shape[0],
        d_max=8,
        generator=torch_generator(0),
        init_std=0.5,
    )
    model = truncate_recommender(full, Allocation.from_sizes(sizes))
    representations = model.backbone.represent(model.table())
    users, items = torch.meshgrid(
        torch.arange(train.shape[0]), torch.arange(train.shape[1]), indexing="ij"
    )
    by_formula = model.backbone.score(
        representations[users.flatten()], representations[train.shape[0] + items.flatten()]
    ).reshape(users.shape)
    torch.testing.assert_close(
        model.ranker()(torch.arange(train.shape[0])), by_formula, rtol=1e-4, atol=1e-5
    )
    # Masked against compact: zeroed columns of the full table are the same model as columns that
    # are not there.
    with torch.no_grad():
        kept = torch.arange(8) < torch.from_numpy(sizes)[:, None]
        full.table.weight.mul_(kept.repeat(1, full.table.copies))
    torch.testing.assert_close(
        full.ranker()(torch.arange(train.shape[0])), by_formula, rtol=1e-4, atol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**32))
def test_both_ways_to_the_hinge_equal_the_formula(n_users, n_items, hidden, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y, a = (
        torch.randn(*shape, generator=generator)
        for shape in ((n_users, hidden), (n_items, hidden), (hidden,))
    )
    by_formula = (torch.relu(x[:, None] + y[None]) * a).sum(2)
    small = partial(ncf_ranking.in_blocks, size=2 * y.numel())  # a block of two rows
    for way in (ncf_ranking.by_distances, ncf_ranking.compiled, small, ncf_ranking.in_blocks):
        torch.testing.assert_close(way(y, a)(x), by_formula, rtol=1e-4, atol=1e-4)
    one_sign = (torch.relu(x[:, None] + y[None]) * a.abs()).sum(2)
    torch.testing.assert_close(
        ncf_ranking.by_distances(y, a.abs())(x), one_sign, rtol=1e-4, atol=1e-4
    )


def test_without_numba_the_distances_are_used(monkeypatch):
    monkeypatch.setattr(ncf_ranking, "find_spec", lambda name: None)
    monkeypatch.setattr(ncf_ranking, "compiled", None)
    x, y, a = torch.ones(1, 2), torch.tensor([[1.0, -3.0]]), torch.tensor([2.0, 5.0])
    assert ncf_ranking.pairwise_relu_sum(y, a)(x).tolist() == [[4.0]]


def test_smaller_blocks_when_memory_runs_out(caplog):
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.random((20, 30)))
    positives = csr_array(rng.random((20, 30)) < 0.2)

    def narrow(users):
        if len(users) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return scores[users].clone()

    expected = evaluate(lambda users: scores[users].clone(), positives)
    with caplog.at_level(logging.WARNING):
        whole = evaluate(narrow, positives, block=16)
    assert [record.message[-4:] for record in caplog.records] == ["of 8", "of 4", "of 2"]
    assert all((whole.values[name] == values).all() for name, values in expected.values.items())

    def never(users):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        evaluate(never, positives, block=4)
