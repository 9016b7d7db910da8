"""New items: their vectors solve their equations, and their scores stand among the others."""

import numpy as np
import pytest
from example_files import write_example
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from test_recommend import served  # noqa: F401, a fixture
from test_served_files import CASES, fitted  # noqa: F401, a fixture

import bet
from bet.data import planted
from bet.errors import BetError, UnknownId
from bet.methods import METHODS
from bet.packed import code_interactions, vectors_layout, write_packed, write_recommender
from bet.recommend import least_squares
from bet.recommend.interactions import Interactions
from bet.serving import write_served
from bet.study.output import ids_of
from bet.training import AlsSettings

USERS, ITEMS = [*"abcdefghij"], [*"01234567"]
FACTS = {"unobserved_weight": 0.1, "l2": 0.2, "exponent": 0.7}
WITHOUT = ("popularity", "item-knn", "ease")


def random_vectors(folder, facts=FACTS, lists=None, scale=1.0):
    """Vectors (18, 4) of 10 users and 8 items, and an open file of them."""
    values = np.random.default_rng(0).normal(size=(18, 1, 4)).astype(np.float32) * np.float32(scale)
    write_packed(folder / "table", vectors_layout(18, 4, 32, 10), values)
    sizes = {"n_users": 10, "n_items": 8, "ids": (USERS, ITEMS), "seen": lists}
    write_recommender(folder / "file", "vectors", facts, table=folder / "table", **sizes)
    return values[:, 0].astype(np.float64), bet.load(folder / "file")


def dense_vector(users, had, equation):
    """The vector that gives ``had`` 1 and others 0, as one weighted ridge regression."""
    weight, terms = equation["unobserved_weight"], len(had)
    terms += weight * len(users)
    has = np.isin(np.arange(len(users)), had)
    roots = np.sqrt(weight + has)  # of the weights of all users
    ridge = np.sqrt(equation["l2"] * terms ** equation["exponent"])
    rows = np.vstack([roots[:, None] * users, ridge * np.eye(users.shape[1])])
    # has / roots, so that the right side is the sum of the vectors of those who had it
    wanted = np.concatenate([has / roots, np.zeros(users.shape[1])])
    return np.linalg.lstsq(rows, wanted, rcond=None)[0]


