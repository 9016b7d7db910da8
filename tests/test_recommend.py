"""``bet.load(path)`` recommends: from the file alone, by plain numpy, what its model would."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_served_files import CASES, dense, fitted, rescored  # noqa: F401, a fixture

import bet
from bet.data import planted
from bet.errors import BetError
from bet.recommend import FileRecommender
from bet.recommend.ranking import Histories, leave_out, merge_best, no_items, top_k
from bet.serving import write_served
from bet.study.output import ids_of


@pytest.fixture
def served(fitted, split, tmp_path):  # noqa: F811
    """Call with a case: the open recommender of its file, with histories and ids."""

    def make(case, **details):
        details = {"with_seen": True, "ids": ids_of(planted())} | details
        write_served(tmp_path / "served", fitted(*case), split.train, **details)
        return bet.load(tmp_path / "served")

    return make


def sorted_by_score(scores, seen, k):
    """The definition: by score, then by number, without what was seen."""
    best = []
    for row, without in zip(scores, seen, strict=True):
        order = sorted(range(len(row)), key=lambda item: (-row[item], item))
        best.append([item for item in order if not without[item]][:k])
    return best


@pytest.mark.parametrize("case", CASES)
def test_scores_and_recommendations_are_those_of_the_model(served, case):
    model = served(case)
    assert isinstance(model, FileRecommender) and model.has_histories
    n_users, n_items = model.shape
    assert len(model) == n_users + n_items
    # Vectors that stand beside histories and ids are all that scores come from.
    alone = model.file.interactions is None and case[0] in ("lightgcn", "ngcf")
    expected = rescored(model.file.table if alone else model.file)
    users = np.arange(n_users)
    scores = model.scorer.scores(model.scorer.profiles(users))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())
    seen = dense(model.file.seen, n_items) > 0
    for exclude in (True, False):
        best = model.recommend_rows(users, 20, exclude_seen=exclude)
        assert best.items.shape == best.scores.shape == (n_users, 20)
        left = np.where(seen & exclude, -np.inf, scores)
        taken = np.take_along_axis(left, best.items, axis=1)
        np.testing.assert_allclose(best.scores, taken, rtol=1e-4, atol=1e-5)
        worst = -np.sort(-left, axis=1)[:, :20]
        np.testing.assert_allclose(best.scores, worst, rtol=1e-4, atol=1e-5)
    names = list(model.file.ids.user_rows), list(model.file.ids.item_rows)
    some = [7, 0, 7, n_users - 1]
    answer = model.recommend([names[0][user] for user in some], k=5)
    best = model.recommend_rows(some, 5)
    assert answer.items == [[names[1][item] for item in row] for row in best.items]
    assert answer.scores.tolist() == best.scores.tolist()
    items = [names[1][item] for item in (3, 0, 3)]
    pairs = model.score(names[0][7], items)
    np.testing.assert_allclose(pairs, scores[7, [3, 0, 3]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_new_users_and_items_get_recommendations(served, case):
    model = served(case)
    names, without = list(model.file.ids.item_rows), [5, 2, 9, 2]
    items = [names[number] for number in without]
    best = model.recommend_for(items, k=model.n_items)
    assert len(best.items) == len(set(best.items)) == model.n_items - 3
    assert not set(best.items) & set(items) and (np.diff(best.scores) <= 0).all()
    profile = model.fold_in(items)
    assert profile.dtype == np.float32 and profile.shape == (model.scorer.profile_width,)
    assert np.isfinite(profile).all()
    assert model.recommend_for([], k=3).items
    if case[1] == "popularity":
        with pytest.raises(BetError, match="which items are alike"):
            model.similar_items(names[0])
        return
    alike = model.similar_items(names[4], k=model.n_items)
    assert set(alike.items) == set(names) - {names[4]} and (np.diff(alike.scores) <= 0).all()


@given(
    arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.sampled_from(
        [-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.nan]
    )),
    st.data(),
)
def test_top_k_is_exact_whatever_is_equal(scores, data):
    b, n = scores.shape
    k = data.draw(st.integers(1, n))
    cut = data.draw(st.integers(0, n))
    seen = data.draw(arrays(bool, (b, n)))
    owners, items = np.nonzero(seen)
    lists = Histories(np.searchsorted(owners, np.arange(b + 1)), items)
    bad = seen | np.isnan(scores) | (scores == -np.inf)
    expected = sorted_by_score(np.where(bad, -np.inf, scores), bad, k)
    left = scores.copy()
    leave_out(left, lists)
    whole, best = top_k(left, k), no_items(b, k)
    for first, part in ((0, scores[:, :cut].copy()), (cut, scores[:, cut:].copy())):
        if part.shape[1]:
            leave_out(part, lists, first)
            best = merge_best(best, part, first)
    for ranked in (whole, best):
        assert ranked.items.dtype == np.int64 and ranked.scores.dtype == np.float32
        assert [[item for item in row if item >= 0] for row in ranked.items.tolist()] == expected
        assert ((ranked.items < 0) == (ranked.scores == -np.inf)).all()
