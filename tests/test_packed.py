"""Packed tables: counted to the byte, read back as written, refused when damaged."""

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from bet.errors import BetError
from bet.packed import BITS, layout_of, load, row_bytes, write_packed
from bet.packed.bitstream import check_stream, pack_stream, stream_bytes, take_from_stream
from bet.packed.levels import pack_rows, unpack_rows
from bet.packed.quantizer import FACTOR, fake_quantize, quantize, step_sizes

ROWS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(BITS)), min_size=1, max_size=80)


def plain_row(values, size, bits, step):
    """What the documented formula gives for one row (copies, width), in float64."""
    row = np.zeros_like(values)
    for copy in range(len(values)):
        for column in range(size):
            number = float(values[copy, column])
            if bits == 32:
                row[copy, column] = number
            elif bits == 16:
                row[copy, column] = np.float16(number)
            else:
                half = 2 ** (bits - 1)
                code = min(max(np.floor(np.float32(number) / np.float32(step)), -half), half - 1)
                row[copy, column] = (code + 0.5) * step
    return row


def plain_step(values, size, bits):
    mean_square = float(np.square(values[:, :size], dtype=np.float64).mean())
    return float(np.float16(min(max(FACTOR[bits] * mean_square**0.5, 6e-8), 65504)))


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    copies=st.integers(1, 2),
    by_rank=st.booleans(),
    with_ids=st.booleans(),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
@example(rows=[(3, 1)] * 70, copies=2, by_rank=True, with_ids=False, share=0.5, seed=0)
@example(rows=[(0, 8)], copies=1, by_rank=False, with_ids=True, share=1.0, seed=0)
def test_rows_come_back_as_the_formula_says_and_the_file_is_as_long_as_reported(
    tmp_path_factory, rows, copies, by_rank, with_ids, share, seed
):
    path = tmp_path_factory.mktemp("packed") / "table.safetensors"
    n, n_users = len(rows), round(share * len(rows))
    if by_rank:
        order = sorted(
            range(n),
            key=lambda i: (i >= n_users, -rows[i][0] * rows[i][1], -rows[i][0], rows[i][1]),
        )
        rows = [rows[i] for i in order]
    sizes, bits = np.array(rows).T
    values = np.random.default_rng(seed).standard_normal((n, copies, 9)).astype(np.float32)
    ids = ([f"ü{i}" for i in range(n_users)], list(range(n - n_users))) if with_ids else None
    report = write_packed(
        path, layout_of(sizes, bits, n_users, copies, by_rank=by_rank), values, ids
    )
    table = load(path)
    assert path.stat().st_size == report.total == table.byte_report().total
    assert report.rows == sum(-(-size * copies * b // 8) for size, b in rows)
    assert report.steps == 2 * sum(size > 0 and b <= 8 for size, b in rows)
    assert (report.ids > 0) == with_ids and table.n_users == n_users
    expected = np.stack(
        [
            plain_row(values[i], size, b, plain_step(values[i], size, b) if size and b <= 8 else 0)
            for i, (size, b) in enumerate(rows)
        ]
    )
    expected, coarse = expected[:, :, : sizes.max()], (bits <= 8)[:, None, None]
    read = table.rows(range(n))
    assert read.shape == expected.shape and read.dtype == np.float32
    np.testing.assert_allclose(np.where(coarse, 0, read), np.where(coarse, 0, expected), rtol=0)
    # A number that lies on the border of two levels may be rounded either way.
    assert (~np.isclose(read, expected, rtol=2e-3, atol=1e-6)).sum() <= 1 + read.size // 100
    wanted = np.random.default_rng(seed).integers(0, n, 3 * n)
    np.testing.assert_array_equal(table.rows(wanted), read[wanted])
    if with_ids:
        np.testing.assert_array_equal(
            table.users([f"ü{i}" for i in range(n_users)]), table.rows(range(n_users))
        )
        np.testing.assert_array_equal(
            table.items(range(n - n_users)), table.rows(range(n_users, n))
        )
        with pytest.raises(BetError, match="unknown item 'nobody'"):
            table.items(["nobody"])
    else:
        with pytest.raises(BetError, match="no ids"):
            table.users([0])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_training_and_file_round_alike(tmp_path, bits):
    sizes = np.arange(40) % 8 + 1
    values = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) * (
        torch.arange(8) < torch.from_numpy(sizes)[:, None]
    )
    write_packed(tmp_path / "t", layout_of(sizes, bits, 20), values[:, None].numpy())
    inside = np.arange(8) < sizes[:, None]
    trained = fake_quantize(values, torch.from_numpy(sizes)[:, None], bits).numpy()
    np.testing.assert_allclose(
        load(tmp_path / "t").rows(range(40))[:, 0][inside], trained[inside], rtol=1e-6
    )


@pytest.mark.parametrize("bits", FACTOR)
def test_the_step_is_the_best_for_normal_numbers(bits):
    values = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0))

    def error(step):
        return float((((quantize(values, step, bits) + 0.5) * step) - values).square().mean())

    best = float(step_sizes(values.square().mean(1), bits))
    errors = {
        factor: error(torch.tensor([[best * factor]])) for factor in (0.8, 0.9, 1.0, 1.1, 1.25)
    }
    assert min(errors, key=errors.__getitem__) == 1.0


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32))
def test_packed_codes_are_unpacked(bits, m, d, seed):
    levels = np.random.default_rng(seed).integers(0, 2**bits, (m, d))
    packed = pack_rows(levels, bits)
    assert packed.shape == (m, row_bytes(d, bits)) and packed.dtype == np.uint8
    np.testing.assert_array_equal(unpack_rows(packed, bits)[:, :d], levels)


