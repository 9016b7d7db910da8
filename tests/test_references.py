"""The references against dense matrices, and how their few numbers are chosen."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_array

from bet.backbones import NO_BACKBONE, RankingRule, rule_recommender
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods import METHODS, REFERENCES
from bet.methods._shared import tuning
from bet.methods._shared.tuning import denser, tune
from bet.methods.ease import Ease
from bet.methods.graph_filter import GraphFilter
from bet.methods.item_knn import ItemKnn
from bet.methods.popularity import Popularity
from bet.packed import load
from bet.serving import served_file, write_served
from bet.training import ReferenceSettings

RULES = {
    Popularity: {},
    GraphFilter: {"user_exponent": 0.5, "item_exponent": 0.3},
    ItemKnn: {"user_exponent": 0.5, "item_exponent": 0.4, "shrinkage": 0.5, "neighbors": 2},
    Ease: {"l2": 3.0},
}
MOST = {"popularity": 1, "graph-filter": 21, "item-knn": 18, "ease": 8}  # evaluations
# Users without an item and with every item, one user, one item, nothing at all.
MATRICES = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 1)
)
EXPONENTS = st.sampled_from([0.0, 0.3, 0.5, 1.0])


def rule_of(kind, matrix, numbers=None):
    return kind(csr_array(matrix), numbers or RULES[kind])


def all_scores(rule):
    return rule.block_scores(np.arange(rule.n_users))


def power(frequency, exponent):
    """Negative power of every frequency, 0 for 0."""
    return np.array([f**-exponent if f else 0.0 for f in frequency.astype(float)])


@settings(deadline=None)
@given(MATRICES)
def test_popularity_is_how_often_an_item_occurs(matrix):
    scores = all_scores(rule_of(Popularity, matrix))
    assert (scores == np.tile(matrix.sum(0), (len(matrix), 1))).all()


@settings(deadline=None)
@given(MATRICES, EXPONENTS, EXPONENTS)
def test_filter_is_the_product_of_dense_matrices(matrix, a, b):
    rule = rule_of(GraphFilter, matrix, {"user_exponent": a, "item_exponent": b})
    dense = matrix.astype(float)
    normalized = power(dense.sum(1), a)[:, None] * dense * power(dense.sum(0), b)
    np.testing.assert_allclose(all_scores(rule), dense @ normalized.T @ normalized, rtol=1e-5)
    everybody = np.arange(rule.n_users)
    np.testing.assert_allclose(rule.by_products(everybody), all_scores(rule), rtol=1e-6)


def test_filter_does_without_numba(monkeypatch, split):
    rule, users = rule_of(GraphFilter, split.train), np.arange(split.train.shape[0])
    with_numba = rule.block_scores(users)
    module = import_module("bet.methods.graph_filter")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(GraphFilter, "by_loop", None)
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(rule.block_scores(users), with_numba, rtol=1e-6)


@settings(deadline=None)
@given(MATRICES, EXPONENTS, EXPONENTS, st.sampled_from([0.0, 1.0, 10.0]), st.integers(1, 9))
def test_neighbors_are_the_nearest_by_a_dense_similarity(matrix, p, q, s, k):
    numbers = {"user_exponent": p, "item_exponent": q, "shrinkage": s, "neighbors": k}
    rule, dense = rule_of(ItemKnn, matrix, numbers), matrix.astype(float)
    frequency = np.maximum(dense.sum(0), 1)
    similar = (dense.T * power(dense.sum(1), p)) @ dense / (np.outer(frequency, frequency) ** q + s)
    np.fill_diagonal(similar, 0)
    lists, weights = rule.stored["neighbors"], rule.stored["weights"]
    assert lists.dtype == np.uint8 and weights.dtype == np.float16
    table = np.zeros_like(similar)  # weight of an item's neighbor
    for item, (named, of_named) in enumerate(zip(lists, weights, strict=True)):
        nearest = named[of_named > 0]
        assert len(set(nearest)) == len(nearest) == min(k, (similar[item] > 0).sum())
        left = np.setdiff1d(np.arange(len(similar)), nearest)
        lowest = similar[item, nearest].min(initial=np.inf)
        assert similar[item, left].max(initial=0.0) <= lowest * (1 + 1e-6)
        table[item, nearest] = of_named[of_named > 0]
    scale = weights.max(initial=0) / similar.max() if similar.any() else 1.0
    close = {"rtol": 2e-3, "atol": 0}  # of float16
    np.testing.assert_allclose(table[table > 0], (similar * scale)[table > 0], **close)
    # The rounded weights of the file are those that score.
    np.testing.assert_allclose(all_scores(rule), dense @ table.T, rtol=1e-5)


@settings(deadline=None)
@given(MATRICES, st.sampled_from([0.5, 3.0, 100.0]))
def test_closed_form_is_a_ridge_regression_of_every_item_on_the_others(matrix, l2):
    rule, dense = rule_of(Ease, matrix, {"l2": l2}), matrix.astype(float)
    weights = np.zeros((matrix.shape[1], matrix.shape[1]))
    for item in range(matrix.shape[1]):
        others = np.delete(np.arange(matrix.shape[1]), item)
        x, y = dense[:, others], dense[:, item]
        weights[others, item] = np.linalg.solve(x.T @ x + l2 * np.eye(len(others)), x.T @ y)
    assert rule.stored["weights"].dtype == np.float32
    np.testing.assert_allclose(rule.stored["weights"], weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(all_scores(rule), dense @ weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", RULES)
@settings(deadline=None, max_examples=25)
@given(MATRICES, st.integers(1, 7), st.integers(0, 2**32))
def test_blocks_of_any_size_and_order_give_the_same_scores(kind, matrix, size, seed):
    rule = rule_of(kind, matrix)
    scores = all_scores(rule)
    users = np.random.default_rng(seed).permutation(len(matrix))
    blocks = [rule.block_scores(users[i : i + size]) for i in range(0, len(users), size)]
    assert scores.dtype == np.float32 and (np.concatenate(blocks) == scores[users]).all()
    assert torch.equal(rule.scores(torch.from_numpy(users)), torch.from_numpy(scores[users]))


@pytest.mark.parametrize("kind", RULES)
def test_what_is_fitted_does_not_depend_on_how_much_fits_into_memory(kind, split, monkeypatch):
    whole = rule_of(kind, split.train).stored
    monkeypatch.setattr(import_module("bet.methods.item_knn"), "ENTRIES", 1)
    monkeypatch.setattr(import_module("bet.methods.ease"), "BLOCK", 7)
    again = rule_of(kind, split.train).stored
    assert whole.keys() == again.keys()
    assert all((whole[name] == again[name]).all() for name in whole)


@pytest.mark.parametrize("kind", RULES)
def test_a_file_holds_what_the_scores_need(kind, split, tmp_path):
    """Read back, with items by frequency, it gives the same scores, fitting nothing."""
    rule, path = rule_of(kind, split.train), tmp_path / "file"
    written = write_served(path, rule_recommender(rule), split.train)
    assert path.stat().st_size == written.n_bytes
    assert written.n_bytes == served_file(rule_recommender(rule), split.train).n_bytes
    file, order = load(path), FrequencyOrder.of(split.train)
    scores = all_scores(rule)[order.users][:, order.items]
    if not kind.reads_graph:
        assert file.interactions is None and not file.weights
        assert (np.diff(scores) <= 0).all(), "the numbers of the items are the answer"
        return
    numbered = split.train[order.users][:, order.items]
    counts, items = file.interactions.items_of(np.arange(rule.n_users))
    assert (items == csr_array(numbered).sorted_indices().indices).all()
    again = kind(numbered, file.facts, file.weights)
    assert again.settings == rule.settings
    np.testing.assert_allclose(all_scores(again), scores, rtol=1e-5, atol=1e-6)


@pytest.fixture
def context(make):
    """Of cells without a backbone."""
    known = make()
    numbers = replace(known.settings, backbone=NO_BACKBONE, training=ReferenceSettings())
    return replace(known, settings=numbers)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_best_on_validation_is_kept_and_refitted(name, context, split):
    result = METHODS[name](context)
    qualities = [trial["quality"] for trial in result.trials]
    model, best = result.trained.model, dict(result.trials[int(np.argmax(qualities))])
    assert best.pop("quality") == max(qualities) == result.trained.result.quality
    assert model.backbone.settings == best and context.quality(model) == max(qualities)
    tried = [tuple(trial.items())[:-1] for trial in result.trials]
    assert len(set(tried)) == len(tried) == result.effort.evaluations <= MOST[name]
    assert result.effort.trainings == result.effort.finetunings == 0
    assert model.table.n_bytes() == model.table.n_parameters() == 0
    again = result.fit_to(split.merged(), "both")
    assert 0 < again.effort.evaluations <= MOST[name]
    refitted = again.model.backbone
    fresh = type(refitted)(split.merged(), refitted.settings)
    assert (all_scores(refitted) == all_scores(fresh)).all()
    assert refitted.stored.keys() == fresh.stored.keys()
    if name != "popularity":
        assert min(qualities) < max(qualities), "settings matter"


def test_a_refit_chooses_on_a_part_of_validation_that_it_did_not_fit(context, split):
    moved = denser(context)
    train, held = moved.data.train, moved.data.validation
    assert ((train + held) != split.merged()).nnz == 0
    assert train.multiply(held).nnz == 0 and held.multiply(split.validation).nnz == held.nnz
    assert 0.1 < held.nnz / split.validation.nnz < 0.3
    assert (denser(context).data.validation != held).nnz == 0
    assert moved.workspace.folder != context.workspace.folder


class Oracle(RankingRule):
    """Knows a part of the split for every setting; counts its fits."""

    name, parts, fits = "oracle", {}, 0

    def fit(self):
        Oracle.fits += 1
        return {}

    def block_scores(self, users):
        return self.parts[self.settings["part"]][users].toarray().astype(np.float32)


@pytest.fixture
def oracle(split):
    Oracle.parts = {0: split.train, 1: split.test, 2: split.validation, 3: split.validation}
    Oracle.fits = 0
    return [{"part": part} for part in range(4)]


def test_a_setting_that_knows_the_test_part_is_not_chosen(context, oracle):
    result = tune(context, Oracle, oracle)
    assert result.trained.model.backbone.settings == {"part": 2}, "the earlier of two equal ones"
    assert result.trials[1]["quality"] < result.trials[2]["quality"] == result.trials[3]["quality"]


def test_later_settings_are_near_the_best_and_none_is_tried_twice(context, oracle):
    asked = []

    def closer(best):
        asked.append(best)
        return oracle

    result = tune(context, Oracle, oracle[:2], closer, closer)
    assert [trial["part"] for trial in result.trials] == [0, 1, 2, 3]
    assert asked[0] in oracle[:2] and asked[1] == {"part": 2}
    assert Oracle.fits == 4 + 1


def test_an_interrupted_tuning_goes_on(context, oracle, monkeypatch):
    evaluate = tuning._evaluate

    def interrupted(context, rule, numbers):
        if numbers["part"] == 2:
            raise KeyboardInterrupt
        return evaluate(context, rule, numbers)

    monkeypatch.setattr(tuning, "_evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(context, Oracle, oracle)
    monkeypatch.setattr(tuning, "_evaluate", evaluate)
    Oracle.fits = 0
    result = tune(context, Oracle, oracle)
    assert Oracle.fits == 2 + 1, "two settings that were left, and the best once more"
    again = tune(context, Oracle, oracle)
    assert again.trials == result.trials and again.seconds.search == result.seconds.search
    Oracle.fits = 0
    tune(context, Oracle, oracle[::-1])
    assert Oracle.fits == 4 + 1, "what was kept of other settings is not used"


def test_ease_says_before_any_work_that_its_matrix_does_not_fit(context, monkeypatch, split):
    n_items = split.train.shape[1]
    module = import_module("bet.methods.ease")
    monkeypatch.setattr(module, "MOST_BYTES", 16 * n_items**2)
    assert METHODS["ease"](context).trials
    monkeypatch.setattr(module, "MOST_BYTES", 16 * n_items**2 - 1)
    monkeypatch.setattr(module, "tune", None)
    message = f"ease on {n_items} items needs {16 * n_items**2:,} bytes .*graph-filter"
    with pytest.raises(BetError, match=message):
        METHODS["ease"](context)
    with pytest.raises(BetError, match=message):
        rule_of(Ease, split.train)
