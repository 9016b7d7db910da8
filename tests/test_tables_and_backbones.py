"""Masks under training, and what every backbone promises."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Allocation, Budget
from bet.backbones import BACKBONES, new_recommender, normalized_adjacency, truncate_recommender
from bet.backbones.graph import propagate, propagate_mean
from bet.data.interactions import binary_matrix
from bet.errors import BetError
from bet.seeds import torch_generator
from bet.training import BprSampler, TrainSettings, evaluate, train

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def build(split, backbone, sizes, d_max=8):
    graph = normalized_adjacency(split.train)
    return new_recommender(
        BACKBONES[backbone],
        graph,
        Allocation.from_sizes(sizes),
        n_users=split.train.shape[0],
        d_max=d_max,
        generator=torch_generator(0, "init"),
        init_std=0.1,
    )


def test_budget_check_refuses_what_breaks_it():
    budget = Budget(10, 4, 5)
    Allocation.from_sizes(np.array([1, 2, 3, 4])).check(budget)
    for wrong in ([1, 2, 3, 5], [0, 1, 1, 1], [1, 1, 1, 6], [1, 2, 3]):
        with pytest.raises(BetError, match="allowed are 4 entities"):
            Allocation.from_sizes(np.array(wrong)).check(budget)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 40), st.integers(0, 2**32))
def test_adjacency_equals_the_dense_formula(n_users, n_items, k, seed):
    rng = np.random.default_rng(seed)
    matrix = binary_matrix(
        rng.integers(0, n_users, k), rng.integers(0, n_items, k), (n_users, n_items)
    )
    n, dense = n_users + n_items, np.zeros((n_users + n_items,) * 2)
    dense[:n_users, n_users:] = matrix.toarray()
    dense += dense.T
    degree = dense.sum(1)
    root = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0)
    expected = torch.from_numpy(root[:, None] * dense * root).float()
    graph = normalized_adjacency(matrix)
    x = torch.from_numpy(rng.standard_normal((n, 3)).astype(np.float32)).requires_grad_()
    weights = torch.from_numpy(rng.standard_normal((n, 3)).astype(np.float32))
    powers = sum(torch.linalg.matrix_power(expected, layer) for layer in range(3)) / 3
    for ours, matrix_ in ((propagate(graph, x), expected), (propagate_mean(graph, x, 2), powers)):
        torch.testing.assert_close(ours, matrix_ @ x, rtol=1e-4, atol=1e-5)
        (gradient,) = torch.autograd.grad((ours * weights).sum(), x)
        torch.testing.assert_close(gradient, matrix_.T @ weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_masked_columns_stay_zero_and_prefixes_are_taken(split, backbone):
    n = sum(split.train.shape)
    full = build(split, backbone, np.full(n, 8, dtype=np.int16))
    sizes = (np.arange(n) % 6 + 1).astype(np.int16)
    cut = truncate_recommender(full, Allocation.from_sizes(sizes))
    mask = np.tile(np.arange(6) < sizes[:, None], full.backbone.copies)
    prefix = full.table.weight.detach().reshape(n, full.backbone.copies, 8)[:, :, :6].reshape(n, -1)
    assert torch.equal(cut.table().detach(), prefix * torch.from_numpy(mask))
    train(cut, BprSampler(split.train), TrainSettings(256, 0.05), seed=0, epochs=2)
    weight = cut.table.weight.detach().numpy()
    assert (weight[~mask] == 0).all() and (weight[mask] != prefix.numpy()[mask]).mean() > 0.5
    assert cut.table.n_parameters() == full.backbone.copies * int(sizes.sum())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_evaluation_is_without_dropout(split, backbone):
    model = build(split, backbone, np.full(sum(split.train.shape), 8, dtype=np.int16))
    users = torch.arange(10)
    assert torch.equal(model.ranker()(users), model.ranker()(users))
    with torch.no_grad():
        ego = model.table()
        without, noisy = (
            model.backbone.represent(ego, generator)
            for generator in (None, torch_generator(0, "dropout"))
        )
    assert torch.equal(without, noisy) == (backbone != "ngcf")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_final_representations_are_as_wide_as_announced(split, backbone):
    model = build(split, backbone, np.full(sum(split.train.shape), 5, dtype=np.int16))
    representations = model.represent(model.table())
    assert representations.shape[1] == BACKBONES[backbone].final_width(5, d_max=8)
    expected = {"lightgcn": 5, "ngcf": 5 + 3 * 8, "ncf": 2 * 5, "gmf": 5, "ials": 5}
    assert representations.shape[1] == expected[backbone]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_training_beats_popularity(split, backbone):
    model = build(split, backbone, np.full(sum(split.train.shape), 8, dtype=np.int16))
    before = evaluate(model.ranker(), split.validation, [split.train]).means()["ndcg@10"]
    train(model, BprSampler(split.train), TrainSettings(256, 0.03, "cosine"), seed=0, epochs=15)
    popularity = torch.from_numpy(
        np.bincount(split.train.indices, minlength=split.train.shape[1]).astype(np.float32)
    )
    popular = evaluate(
        lambda users: popularity.repeat(len(users), 1), split.validation, [split.train]
    ).means()["ndcg@10"]
    after = evaluate(model.ranker(), split.validation, [split.train]).means()["ndcg@10"]
    assert after > 1.3 * popular and after > before


def test_ncf_with_its_last_table_alone_is_gmf_up_to_a_constant(split):
    sizes = np.full(sum(split.train.shape), 8, dtype=np.int16)
    full = build(split, "ncf", sizes)
    kept = replace(Allocation.uniform(len(sizes), 5), last_copy=True)
    alone = truncate_recommender(full, kept)
    assert alone.name == "gmf" and alone.table.n_parameters() == 5 * len(sizes)
    with torch.no_grad():
        full.backbone.c[5:] = 0
        full.table.weight[:, :8] = 0  # the MLP's rows
    users = torch.arange(full.n_users)
    more = full.ranker()(users) - alone.ranker()(users)
    torch.testing.assert_close(more, more.mean().expand_as(more))
    with pytest.raises(BetError, match="gmf needs all of an entity's tables"):
        truncate_recommender(alone, alone.table.allocation)