def test_rows_may_share_a_step(tmp_path):
    values = np.random.default_rng(0).standard_normal((7, 1, 4)).astype(np.float32)
    separate = layout_of(np.full(7, 4), 8, 3)
    shared = type(separate)(
        separate.kinds, separate.counts, kinds_by_id=separate.kinds_by_id, rows_per_step=3
    )
    report = write_packed(tmp_path / "t", shared, values)
    assert report.steps == 2 * 3 and report.total == (tmp_path / "t").stat().st_size
    np.testing.assert_allclose(load(tmp_path / "t").rows(range(7)), values, atol=0.05)
    mixed = layout_of(np.full(2, 4), np.array([8, 4]), 1)
    with pytest.raises(BetError, match="same bits"):
        write_packed(
            tmp_path / "u",
            type(mixed)(mixed.kinds, mixed.counts, kinds_by_id=mixed.kinds_by_id, rows_per_step=2),
            values[:2],
        )
    assert not (tmp_path / "u").exists()


def test_any_reader_of_safetensors_opens_it(tmp_path):
    write_packed(tmp_path / "t", layout_of(np.array([3, 2]), 8, 1), np.ones((2, 1, 3), np.float32))
    with safe_open(tmp_path / "t", "numpy") as opened:
        assert set(opened.keys()) == {"kinds", "kind", "steps", "rows"}
        assert re.fullmatch(
            r"table;version=2;order=id;users=1;items=1;copies=1;rows_per_step=1;crc=[0-9a-f]{8}",
            opened.metadata()["bet"],
        )
        assert len(opened.get_tensor("rows")) == 5


def test_bad_tables_are_refused_and_nothing_is_left(tmp_path):
    layout = layout_of(np.array([2, 1]), 8, 1)
    good = np.ones((2, 1, 2), np.float32)
    for values, words in (
        (good[:, :, :1], "do not fill 2 rows of 1 x 2"),
        (good[:1], "do not fill"),
        (np.where(np.arange(2) < 1, np.nan, good).astype("f4"), "not finite"),
    ):
        with pytest.raises(BetError, match=words):
            write_packed(tmp_path / "t", layout, values)
    with pytest.raises(BetError, match="2 user ids and 1 item ids for 1 and 1 rows"):
        write_packed(tmp_path / "t", layout, good, ([1, 2], [3]))
    assert not list(tmp_path.iterdir())
    for sizes, bits, words in (
        (np.array([1]), 3, "kinds must be pairs"),
        (np.array([-1]), 8, "kinds must be pairs"),
    ):
        with pytest.raises(BetError, match=words):
            layout_of(sizes, bits, 1)
    with pytest.raises(BetError, match="out of|not in the order"):
        layout_of(np.array([1, 2]), 8, 2, by_rank=True)
    with pytest.raises(BetError, match="none of the listed kinds"):
        layout_of(np.array([1, 2]), 8, 2, kinds=np.array([[1, 8]]))
    write_packed(tmp_path / "t", layout, good)
    for row in (-1, 2):
        with pytest.raises(BetError, match=f"row {row} does not exist: the table has rows 0 to 1"):
            load(tmp_path / "t").rows([row])


