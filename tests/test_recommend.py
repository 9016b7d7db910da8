"""``bet.load(path)`` recommends: from the file alone, by plain numpy, what its model would."""

import numpy as np
import pytest
from example_files import write_example
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_served_files import CASES, dense, fitted, rescored  # noqa: F401, a fixture

import bet
from bet.data import planted
from bet.errors import BetError
from bet.methods import METHODS
from bet.packed import TableFile, vectors_layout, write_ids, write_packed
from bet.recommend import FileRecommender, open_model, top, vectors
from bet.recommend.interactions import histories_of
from bet.recommend.ranking import Histories
from bet.recommend.top import LOOPS, top_k
from bet.serving import write_served
from bet.study.output import ids_of
from bet.training import AlsSettings


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


VALUES = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.nan])
SCORES = arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 90)), elements=VALUES)


@given(SCORES, st.sampled_from([1, 3, 32]), st.data())
def test_top_k_is_exact_whatever_is_equal(scores, group, data):
    b, n = scores.shape
    k = data.draw(st.integers(1, n))
    seen = data.draw(arrays(bool, (b, n)))
    bad = seen | np.isnan(scores) | (scores == -np.inf)
    expected = sorted_by_score(np.where(bad, -np.inf, scores), bad, k)
    for worth in (0, np.inf):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LOOPS, "worth", worth)
            patch.setattr(top, "GROUP", group)
            ranked = top_k(scores, k, histories_of(seen))
        assert ranked.items.dtype == np.int64 and ranked.scores.dtype == np.float32
        assert [row[row >= 0].tolist() for row in ranked.items] == expected
        assert ((ranked.items < 0) == (ranked.scores == -np.inf)).all()


@pytest.mark.parametrize("case", [("none", "graph-filter", "none"), ("lightgcn", "blend", 5_000)])
def test_the_filter_has_two_ways_to_the_same_scores(served, case):
    model = served(case)
    rule = getattr(model.scorer, "rule", model.scorer)
    histories = Histories(*rule.lists.all())
    np.testing.assert_array_equal(rule.by_loop(histories), rule.by_counting(histories))


def test_a_new_user_of_least_squares_gets_the_row_of_a_trained_one(make, split, tmp_path):
    settings = AlsSettings(sweeps=40, unobserved_weight=0.1, l2=0.2, evaluate_every=40)
    context = make("ials", "none", training=settings)
    model = METHODS["full"](context).trained.model
    stated = {name: getattr(settings, name) for name in ("unobserved_weight", "l2", "exponent")}
    path = tmp_path / "served"
    plain = write_served(path, model, split.train, with_seen=True, ids=ids_of(planted()))
    file = write_served(
        path, model, split.train, with_seen=True, ids=ids_of(planted()), facts=stated
    )
    assert 0 < file.n_bytes - plain.n_bytes < 100 and path.stat().st_size == file.n_bytes
    opened = bet.load(path)
    assert opened.file.facts == stated
    names, users = list(opened.file.ids.item_rows), np.arange(opened.n_users)
    rows = opened.scorer.profiles(users)
    seen = Histories(*opened.file.seen.all())
    folded = opened.scorer.fold_in(seen)
    np.testing.assert_allclose(folded, rows, atol=0.02 * np.abs(rows).max())
    one = opened.fold_in([names[item] for item in seen.part(7, 8).items])
    np.testing.assert_array_equal(one, folded[7])
    with pytest.raises(BetError, match="a fact cannot be called"):
        write_served(path, model, split.train, facts={"users": 3})
    with pytest.raises(BetError, match="cannot be kept in a file"):
        write_served(path, model, split.train, facts={"l2": float("nan")})
    assert bet.load(path).file.facts == stated, "what was there is whole"


def test_vectors_whose_fit_is_unknown_are_folded_in_whatever_their_scale(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 1, 4)).astype(np.float32)
    ids = [*"abcd"], [*"01234567"]
    profiles = []
    for scale in (1, 100):
        path = tmp_path / f"v{scale}"
        write_packed(path, vectors_layout(12, 4, 32, 4), values * np.float32([scale]))
        write_ids(path, ids)
        model = bet.load(path)
        profiles.append(model.recommend_for(["1", 3], k=4))
    assert profiles[0].items == profiles[1].items
    np.testing.assert_allclose(profiles[0].scores, profiles[1].scores, rtol=1e-4)


