"""Ids inside a file and beside it: short, exact, and refused where they lie."""

import contextlib
import lzma
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bet.errors import BetError
from bet.packed import id_layout, layout_of, load, metadata_for, write_ids, write_packed
from bet.packed import write_safetensors as write
from bet.packed.bitstream import pack_stream
from bet.packed.id_side import _FILTERS
from bet.packed.ids import id_map, id_tensors, ids_path

NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.integers(-99, 99)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(
        ["017", "+1", "-0", "0", "１", "1_0", " 1", "", "\x00", "\n", "ÿ", "10" * 20]
    ),
    unique_by=str,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(NAMES, NAMES, st.randoms())
@example([2**63 - 1, -(2**63)], [2**63, 0], None)
@example([2**56 + 1, 1], [2**56, 0], None)
@example([*range(100)], ["a" * 10_000 + str(i) for i in range(100)], None)
def test_ids_come_back_in_any_order_and_their_length_does_not_depend_on_it(users, items, random):
    layout = id_layout((users, items))
    if random:
        random.shuffle(users)
        random.shuffle(items)
    tensors = id_tensors((users, items))
    assert layout == tuple((name, "U8", len(content)) for name, content in tensors.items())
    read = id_map(tensors, len(users), len(items))
    assert list(read.user_rows.items()) == [(str(name), i) for i, name in enumerate(users)]
    assert list(read.item_rows.items()) == [
        (str(name), len(users) + i) for i, name in enumerate(items)
    ]


def test_integers_take_their_bits_and_text_is_compressed():
    shuffled = np.random.default_rng(0).permutation(1000)
    assert id_layout((shuffled, 5_000_000 + shuffled))[1][2] == 10 + 1250
    assert id_layout((shuffled.astype(str), []))[0][2] == 10 + 1250
    names = [f"a user called {i}" for i in shuffled]
    assert id_layout((names, []))[0][2] < sum(map(len, names)) / 5


def test_one_outlier_does_not_make_all_integers_long():
    ids = [*range(1000), 2**56 - 1]
    assert id_layout((ids, []))[0][2] < 7 * 1001


def head_of_text(compressed, text, n_compressed=None):
    return struct.pack("<BII", 1, len(compressed) if n_compressed is None else n_compressed, text)


def text_side(text, places, bits, stated=None, behind=b""):
    compressed = lzma.compress(text, lzma.FORMAT_RAW, filters=_FILTERS) + behind
    head = head_of_text(compressed, len(text) if stated is None else stated)
    return head + compressed + pack_stream(np.array(places), bits).tobytes()


def integer_side(numbers, bits, smallest=0, form=0):
    return (
        struct.pack("<BBq", form, bits, smallest) + pack_stream(np.array(numbers), bits).tobytes()
    )


def test_forms_made_by_hand_are_read(tmp_path):
    for side, names in (
        (text_side(b"a\xffb\xff", [1, 0], 1), ["b", "a"]),
        (text_side(b"a\xffb\xff", [1, 0], 1, behind=bytes(3)), ["b", "a"]),
        (integer_side([0, 3], 2, -1), ["-1", "2"]),
    ):
        assert read_side(tmp_path, side) == names


def read_side(folder, side):
    """The ids of two users, from a file beside a table."""
    path = folder / "t"
    write_packed(path, layout_of(np.array([1, 1]), 8, 2), np.ones((2, 1, 1), np.float32))
    facts = {"users": 2, "items": 0, "table": load(path).container.checksum}
    tensors = {"user_ids": np.frombuffer(side, np.uint8), "item_ids": np.zeros(0, np.uint8)}
    write(ids_path(path), tensors, metadata_for("ids", facts))
    return list(load(path).ids.user_rows)


@pytest.mark.parametrize(
    "side",
    [
        b"",
        b"\0",
        b"\1",
        integer_side([0, 0], 1),
        integer_side([0, 1], 1, form=2),
        integer_side([0, 1], 1)[:-1],
        integer_side([0, 1], 1) + b"\0",
        integer_side([0, 1, 1], 1),
        integer_side([0, 1], 1)[:1] + b"\x00" + integer_side([], 0)[2:],
        integer_side([0, 1], 1)[:1] + b"\xff" + integer_side([0] * 9, 56)[2:],
        text_side(b"a\xffb\xff", [0, 0], 1),
        text_side(b"a\xffb\xff", [0, 1, 1], 1),
        text_side(b"a\xffb", [0, 1], 1),
        text_side(b"a\xffa\xff", [0, 1], 1),
        text_side(b"a\xff", [0, 1], 1),
        text_side(b"a\xffb\xffc\xff", [0, 1], 1),
        text_side(b"a\xff\xc3\xff", [0, 1], 1),
        text_side(b"a\xffb\xff", [0, 1], 1, stated=3),
        text_side(b"a\xffb\xff", [0, 1], 1, stated=5),
        text_side(b"a\xffb\xff", [0, 1], 1, behind=b"\0x"),
        text_side(b"a\xffb\xff", [0, 1], 1)[:-1],
        head_of_text(b"", 4, n_compressed=2**32 - 1) + bytes(9),
        head_of_text(bytes(8), 4) + b"\x7f" * 8 + bytes(1),
    ],
)
def test_ids_that_lie_are_refused(tmp_path, side):
    with pytest.raises(BetError, match="not a readable table file"):
        read_side(tmp_path, side)


def test_a_short_file_does_not_unpack_into_a_long_text(tmp_path):
    bomb = text_side(b"a" * 10**7 + b"\xffb\xff", [0, 1], 1)
    assert len(bomb) < 5_000
    tracemalloc.start()
    for stated in (10**7 + 3, 10**6, 64 * len(bomb)):
        with pytest.raises(BetError, match="not a readable table file"):
            read_side(tmp_path, bomb[:5] + stated.to_bytes(4, "little") + bomb[9:])
    assert tracemalloc.get_traced_memory()[1] < 5 * 10**6
    tracemalloc.stop()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_byte_of_a_side_may_lie(data):
    ids = (["ann", "bob", "ü"], [4, 7])
    tensors = {name: content.copy() for name, content in id_tensors(ids).items()}
    content = tensors[data.draw(st.sampled_from(["user_ids", "item_ids"]))]
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    # What ``refusing_malformed`` turns into a BetError.
    with contextlib.suppress(ValueError):
        read = id_map(tensors, 3, 2)
        assert (len(read.user_rows), len(read.item_rows)) == (3, 2)


def test_a_table_file_holds_the_announced_ids(tmp_path):
    layout, values = layout_of(np.full(4, 2), 8, 2), np.ones((4, 1, 2), np.float32)
    ids = (["ann", "bob"], [30, 10])
    report = write_packed(tmp_path / "t", layout, values, ids)
    assert report.ids == sum(length for _, _, length in id_layout(ids))
    assert (tmp_path / "t").stat().st_size == report.total
    assert load(tmp_path / "t").ids.item_rows == {"30": 2, "10": 3}
    beside = tmp_path / "u"
    write_packed(beside, layout, values)
    assert write_ids(beside, ids).stat().st_size < report.ids + 300
    assert load(beside).ids == load(tmp_path / "t").ids
