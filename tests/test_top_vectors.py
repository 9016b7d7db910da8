"""The best items from packed rows: both roads and a sort of everything give the same."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bet.errors import BetError
from bet.packed import layout_of, load, vectors_layout, write_packed
from bet.recommend import top, top_vectors
from bet.recommend.ranking import Histories
from bet.recommend.top_vectors import top_items, top_products


def sorted_at_once(scores, k, seen):
    """The reference: all scores (b, n) of a user sorted, the seen ones last; -1 for those."""
    items = np.full((len(scores), k), -1)
    for user, row in enumerate(scores):
        left = np.setdiff1d(np.arange(len(row)), seen[user])
        ranked = left[np.argsort(-row[left], kind="stable")][:k]
        items[user, : len(ranked)] = ranked
    return items


def lists(seen):
    """The sorted lists ``seen``."""
    items = np.array([i for user in seen for i in user], np.int32)
    return Histories(np.cumsum([0, *map(len, seen)]), items)


def reader(items):
    """Gives vectors as a file does."""
    return lambda first, end: items[first:end]


@pytest.fixture(params=["compiled", "numpy"])
def road(request, monkeypatch):
    """Both roads, whether numba is installed or not."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        monkeypatch.setattr(top.LOOPS, "worth", 0)
    else:
        monkeypatch.setattr(top.LOOPS, "worth", np.inf)
        monkeypatch.setattr(top_vectors, "find_spec", lambda name: None)
    return request.param


