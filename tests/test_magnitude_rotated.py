"""``magnitude-rotated``: axes on which rows are sparse, and what is kept there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ALS
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.backbones import BACKBONES, sparse_rotation
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.magnitude_rotated import KNOBS
from bet.search import check_table, load_or_pretrain, scaled_factors
from bet.study.cell import Cell

METHOD = METHODS["magnitude-rotated"]


def random_rotation(d, rng):
    return torch.from_numpy(np.linalg.qr(rng.normal(size=(d, d)))[0])


def fourth_powers(rows):
    return float((rows / rows.norm(dim=1, keepdim=True)).pow(4).sum())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**31))
def test_it_is_a_rotation_and_rows_are_no_less_sparse(d, n, seed):
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))
    axes = sparse_rotation(rows)
    torch.testing.assert_close(axes.T @ axes, torch.eye(d, dtype=rows.dtype))
    torch.testing.assert_close((rows @ axes) @ (rows @ axes).T, rows @ rows.T)
    assert fourth_powers(rows @ axes) >= fourth_powers(rows) - 1e-9


def test_hidden_sparse_axes_are_found():
    rng = np.random.default_rng(0)
    hidden = torch.from_numpy(rng.normal(size=(500, 8)) * (rng.random((500, 8)) < 0.2))
    hidden = hidden[hidden.abs().sum(1) > 0]
    rotation = random_rotation(8, rng)
    assert rotation.abs().max() < 0.9
    back = rotation @ sparse_rotation(hidden @ rotation)
    # Up to the order and the signs of columns; a sample of rows is not sparsest on its very axes.
    assert back.abs().amax(0).min() > 0.999 and back.abs().amax(1).min() > 0.999


def test_rows_of_zeros_turn_into_zeros():
    rows = torch.zeros(3, 2)
    assert torch.equal(rows @ sparse_rotation(rows), rows)


def kept_of(rows, gamma, weight, n_users, count):
    """The ``count`` places of the largest scores, by numpy."""
    size = np.abs(rows)
    scores = size / size.mean(1, keepdims=True) ** gamma
    scores[:n_users] *= weight
    mask = np.zeros(scores.size, dtype=bool)
    mask[np.argsort(-scores.ravel(), kind="stable")[:count]] = True
    return mask.reshape(scores.shape)


def assert_trained_on_turned(context, outcome, rows):
    """Masks are those of the turned ``rows``; the best on validation is the result."""
    turned = (rows @ sparse_rotation(rows)).numpy()
    knobs = [(trial["gamma"], trial["weight"]) for trial in outcome.trials]
    assert knobs == list(KNOBS[: context.settings.search.top])
    best = max(outcome.trials, key=lambda trial: trial["quality"])
    count, n_users = context.budget.parameters, context.data.n_users
    expected = kept_of(turned, best["gamma"], best["weight"], n_users, count)
    table = outcome.trained.model.table
    np.testing.assert_array_equal(table.allocation.mask, expected)
    assert table.n_parameters() == count
    check_table(outcome.context, table)
    assert outcome.trained.result.quality == best["quality"]


def test_the_largest_turned_numbers_of_the_full_table_are_kept(make):
    context = make(budget="80%")
    outcome = METHOD(context)
    rows = load_or_pretrain(context).model.table().detach()
    assert_trained_on_turned(context, outcome, rows)
    assert outcome.seconds.pretrain is not None


def test_factors_need_no_full_table(make):
    context = make(budget="80%")
    training = replace(context.settings.training, start="ials")
    context = replace(context, settings=replace(context.settings, training=training, als=ALS))
    outcome = METHOD(context)
    rows = scaled_factors(context, context.full_allocation, context.settings.start)
    assert_trained_on_turned(context, outcome, rows)
    assert not (context.workspace.cache / "backbones").exists()
    assert outcome.seconds.pretrain is None
    merged = context.data.train + context.data.validation
    fitted = outcome.fit_to(merged, "both")
    assert fitted.effort.trainings == 0
    again = context.fitted_to(merged)
    rows = scaled_factors(again, context.full_allocation, context.settings.start)
    best = max(outcome.trials, key=lambda trial: trial["quality"])
    expected = kept_of(
        (rows @ sparse_rotation(rows)).numpy(),
        best["gamma"],
        best["weight"],
        context.data.n_users,
        context.budget.parameters,
    )
    np.testing.assert_array_equal(fitted.model.table.allocation.mask, expected)


def test_where_columns_mix_it_is_refused_before_any_work(make):
    for backbone in set(BACKBONES) - {"lightgcn"}:
        context = make(backbone, "80%")
        with pytest.raises(BetError, match="'magnitude-rotated' .*" + repr(backbone)):
            METHOD(context)
        with pytest.raises(BetError, match="'magnitude-rotated' .*" + repr(backbone)):
            Cell("tiny", backbone, "80%", "magnitude-rotated")
        assert not context.workspace.cache.exists()
