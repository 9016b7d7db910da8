"""Files of float32 and pruned tables: as long as the formula says, read back exactly, refused when
they lie.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Allocation, keep_largest
from bet.errors import BetError
from bet.packed import (
    float32_file_bytes,
    float32_layout,
    load,
    most_row_bytes,
    pruned_file_bytes,
    write_pruned,
    write_safetensors,
)
from bet.seeds import torch_generator
from bet.tables import MaskedTable, PrunedTable

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def masked(sizes, d_max, n_users, copies=1, seed=0):
    sizes, generator = np.array(sizes, dtype=np.int16), torch_generator(seed, "rows")
    return MaskedTable(
        Allocation.from_sizes(sizes),
        d_max=d_max,
        n_users=n_users,
        copies=copies,
        std=1.0,
        generator=generator,
    )


def ego(table):
    """(n, copies, width) of a table."""
    return table().detach().reshape(table.n, table.copies, -1).numpy()


@settings(max_examples=100, deadline=None)
@given(SIZES, st.sampled_from([9, 255, 256, 300]), st.floats(0, 1), st.integers(1, 2))
def test_a_float32_table_is_read_back_and_as_long_as_the_formula(
    tmp_path_factory, sizes, d_max, share, copies
):
    path, n = tmp_path_factory.mktemp("table") / "t", len(sizes)
    n_users, parameters = round(share * n), copies * sum(sizes)
    table = masked(sizes, d_max, n_users, copies)
    table.save(path)
    length = path.stat().st_size
    assert length == table.n_bytes()
    assert length == float32_file_bytes(n_users, n - n_users, copies, d_max, parameters)
    read = load(path)
    assert read.byte_report().total == length and read.byte_report().rows == 4 * parameters
    assert (read.n_users, read.n_items, read.copies) == (n_users, n - n_users, copies)
    assert read.width == max(sizes) and len(read) == n
    if max(sizes):
        np.testing.assert_array_equal(read.rows(range(n)), ego(table))
    layout = float32_layout(np.array(sizes), n_users, copies, d_max)
    for less in (0, 1):
        assert most_row_bytes(layout, length - less) == 4 * parameters - less


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 40),
    st.sampled_from([1, 5, 9, 127, 128, 256]),
    st.integers(1, 2),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_pruned_table_is_read_back_and_as_long_as_the_formula(
    tmp_path_factory, n, d_max, copies, share, density
):
    path, n_users = tmp_path_factory.mktemp("table") / "t", round(share * n)
    mask = np.random.default_rng(0).random((n, copies * d_max)) < density**2
    table = PrunedTable(
        Allocation.from_mask(mask),
        d_max=d_max,
        n_users=n_users,
        copies=copies,
        std=1.0,
        generator=torch_generator(0, "rows"),
    )
    assert table.n_parameters() == mask.sum() == pytest.approx(copies * table.sizes.sum())
    table.save(path)
    length = path.stat().st_size
    assert length == table.n_bytes()
    assert length == pruned_file_bytes(n_users, n - n_users, copies, d_max, int(mask.sum()))
    read = load(path)
    assert read.byte_report().total == length and read.byte_report().numbers == 4 * mask.sum()
    assert (read.n_users, read.n_items, read.width) == (n_users, n - n_users, d_max)
    np.testing.assert_array_equal(read.rows(range(n)), ego(table))
    wanted = np.random.default_rng(1).integers(0, n, 2 * n)
    np.testing.assert_array_equal(read.rows(wanted), ego(table)[wanted])
    assert read.rows([]).shape == (0, copies, d_max)


def test_pruning_by_elements_costs_its_places():
    """At a tenth of the numbers indices are shorter than bits, at half of them bits are."""
    rng = np.random.default_rng(0)
    for density, places in ((0.05, 100 * (1 + 0.05 * 128)), (0.5, 100 * 16)):
        allocation = keep_largest(rng.random((100, 128)), int(density * 12_800))
        prefixes = masked(np.full(100, int(density * 128)), 128, n_users=40)
        table = PrunedTable(allocation, d_max=128, n_users=40)
        extra = table.n_bytes() - 4 * table.n_parameters()
        assert (
            extra == pytest.approx(places, abs=4 * 128 + 16)
            and prefixes.n_bytes() - 4 * prefixes.n_parameters() < extra
        )


def test_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    def fill_up(path, content):
        path.touch()
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OSError, match="disk full"):
        masked([3, 1], 4, n_users=1).save(tmp_path / "table.bet")
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    mask = np.array([[True, False]])
    with pytest.raises(BetError, match="not finite"):
        write_pruned(tmp_path / "t", mask, np.array([[np.inf, 1]]), n_users=1)
    write_pruned(tmp_path / "t", mask, np.array([[1, np.inf]]), n_users=1)
    assert load(tmp_path / "t").rows([0]).tolist() == [[[1, 0]]]


BY_BITS = {"values": np.ones(2, np.float32), "mask": np.array([0b10010000], np.uint8)}
BY_COLUMNS = {
    "values": np.ones(2, np.float32),
    "counts": np.array([1, 1, 0], np.uint16),
    "positions": np.array([4, 999], np.uint16),
}


@pytest.mark.parametrize(
    ("good", "facts", "change"),
    [
        (BY_BITS, "users=1;items=2;copies=1;d_max=2", {"mask": np.array([0b10000000], np.uint8)}),
        (BY_BITS, "users=1;items=2;copies=1;d_max=2", {"mask": np.array([0b10000010], np.uint8)}),
        (BY_BITS, "users=1;items=2;copies=1;d_max=2", {"values": np.ones(3, np.float32)}),
        (BY_COLUMNS, "users=1;items=2;copies=1;d_max=1000", {"counts": np.ones(3, np.uint16)}),
        (BY_COLUMNS, "users=1;items=2;copies=1;d_max=1000", {"counts": np.zeros(2, np.uint16)}),
        (BY_COLUMNS, "users=1;items=2;copies=1;d_max=1000", {"positions": np.full(2, 1000, "u2")}),
    ],
)
def test_places_that_do_not_fit_are_refused_with_the_right_checksum_too(
    tmp_path, good, facts, change
):
    path, metadata = tmp_path / "t", {"bet": f"pruned;version=2;{facts};crc=00000000"}
    write_safetensors(path, good, metadata)
    assert load(path).rows([0, 1, 2]).sum() == 2
    write_safetensors(path, good | change, metadata)
    with pytest.raises(BetError, match="save the table again"):
        load(path).rows([0, 1, 2])


@pytest.mark.parametrize(
    "facts",
    [
        "users=0;items=0;copies=1;d_max=2",
        "users=-1;items=4;copies=1;d_max=2",
        "users=1;items=2;copies=0;d_max=2",
        "users=1;items=2;copies=1;d_max=0",
        "users=1;items=2;copies=1;d_max=1000000000000000000000000",
        "users=1;items=2;copies=1",
        "items=2;users=1;copies=1;d_max=2",
        "users=1;items=+2;copies=1;d_max=2",
        "users=one;items=2;copies=1;d_max=2",
    ],
)
def test_facts_that_do_not_fit_are_refused(tmp_path, facts):
    path = tmp_path / "t"
    write_safetensors(path, BY_BITS, {"bet": f"pruned;version=2;{facts};crc=00000000"})
    for check in (True, False):
        with pytest.raises(BetError, match="save the table again"):
            load(path, check=check)
