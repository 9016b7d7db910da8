"""Coded interactions: they come back exactly, in the announced bytes, and lies are refused."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from bet.data import FrequencyOrder, planted
from bet.errors import BetError
from bet.packed import CodedInteractions, ItemLists, code_interactions
from bet.packed.bitstream import pack_stream
from bet.packed.interactions import SEGMENTS
from bet.packed.item_lists import CHUNK

LISTS = st.integers(0, 40).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.sets(st.integers(0, n - 1)) if n else st.just(())))
)
FULL = (9, [set(range(9)), set(), {8}, {0}, set(range(0, 9, 2))])


def coded_lists(n_items, lists):
    """Coded, from rows in no order."""
    rows = [sorted(items, key=lambda i: i * 7 % 11) for items in lists]
    indptr = np.cumsum([0, *map(len, rows)])
    return code_interactions(indptr, np.array([i for row in rows for i in row], dtype=int), n_items)


def plain_lists(coded):
    """What the documented format says, bit by bit."""
    tensors = coded.tensors
    quotients, remainders = (
        "".join(f"{byte:08b}" for byte in tensors[name]) for name in ("quotients", "remainders")
    )
    classes, stored = len(tensors["widths"]), tensors["degrees"]
    if stored.ndim == 1:
        digits = "".join(f"{byte:08b}" for byte in stored)
        degrees = [int(digits[u * classes :][:classes] or "0", 2) for u in range(coded.n_users)]
    else:
        degrees = np.repeat(*stored).tolist()
    lists = []
    for degree in degrees:
        items = [-1]
        for place in range(degree):
            width = int(tensors["widths"][degree.bit_length() - 1, place * SEGMENTS // degree])
            quotient = quotients.index("1")
            remainder = int(remainders[:width] or "0", 2)
            items.append(items[-1] + 1 + (quotient << width) + remainder)
            quotients, remainders = quotients[quotient + 1 :], remainders[width:]
        if not degree:
            assert quotients[0] == "1"
            quotients = quotients[1:]
        lists.append(items[1:])
    assert "1" not in quotients + remainders and len(quotients) < 8 and len(remainders) < 8
    return lists


@settings(max_examples=200, deadline=None)
@given(LISTS, st.data())
@example(FULL, None)
@example((1, [{0}] * 70), None)
@example((1, [set(), {0}]), None)
@example((0, [set()] * 20), None)
@example((5, []), None)
@example((40, [{39}] * 3 + [set(range(40))]), None)
def test_every_list_comes_back_in_any_order(interactions, data):
    n_items, lists = interactions
    coded = coded_lists(n_items, lists)
    wanted = [sorted(items) for items in lists]
    assert plain_lists(coded) == wanted
    assert coded.layout.n_bytes == sum(tensor.nbytes for tensor in coded.tensors.values())
    reader = ItemLists(coded)
    assert (reader.n_users, reader.n_items) == (len(lists), n_items)
    assert reader.n_interactions == sum(map(len, lists))
    some = st.lists(st.integers(0, len(lists) - 1)) if lists else st.just([])
    for users in ([*range(len(lists))], data.draw(some) if data else [0] * min(2, len(lists))):
        indptr, items = reader.items_of(users)
        assert items.dtype == np.int32 and len(indptr) == len(users) + 1
        parts = np.split(items, indptr[1:-1]) if users else []
        assert [part.tolist() for part in parts] == [wanted[user] for user in users]
    assert reader.all()[1].tolist() == sum(wanted, [])


def test_lists_longer_than_what_is_decoded_at_once_come_back():
    rng = np.random.default_rng(0)
    lists = [rng.random(200_000) < density for density in (0.1, 1, 0, *rng.random(20) / 2)]
    matrix = csr_array(np.array(lists))
    coded = code_interactions(matrix.indptr, matrix.indices, matrix.shape[1])
    assert 8 * len(coded.tensors["quotients"]) > CHUNK
    indptr, items = ItemLists(coded).all()
    np.testing.assert_array_equal(indptr, matrix.indptr)
    np.testing.assert_array_equal(items, matrix.indices)


def test_users_by_frequency_have_degrees_in_runs_and_items_by_frequency_are_shorter():
    matrix = planted().matrix
    order = FrequencyOrder.of(matrix)
    by_rank = csr_array(matrix[order.users][:, order.items])
    coded = code_interactions(by_rank.indptr, by_rank.indices, by_rank.shape[1])
    by_id = code_interactions(matrix.indptr, matrix.indices, matrix.shape[1])
    assert coded.tensors["degrees"].ndim == 2 and by_id.tensors["degrees"].ndim == 1
    assert coded.layout.n_bytes < by_id.layout.n_bytes
    np.testing.assert_array_equal(ItemLists(coded).degrees, order.sorted_users)


def test_what_is_no_binary_matrix_is_refused():
    for indptr, indices, n_items, words in (
        ([0, 2], [1, 1], 3, "an item twice"),
        ([0, 1], [3], 3, "item 3 of 3"),
        ([0, 1], [-1], 3, "item -1 of 3"),
        ([0, 2], [1], 3, "indptr must rise"),
        ([0, 2, 1], [1], 3, "indptr must rise"),
        ([], [], 3, "indptr must rise"),
        ([0], [], 2**31, "2,147,483,648 items; at most"),
    ):
        with pytest.raises(BetError, match=words):
            code_interactions(np.array(indptr, int), np.array(indices, int), n_items)


def test_users_that_do_not_exist_are_refused():
    reader = ItemLists(coded_lists(*FULL))
    for users in ([-1], [0, 5]):
        with pytest.raises(BetError, match=r"user (-1|5) does not exist: it has 5 users"):
            reader.items_of(users)
    with pytest.raises(BetError, match="users are looked up by a list of integers"):
        reader.items_of([0.5])


def changed(coded, **tensors):
    return CodedInteractions(coded.n_users, coded.n_items, dict(coded.tensors) | tensors)


@pytest.mark.parametrize("lists", [FULL[1], sorted(FULL[1] * 5, key=len, reverse=True)])
def test_tensors_that_lie_are_refused_or_read(lists):
    """One bit anywhere: what is still a list of increasing items is read, all else refused."""
    coded, refused = coded_lists(9, lists), 0
    assert coded.tensors["degrees"].ndim == 1 + (len(lists) > 5)
    for name, tensor in coded.tensors.items():
        for bit in range(8 * tensor.nbytes):
            lying = np.frombuffer(tensor.tobytes(), np.uint8).copy()
            lying[bit // 8] ^= 1 << bit % 8
            lying = lying.view(tensor.dtype).reshape(tensor.shape)
            try:
                reader = ItemLists(changed(coded, **{name: lying}))
                indptr, items = reader.all()
            except BetError:
                refused += 1
                continue
            assert len(indptr) == coded.n_users + 1 and len(items) == indptr[-1]
            assert len(items) == 0 or 0 <= items.min() <= items.max() < coded.n_items
            for part in np.split(items, indptr[1:-1]):
                assert (np.diff(part) > 0).all()
    assert refused > 20


def test_streams_of_another_length_are_refused():
    coded = coded_lists(*FULL)
    for name in ("quotients", "remainders", "degrees"):
        tensor = coded.tensors[name]
        for length in (0, len(tensor) - 1, len(tensor) + 1):
            with pytest.raises(BetError, match="not a readable table file"):
                ItemLists(changed(coded, **{name: np.resize(tensor, length)}))


BIG = 2**32 - 1


@pytest.mark.parametrize(
    ("n_users", "n_items", "tensors"),
    [
        (10**12, 9, {}),
        (-1, 9, {}),
        (5, 8, {}),
        (5, 10**30, {}),
        (5, -1, {}),
        (5, 9, {"degrees": np.array([[1], [BIG]], np.uint32)}),
        (5, 9, {"degrees": np.array([[BIG], [5]], np.uint32)}),
        (5, 9, {"degrees": np.array([[9, 1], [1, 4]], np.uint8)}),
        (5, 9, {"degrees": np.zeros((3, 1), np.uint8)}),
        (5, 9, {"degrees": np.array([[9, 1], [1, 4]], np.float32)}),
        (5, 9, {"degrees": np.zeros(5, np.uint16)}),
        (5, 9, {"degrees": np.zeros((), np.uint8)}),
        (5, 9, {"widths": np.zeros((4, SEGMENTS - 1), np.uint8)}),
        (5, 9, {"widths": np.zeros((60, SEGMENTS), np.uint8)}),
        (5, 9, {"widths": np.zeros((2, SEGMENTS), np.uint8)}),
        (5, 9, {"widths": np.full((4, SEGMENTS), 32, np.uint8)}),
        (5, 9, {"widths": np.zeros((4, SEGMENTS), np.uint16)}),
        (5, 9, {"quotients": np.zeros((2, 2), np.uint8)}),
        (5, 9, {"quotients": np.zeros(3, np.float32)}),
        (5, 9, {"quotients": np.full(10**6, 255, np.uint8)}),
    ],
)
def test_announcements_that_lie_take_no_memory(n_users, n_items, tensors):
    coded = coded_lists(*FULL)
    lying = CodedInteractions(n_users, n_items, dict(coded.tensors) | tensors)
    with pytest.raises(BetError, match="not a readable table file"):
        ItemLists(lying)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.lists(st.integers(0, 30), max_size=81),
    st.integers(0, 31),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**32),
)
@example([9] * 9, [30] * 81, 31, 2**31 - 1, 0)
@example([1], [], 31, 2**31 - 1, 1)
def test_consistent_streams_are_lists_or_refused(degrees, zeros, width, n_items, seed):
    """Any quotients and remainders, of the lengths that degrees and widths announce."""
    n_ones, n_bits = sum(degrees), sum(degrees) * width
    quotients = [int(c) for k in (zeros + n_ones * [0])[:n_ones] for c in "0" * k + "1"]
    remainders = np.random.default_rng(seed).integers(0, 2, n_bits)
    digits = max(degrees).bit_length()
    tensors = {
        "degrees": pack_stream(np.array(degrees), digits),
        "widths": np.full((digits, SEGMENTS), width, np.uint8),
        "quotients": np.packbits(quotients),
        "remainders": np.packbits(remainders),
    }
    coded = CodedInteractions(len(degrees), n_items, tensors)
    wanted = plain_lists(coded)
    if max(items[-1] for items in wanted) < n_items and max(degrees) <= n_items:
        assert ItemLists(coded).all()[1].tolist() == sum(wanted, [])
    else:
        with pytest.raises(BetError, match="not a readable table file"):
            ItemLists(coded).all()
