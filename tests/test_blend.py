"""A blend: two recommenders' scores, standardized and added; its numbers come from validation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import csr_array

from bet.actions import parse_bytes
from bet.backbones import BlendedRecommender
from bet.backbones.blended import standardize
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.blend import BITS, WEIGHTS
from bet.methods.graph_filter import GraphFilter
from bet.search import SearchContext
from bet.serving import served_file
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.training import evaluate

LIMIT = 3_000
SCORES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-9, 9, width=16),
)


@given(SCORES)
def test_standardized_scores_rank_as_before_with_mean_0_and_deviation_1(scores):
    given_scores = torch.from_numpy(scores)
    after = standardize(given_scores)
    assert torch.isfinite(after).all()
    for row, standard in zip(given_scores, after, strict=True):
        if row.std(correction=0) > 1e-2:
            assert abs(float(standard.mean())) < 1e-3
            assert abs(float(standard.std(correction=0)) - 1) < 1e-3
            order = row.argsort(stable=True)
            assert (standard[order].diff() >= 0).all()


@pytest.fixture(params=["lightgcn", "ials"])
def blended(request, make):
    context = make(request.param, limit=LIMIT)
    return context, METHODS["blend"](context)


def test_bits_and_weight_are_the_best_on_validation(blended, split, monkeypatch):
    context, result = blended
    assert len(result.trials) == len(BITS) + len(WEIGHTS)
    best = max(result.trials, key=lambda trial: trial["quality"])
    model = result.trained.model
    assert isinstance(model, BlendedRecommender)
    assert (model.weight, model.table.spec.bits) == (best["weight"], best["bits"])
    ranked = evaluate(model.ranker(), split.validation, [split.train])
    quality = result.trained.result.quality
    assert ranked.means()["quality"] == pytest.approx(best["quality"]) == quality
    assert result.effort.trainings == len(BITS)
    assert model.table.n_bytes() <= LIMIT
    file = served_file(model, split.train)
    assert file.form == "vectors and interactions" and file.layout.byte_report().interactions > 0
    # What is finished is not evaluated again.
    monkeypatch.setattr(SearchContext, "rank", None)
    again = METHODS["blend"](context)
    assert again.trials == result.trials


def test_a_refit_is_the_parts_fitted_again(blended, split):
    _, result = blended
    merged = split.merged()
    fitted = result.fit_to(merged, "train and validation")
    model = fitted.model
    assert fitted.effort.evaluations > 0 and fitted.effort.trainings == 0
    assert model.weight == result.trained.model.weight
    users = torch.arange(5)
    np.testing.assert_array_equal(
        model.rule.scores(users), GraphFilter(merged, model.rule.settings).scores(users)
    )
    expected = standardize(model.rule.scores(users))
    of_vectors = super(BlendedRecommender, model).ranker()(users)
    expected += model.weight * standardize(of_vectors)
    np.testing.assert_allclose(model.ranker()(users), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("protocol", ["clean", "merged"])
@pytest.mark.parametrize("backbone", ["lightgcn", "ials"])
def test_a_budget_to_serve_holds_in_the_record(backbone, protocol, tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name))
    text = "11 B/entity to serve"
    record = run_cell(Cell("tiny", backbone, text, "blend", protocol=protocol, profile="smoke"))
    limit = parse_bytes(text, record.data.users + record.data.items)
    assert record.serving.form == "vectors and interactions"
    assert record.size.bytes < record.serving.bytes <= limit
    entities = record.data.users + record.data.items  # a byte more for each would not fit
    assert limit - record.serving.bytes < entities + 64


def test_what_cannot_be_blended_is_refused(make):
    for backbone in ("ncf", "gmf"):
        with pytest.raises(BetError, match=f"'{backbone}' has none; take lightgcn, ngcf or ials"):
            METHODS["blend"](make(backbone, limit=LIMIT))
    with pytest.raises(BetError, match="raise the budget"):
        METHODS["blend"](make("ials", limit=600))
    with pytest.raises(BetError, match="budget"):
        METHODS["blend"](make("lightgcn"))


def test_a_user_without_interactions_gets_the_order_of_the_vectors():
    interactions = csr_array(np.array([[0, 0, 0], [1, 1, 0]], dtype=np.uint8))
    rule = GraphFilter(interactions, {"user_exponent": 0.5, "item_exponent": 0.5})
    assert not standardize(rule.scores(torch.tensor([0]))).any()