def test_what_cannot_be_answered_is_refused_with_a_remedy(served, tmp_path):
    model = served(("none", "graph-filter", "none"), with_seen=False)
    user, item = next(iter(model.file.ids.user_rows)), next(iter(model.file.ids.item_rows))
    assert model.recommend([int(user)], k=1).items == model.recommend([user], k=1).items
    for k in (0, -1, model.n_items + 1):
        for ask in (model.recommend, model.recommend_for):
            with pytest.raises(BetError, match=f"k must be from 1 to the 90 items .*got {k}"):
                ask([item], k)
    for k in (2.0, "3", True):
        with pytest.raises(BetError, match="k must be a whole number"):
            model.similar_items(item, k)
    with pytest.raises(BetError, match="unknown user '1190'; the file has 120 users, is it '119'"):
        model.recommend(["1190"])
    with pytest.raises(BetError, match="unknown item 'nothing like it'; the file has 90 items$"):
        model.score(user, ["nothing like it"])
    with pytest.raises(BetError, match="give a list of user ids, not 'ann'"):
        model.recommend("ann")
    for number in (-1, 120):
        with pytest.raises(BetError, match=f"user {number} does not exist: it has 120 users"):
            model.recommend_rows([0, number])
    for numbers in ([0.5], ["1"], [[1]]):
        with pytest.raises(BetError, match="users are looked up by a list of integers"):
            model.recommend_rows(numbers)
    assert model.recommend([], k=3).items == []
    assert model.recommend_rows([], k=3).items.shape == (0, 3)


def test_a_file_without_histories_or_ids_says_what_to_do(tmp_path):
    write_example("vectors", tmp_path / "v")
    model = bet.load(tmp_path / "v")
    assert not model.has_histories and "vectors" in repr(model) and model.shape == (3, 2)
    with pytest.raises(BetError, match="exclude_seen=False, or write the file with .*histories"):
        model.recommend_rows([0], k=1)
    assert model.recommend_rows([0], k=2, exclude_seen=False).items.shape == (1, 2)
    with pytest.raises(BetError, match="has no ids"):
        model.recommend(["ann"], k=1, exclude_seen=False)
    write_example("packed", tmp_path / "t")
    assert isinstance(bet.load(tmp_path / "t"), TableFile)
    with pytest.raises(BetError, match="say nothing about how scores follow.*bet table"):
        open_model(tmp_path / "t")


def test_vectors_that_are_not_kept_decoded_give_the_same_items(served, monkeypatch):
    model = served(("lightgcn", "vectors-int4", 5_000))
    users = range(model.n_users)
    monkeypatch.setattr(vectors, "AT_ONCE", 7)
    kept = model.recommend_rows(users, 20)
    rows = model.file.table.rows(np.arange(model.n_users, len(model)))[:, 0]
    np.testing.assert_array_equal(model.scorer.items, rows)
    monkeypatch.setattr(vectors, "MOST_DECODED", 0)
    again = bet.load(model.file.path)
    assert again.scorer.items is None and model.scorer.items is not None
    decoded = again.recommend_rows(users, 20)
    np.testing.assert_array_equal(decoded.items, kept.items)
    np.testing.assert_allclose(decoded.scores, kept.scores, rtol=1e-5, atol=1e-6)
    names = list(model.file.ids.item_rows)
    for ask in ("similar_items", "recommend_for"):
        what = names[3] if ask == "similar_items" else names[3:6]
        assert getattr(again, ask)(what).items == getattr(model, ask)(what).items


def cosines(columns):
    """Of the columns of a dense matrix with each other."""
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    return columns.T @ columns


@pytest.mark.parametrize("case", [CASES[0], CASES[5], CASES[14]])
def test_similar_items_are_near_by_the_cosine(served, case):
    model = served(case)
    if case[1] == "graph-filter":
        known = dense(model.file.interactions, model.n_items)
        columns = known * known.sum(1, keepdims=True) ** -model.file.facts["user_exponent"]
    else:
        columns = model.file.table.rows(range(model.n_users, len(model)))[:, 0].T
    expected = cosines(columns)
    similar = [model.scorer.similarity(item) for item in range(model.n_items)]
    np.testing.assert_allclose(similar, expected, atol=1e-5)
    names = list(model.file.ids.item_rows)
    best = model.similar_items(names[3], k=4)
    order = [item for item in np.argsort(-expected[3], kind="stable") if item != 3]
    np.testing.assert_allclose(best.scores, expected[3][order[:4]], atol=1e-5)


def test_facts_of_the_model_itself_cannot_be_stated_twice(fitted, split, tmp_path):  # noqa: F811
    model, path = fitted("none", "graph-filter", "none"), tmp_path / "served"
    with pytest.raises(BetError, match="the model itself says what item_exponent is"):
        write_served(path, model, split.train, facts={"item_exponent": 0.1})
    assert not path.exists()
    vectors_alone = fitted("lightgcn", "vectors-int4", 5_000)
    bare = write_served(path, vectors_alone, split.train)
    assert bare.is_table and bet.load(path).file.container.kind == "vectors"
    told = write_served(path, vectors_alone, split.train, facts={"made_by": "us"})
    assert not told.is_table and path.stat().st_size == told.n_bytes > bare.n_bytes
    assert bet.load(path).file.facts == {"layers": 3, "made_by": "us"}