@given(had=st.sets(st.integers(0, 9)))
def test_the_vector_solves_the_dense_regression(tmp_path_factory, had):
    values, model = random_vectors(tmp_path_factory.mktemp("v"))
    expected = dense_vector(values[:10], sorted(had), FACTS)
    names = [USERS[user] for user in had]
    vector = model.fold_in_item([*names, *names[:1]])
    assert vector.dtype == np.float32 and vector.shape == (4,)
    np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-5)
    assert had or not vector.any()
    scores = model.score_new_item(names, USERS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, values[:10] @ expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_vectors_of_another_fit_are_mapped_among_the_known_items(tmp_path, scale):
    known = [[0, 1, 2], [], [3], [9, 2], [4, 5, 6, 7], [0], [8, 1], [2, 5]]  # the users of items
    has = csr_array([[user in users for users in known] for user in range(10)])
    lists = code_interactions(has.indptr, has.indices, n_items=8)
    values, model = random_vectors(tmp_path, facts={}, lists=lists, scale=scale)
    users, items = values[:10], values[10:]
    squares = np.square(users).sum() / 10  # the ridge is relative to them
    equation = {"unobserved_weight": 0.1, "l2": 0.5 * squares, "exponent": 0.5}
    filled = [item for item in range(8) if known[item]]
    solved = np.array([dense_vector(users, known[item], equation) for item in filled])
    # Ridge regression with an intercept that is not shrunk, as one dense system.
    ridge = 0.1 * np.square(solved - solved.mean(0)).sum() / 4
    rows = np.hstack([solved, np.ones((len(filled), 1))])
    shrink = np.hstack([np.sqrt(ridge) * np.eye(4), np.zeros((4, 1))])
    wanted = np.vstack([items[filled], np.zeros((4, 4))])
    slopes = np.linalg.lstsq(np.vstack([rows, shrink]), wanted, rcond=None)[0]
    for had in ([], [3], [1, 4, 9], list(range(10))):
        expected = np.append(dense_vector(users, had, equation), 1.0) @ slopes
        vector = model.fold_in_item([USERS[user] for user in had])
        np.testing.assert_allclose(vector, expected, rtol=2e-3, atol=1e-3 * scale)


def test_where_one_item_is_known_a_new_one_is_like_it(tmp_path):
    indptr = np.array([0, *[1] * 10])
    lists = code_interactions(indptr, np.array([6]), n_items=8)
    values, model = random_vectors(tmp_path, facts={}, lists=lists)
    np.testing.assert_allclose(model.fold_in_item(["c", "d"]), values[16], rtol=1e-5)


def test_many_users_are_added_in_blocks(tmp_path, monkeypatch):
    _, model = random_vectors(tmp_path)
    at_once = model.fold_in_item(USERS)
    monkeypatch.setattr(least_squares, "AT_ONCE", 3)
    np.testing.assert_allclose(model.fold_in_item(USERS), at_once, rtol=1e-5)


def test_an_item_of_least_squares_gets_the_scores_of_a_trained_one(make, split, tmp_path):
    context = make("ials", "none", training=AlsSettings(sweeps=40, evaluate_every=40, **FACTS))
    model = METHODS["full"](context).trained.model
    path = tmp_path / "served"
    write_served(path, model, split.train, with_seen=True, ids=ids_of(planted()), facts=FACTS)
    opened = bet.load(path)
    names, by_item = list(opened.file.ids.user_rows), Interactions(opened.file.seen).by_item
    profiles = opened.scorer.profiles(np.arange(opened.n_users))
    known = opened.scorer.scores(profiles)  # (|U|, |V|)
    for item in range(opened.n_items):
        had_by = [names[user] for user in by_item.part(item, item + 1).items]
        scores = opened.score_new_item(had_by, names)
        np.testing.assert_allclose(scores, known[:, item], atol=0.02 * np.abs(known).max())


@pytest.mark.parametrize("case", [CASES[12], CASES[14]])
def test_a_filter_gives_an_item_with_the_users_of_a_known_one_the_same(served, case):  # noqa: F811
    model = served(case)
    rule = getattr(model.scorer, "rule", model.scorer)
    users, by_item = np.arange(model.n_users), rule.interactions.by_item
    known = rule.scores(rule.profiles(users))
    names = list(model.file.ids.user_rows)
    for item in (0, 7, model.n_items - 1):
        had = by_item.part(item, item + 1).items
        vector = rule.fold_in_item(had)
        new = rule.new_item_scores(vector, users)
        np.testing.assert_allclose(new, known[:, item], rtol=1e-4, atol=1e-6 * known.max())
        np.testing.assert_allclose(new, rule.profiles(users) @ vector, rtol=1e-4, atol=1e-6)
        if rule is not model.scorer:  # a blend: both stand among the known items' scores
            vectors = model.scorer.vectors
            profiles = vectors.profiles(users)
            products = profiles @ vectors.fold_in_item(had)
            both = (known, new, 1.0), (vectors.scores(profiles), products, model.scorer.weight)
            expected = sum(w * (n - k.mean(1)) / k.std(1) for k, n, w in both)
            scores = model.score_new_item([names[user] for user in had], names)
            np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_users_for_a_new_item_are_the_best_without_those_who_had_it(served, case):  # noqa: F811
    model = served(case)
    names = list(model.file.ids.user_rows)
    had_by = [names[user] for user in (5, 2, 9, 2)]
    if case[1] in WITHOUT or case[0] == "ncf":
        for ask in (model.fold_in_item, model.users_for):
            with pytest.raises(BetError, match="has no place for new items; files of vectors"):
                ask(had_by)
        return
    vector = model.fold_in_item(had_by)
    assert vector.dtype == np.float32 and vector.shape == (model.scorer.profile_width,)
    scores = model.score_new_item(had_by, names)
    assert scores.dtype == np.float32 and np.isfinite(scores).all()
    best = model.users_for(had_by, k=model.n_users)
    order = [u for u in np.argsort(-scores, kind="stable") if u not in (5, 2, 9)]
    assert best.users == [names[user] for user in order]
    assert best.scores.tolist() == scores[order].tolist()
    assert model.users_for(had_by, k=3).users == best.users[:3]
    # Nobody has had it, everybody has.
    assert np.isfinite(model.fold_in_item([])).all() and len(model.users_for([], k=4).users) == 4
    nobody_left = model.users_for(names, k=4)
    assert nobody_left.users == [] and nobody_left.scores.shape == (0,)
    assert np.isfinite(model.score_new_item(names, names)).all()
    assert model.score_new_item(had_by, []).shape == (0,)
    # The new item's scores stand beside those of known items: they have one scale.
    known = model.scorer.scores(model.scorer.profiles(np.arange(model.n_users)))
    assert 0.05 < scores.std() / known.std() < 5


def nothing_had():
    return code_interactions(np.zeros(11, dtype=int), np.zeros(0, dtype=int), n_items=8)


def test_bad_input_names_what_was_meant(tmp_path):
    _, model = random_vectors(tmp_path)
    for ask in (model.fold_in_item, model.users_for):
        with pytest.raises(UnknownId, match="unknown user 'aa'; the file has 10 users, is it 'a'"):
            ask(["a", "aa"])
    with pytest.raises(BetError, match="give a list of user ids, not 'a'"):
        model.score_new_item("a", USERS)
    with pytest.raises(UnknownId, match="unknown user 'z'"):
        model.score_new_item(["a"], ["z"])
    for k in (0, 11):
        with pytest.raises(BetError, match=f"k must be from 1 to the 10 users .*got {k}"):
            model.users_for(["a"], k)
    for lists, why in ((None, "on which scale"), (nothing_had(), "nobody in it has had anything")):
        _, model = random_vectors(tmp_path, facts={}, lists=lists)
        with pytest.raises(BetError, match=f"file: .*{why}"):
            model.users_for(["a"], k=1)
    write_example("vectors", tmp_path / "w")
    with pytest.raises(BetError, match="has no ids"):
        bet.load(tmp_path / "w").users_for(["ann"], k=1)