@settings(max_examples=120, deadline=None)
@given(
    b=st.integers(0, 7),
    n=st.integers(1, 40),
    blocks=st.sampled_from([(64, 64, 64), (8, 3, 4), (7, 2, 3), (1, 1, 1)]),
    share=st.floats(0, 1),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
@example(b=3, n=40, blocks=(8, 3, 4), share=1.0, data=None, seed=0)
def test_both_roads_sort_as_everything_at_once(b, n, blocks, share, data, seed):
    """Small whole numbers: products are exact, and many of them equal."""
    rng = np.random.default_rng(seed)
    k = n if data is None else data.draw(st.integers(1, n), label="k")
    users, items = (rng.integers(-2, 3, (m, 2)).astype(np.float32) for m in (b, n))
    seen = [np.flatnonzero(rng.random(n) < share * rng.random()) for _ in range(b)]
    expected = sorted_at_once(users @ items.T, k, seen)
    for worth in (0, np.inf):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(top.LOOPS, "worth", worth)
            patch.setattr(top, "GROUP", 2)
            for name, value in zip(("DECODED", "USERS", "ITEMS"), blocks, strict=True):
                patch.setattr(top_vectors, name, value)
            ranked = top_products(users, reader(items), n, k, lists(seen))
        best, products = ranked.items, ranked.scores
        np.testing.assert_array_equal(best, expected)
        assert best.dtype == np.int64 and products.dtype == np.float32
        taken = np.take_along_axis(users @ items.T, np.maximum(best, 0), axis=1)
        np.testing.assert_array_equal(products, np.where(best < 0, -np.inf, taken))


@pytest.mark.parametrize("bits", [1, 4, 8, 16, 32])
def test_rows_of_a_file_give_their_inner_products(tmp_path, monkeypatch, road, bits):
    rng = np.random.default_rng(bits)
    n_users, n_items, d, k = 300, 2500, 27, 20  # the last byte is not full
    values = rng.standard_normal((n_users + n_items, 1, d)).astype(np.float32)
    write_packed(tmp_path / "t", vectors_layout(len(values), d, bits, n_users), values)
    table = load(tmp_path / "t")
    users, items = table.rows(range(n_users))[:, 0], table.rows(range(n_users, len(table)))[:, 0]
    seen = [np.sort(rng.choice(n_items, 40, replace=False)) for _ in range(n_users)]
    scores = users.astype(np.float64) @ items.T.astype(np.float64)
    table_scores = scores.copy()
    for left_out in (None, lists(seen)):
        ranked = top_items(users, table, n_users, k, left_out)
        best, products = ranked.items, ranked.scores
        if left_out is not None:
            np.put_along_axis(scores, np.stack(seen), -np.inf, axis=1)
        # Sums are rounded differently: the scores are those of a sort, each item has its own.
        np.testing.assert_allclose(products, -np.sort(-scores, axis=1)[:, :k], rtol=1e-4)
        np.testing.assert_allclose(products, np.take_along_axis(scores, best, axis=1), rtol=1e-4)
        assert all(len(set(user)) == k for user in best.tolist())
    monkeypatch.setattr(top_vectors, "MULTIPLIED", 600)
    few = top_items(users[:3], table, n_users, k, lists(seen[:3]))
    np.testing.assert_allclose(few.scores, products[:3], rtol=1e-4)
    expected = np.take_along_axis(scores[:3], few.items, axis=1)
    np.testing.assert_allclose(few.scores, expected, rtol=1e-4)
    later = top_items(users[:1], table, n_users + 700, 1).items  # not all of them
    assert later == table_scores[0, 700:].argmax()


def test_rows_of_several_kinds_are_decoded_for_a_single_user_too(tmp_path, road):
    rng = np.random.default_rng(0)
    sizes, bits = rng.integers(0, 9, 60), rng.choice([1, 4, 32], 60)
    values = rng.standard_normal((60, 1, 9)).astype(np.float32)
    write_packed(tmp_path / "t", layout_of(sizes, bits, 10), values)
    table = load(tmp_path / "t")
    rows = table.rows(range(60))[:, 0]
    best = top_items(rows[:1], table, 10, 5)
    scores = rows[:1] @ rows[10:].T
    np.testing.assert_allclose(best.scores, -np.sort(-scores, axis=1)[:, :5], rtol=1e-5)
    expected = np.take_along_axis(scores, best.items, axis=1)
    np.testing.assert_allclose(best.scores, expected, rtol=1e-5)


def test_both_roads_are_equal_bit_by_bit(monkeypatch):
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    users, items = (rng.standard_normal((m, 16)).astype(np.float32) for m in (600, 6000))
    items[5000:5900] = items[100:1000]  # ties far apart
    seen = lists([np.sort(rng.choice(6000, 100, replace=False)) for _ in users])
    monkeypatch.setattr(top.LOOPS, "worth", 0)
    compiled = top_products(users, reader(items), 6000, 50, seen)
    monkeypatch.setattr(top.LOOPS, "worth", np.inf)
    by_numpy = top_products(users, reader(items), 6000, 50, seen)
    assert compiled.items.tobytes() == by_numpy.items.tobytes()
    assert compiled.scores.tobytes() == by_numpy.scores.tobytes()


def test_what_is_no_number_is_never_among_the_best(road):
    items = np.array([[np.nan], [1], [-np.inf], [2]], dtype=np.float32)
    best = top_products(np.ones((1, 1), np.float32), reader(items), 4, 4)
    assert best.items.tolist() == [[3, 1, -1, -1]]
    assert best.scores.tolist() == [[2, 1, -np.inf, -np.inf]]


def test_what_does_not_fit_is_refused(tmp_path):
    write_packed(tmp_path / "t", layout_of(np.full(5, 2), 8, 2), np.ones((5, 1, 2), np.float32))
    write_packed(tmp_path / "u", layout_of(np.full(5, 2), 8, 2, 2), np.ones((5, 2, 2), np.float32))
    table, users = load(tmp_path / "t"), np.ones((2, 2), np.float32)
    for k in (0, 4):
        with pytest.raises(BetError, match=f"between 1 and the number of items, 3; got {k}"):
            top_items(users, table, 2, k)
    with pytest.raises(BetError, match=r"shape \(2, 1\).*rows of 2 numbers"):
        top_items(users[:, :1], table, 2, 1)
    with pytest.raises(BetError, match="2 rows for each entity"):
        top_items(users, load(tmp_path / "u"), 2, 1)
    for indptr, items, words in (
        ([0, 1], [0], "1 lists of seen items for 2 users"),
        ([0, 2, 1], [0, 1], "2 lists of seen items for 2 users"),
        ([0, 1, 3], [0, 1], "3 seen items, but there are 2"),
        ([0, 0, 2], [1, 0], "sorted within a user"),
        ([0, 2, 2], [1, 1], "each of them once"),
    ):
        with pytest.raises(BetError, match=words):
            top_items(users, table, 2, 1, Histories(np.array(indptr), np.array(items)))
    assert top_items(users[:0], table, 2, 3).items.shape == (0, 3)
