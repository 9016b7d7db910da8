"""Look-ups by compiled loops and by numpy: the same numbers, bit by bit, from every layout."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bet.packed import BITS, layout_of, load, ragged, write_packed
from bet.packed.levels import levels_of
from bet.packed.ragged import PackedFile
from bet.packed.safetensors_io import open_view

pytest.importorskip("numba")

ROWS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(BITS)), min_size=1, max_size=80)


def write(path, rows, copies, by_rank, share, seed):
    """A table of ``rows`` of (size, bits), of which ``share`` are users'."""
    n, n_users = len(rows), round(share * len(rows))
    if by_rank:
        by_kind = sorted(range(n), key=lambda i: (i >= n_users, -rows[i][0] * rows[i][1], rows[i]))
        rows = [rows[i] for i in by_kind]
        kinds = np.array(sorted(set(rows), key=lambda row: (-row[0] * row[1], row)))
    sizes, bits = np.array(rows).T
    values = np.random.default_rng(seed).standard_normal((n, copies, 40)).astype(np.float32)
    layout = layout_of(
        sizes, bits, n_users, copies, by_rank=by_rank, kinds=kinds if by_rank else None
    )
    write_packed(path, layout, values)


def read_both_ways(table, numbers):
    return table._read_by_loop(numbers), table._read_by_precision(numbers)


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    copies=st.integers(1, 2),
    by_rank=st.booleans(),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
@example(rows=[(0, 8)], copies=1, by_rank=False, share=1.0, seed=0)
@example(rows=[(i % 40, BITS[i % 6]) for i in range(70)], copies=1, by_rank=False, share=0, seed=0)
@example(rows=[(i % 40, BITS[i % 6]) for i in range(70)], copies=2, by_rank=True, share=0.4, seed=0)
def test_both_roads_are_equal_bit_by_bit(tmp_path_factory, rows, copies, by_rank, share, seed):
    path = tmp_path_factory.mktemp("packed") / "table"
    write(path, rows, copies, by_rank, share, seed)
    table = load(path)
    numbers = np.random.default_rng(seed).integers(0, len(rows), 3 * len(rows))
    by_loop, by_numpy = read_both_ways(table, numbers)
    assert by_loop.dtype == by_numpy.dtype and by_loop.tobytes() == by_numpy.tobytes()


def test_every_float16_is_read_as_numpy_does(tmp_path):
    """Steps and rows that a hostile file has: denormal, infinite, no number."""
    halves = np.arange(2**16, dtype=np.uint16)
    for bits in (8, 16):
        layout = layout_of(np.full(2**16, 1), bits, 0)
        path = tmp_path / str(bits)
        write_packed(path, layout, np.ones((2**16, 1, 1), np.float32))
        table = load(path)
        if bits == 16:
            table.container.tensors["rows"] = halves.view(np.uint8)
        else:
            table._steps = halves.view(np.float16)
        with np.errstate(invalid="ignore"):
            by_loop, by_numpy = read_both_ways(table, np.arange(2**16))
        np.testing.assert_array_equal(by_loop, by_numpy)
        assert np.isnan(by_loop).sum() == 2 * 1023 and (by_loop != 0).sum() == 2**16 - 2


def test_a_loop_reads_shared_steps(tmp_path):
    values = np.random.default_rng(0).standard_normal((7, 1, 4)).astype(np.float32)
    write_packed(tmp_path / "t", replace(layout_of(np.full(7, 4), 8, 3), rows_per_step=3), values)
    by_loop, by_numpy = read_both_ways(load(tmp_path / "t"), np.arange(7))
    np.testing.assert_array_equal(by_loop, by_numpy)


@pytest.mark.parametrize("by_rank", [True, False])
def test_a_table_may_lie_at_any_byte_of_a_larger_file(tmp_path, by_rank):
    write(tmp_path / "t", [(5, 4), (5, 32), (3, 16)] * 100, 1, by_rank, share=0.5, seed=0)
    content = np.frombuffer(b"x" + (tmp_path / "t").read_bytes(), dtype=np.uint8)[1:]
    table = PackedFile(open_view(tmp_path / "t", content))
    by_loop, by_numpy = read_both_ways(table, np.arange(300))
    np.testing.assert_array_equal(by_loop, by_numpy)


def test_few_rows_are_read_without_numba_and_many_without_it_where_it_is_missing(
    tmp_path, monkeypatch
):
    write(tmp_path / "t", [(5, 4)] * 8, 1, by_rank=False, share=0.5, seed=0)
    roads = []
    for road in ("_read_by_loop", "_read_by_precision"):
        read = getattr(PackedFile, road)
        monkeypatch.setattr(
            PackedFile,
            road,
            lambda table, numbers, road=road, read=read: (
                roads.append((road, len(numbers))),
                read(table, numbers),
            )[1],
        )
    table, many = load(tmp_path / "t"), np.zeros(ragged.FEW, dtype=np.int64)
    monkeypatch.setattr(ragged.LOOPS, "worth", 0)
    first, few = table.rows(many), table.rows(many[1:])
    monkeypatch.setattr(ragged.LOOPS, "worth", np.inf)
    np.testing.assert_array_equal(load(tmp_path / "t").rows(many), first)
    np.testing.assert_array_equal(few, first[1:])
    assert roads == [
        ("_read_by_loop", len(many)),
        ("_read_by_precision", len(many) - 1),
        ("_read_by_precision", len(many)),
    ]


def test_equal_rows_are_given_as_they_are_stored(tmp_path):
    write(tmp_path / "t", [(9, 4)] * 3 + [(5, 2)] * 4, 1, by_rank=True, share=3 / 7, seed=0)
    table = load(tmp_path / "t")
    equal = table.equal_rows(4)
    assert (equal.size, equal.bits, equal.stored.shape, len(equal.steps)) == (5, 2, (3, 2), 3)
    steps = equal.steps.view(np.float16).astype(np.float32)[:, None]
    levels = levels_of(equal.stored, 2)[:, :5]
    np.testing.assert_array_equal(levels * steps, table.rows([4, 5, 6])[:, 0, :5])
    assert table.equal_rows(2) is None  # a user's row
    for name, rows in (("f32", [(5, 32)] * 4), ("two", [(5, 4), (5, 4), (5, 2)])):
        write(tmp_path / name, rows, 1, by_rank=True, share=0.0, seed=0)
        assert load(tmp_path / name).equal_rows(0) is None