def test_wrong_look_ups_are_refused(tmp_path):
    write_packed(
        tmp_path / "t",
        layout_of(np.array([2, 1, 3]), 8, 1),
        np.ones((3, 1, 3), np.float32),
        (["a"], ["b", "c"]),
    )
    table = load(tmp_path / "t")
    for wrong in (
        np.array([True, False, True]),
        [1.7],
        ["x"],
        None,
        [[0, 1]],
        2**70,
        [2**70],
        [[0], [1, 2]],
    ):
        with pytest.raises(BetError, match="list of integers"):
            table.rows(wrong)
    with pytest.raises(BetError, match="not 'bc'"):
        table.items("bc")
    assert table.rows([]).shape == (0, 1, 3)


def test_ids_and_numbers_that_the_format_cannot_hold_are_refused(tmp_path):
    layout = layout_of(np.array([1, 1]), 16, 2)
    for ids, words in ((([1, "1"], []), "both '1' as text"), ((["a", "\ud800"], []), "UTF-8")):
        with pytest.raises(BetError, match=words):
            write_packed(tmp_path / "t", layout, np.ones((2, 1, 1), np.float32), ids)
    with pytest.raises(BetError, match="too large for 16 bits"):
        write_packed(tmp_path / "t", layout, np.full((2, 1, 1), 1e6, np.float32))
    with pytest.raises(BetError, match="not finite"):
        write_packed(tmp_path / "t", layout_of(np.array([1]), 32, 1), np.full((1, 1, 1), 1e300))
    assert not list(tmp_path.iterdir())


def test_a_listed_kind_costs_the_same_whether_it_is_used_or_not(tmp_path):
    kinds = np.stack([np.arange(9, 0, -1), np.full(9, 8)], 1)
    reports = [
        layout_of(np.array(sizes), 8, 2, by_rank=True, kinds=kinds).byte_report()
        for sizes in ([9, 1, 5, 5], [5, 5, 5, 5])
    ]
    assert (
        len({report.header + report.kinds for report in reports}) == 1
        and reports[0].total == reports[1].total
    )


def test_the_header_is_plain_json(tmp_path):
    write_packed(tmp_path / "t", layout_of(np.array([2]), 2, 0), np.ones((1, 1, 2), np.float32))
    whole = (tmp_path / "t").read_bytes()
    length = int.from_bytes(whole[:8], "little")
    assert json.loads(whole[8 : 8 + length])["rows"]["dtype"] == "U8"


@given(st.integers(1, 56), st.integers(0, 50), st.integers(0, 2**32))
def test_streams_of_bits_have_no_gaps(bits, k, seed):
    numbers = np.random.default_rng(seed).integers(0, 2**bits, k)
    packed = pack_stream(numbers, bits)
    for places in (np.arange(k), np.arange(k)[::-1]):
        assert (take_from_stream(packed, bits, places) == numbers[places]).all()
    assert len(packed) == stream_bytes(k, bits) == -(-k * bits // 8)
    check_stream(packed, k * bits)
    digits = "".join(f"{number:0{bits}b}" for number in numbers)
    assert "".join(f"{byte:08b}" for byte in packed).rstrip("0") == digits.rstrip("0")
    with pytest.raises(ValueError, match="do not hold"):
        check_stream(np.append(packed, np.uint8(0)), k * bits)
    if k * bits % 8:
        with pytest.raises(ValueError, match="not zero"):
            check_stream(np.append(packed[:-1], packed[-1] | np.uint8(1)), k * bits)
