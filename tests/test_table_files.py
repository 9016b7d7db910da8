"""One loader for every kind of table file: whose rows they are, what the bytes are spent on, and
nothing that is damaged or lies.
"""

import subprocess
import sys

import numpy as np
import pytest
from example_files import ITEMS, KINDS, USERS, write_example

from bet.errors import BetError
from bet.packed import (
    HashedLayout,
    ids_path,
    inspect,
    load,
    metadata_for,
    write_ids,
    write_safetensors,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_one_interface(tmp_path, kind):
    path = tmp_path / "t"
    write_example(kind, path)
    with pytest.raises(BetError, match="no ids.*no t.ids beside it; keep the two files together"):
        load(path).users(["ann"])
    assert write_ids(path, (USERS, ITEMS)) == tmp_path / "t.ids"
    table = load(str(path))
    assert (table.n_users, table.n_items, len(table)) == (3, 2, 5)
    assert (table.copies, table.width) == (1, 4)
    rows = table.rows(range(5))
    assert rows.shape == (5, 1, 4) and rows.dtype == np.float32 and rows.any()
    np.testing.assert_array_equal(table.users(["ü", "ann"]), rows[[2, 0]])
    np.testing.assert_array_equal(table.items(name for name in ["ale"]), rows[[4]])
    with pytest.raises(BetError, match="unknown user 'tea'; the file has 3 users"):
        table.users(["tea"])
    for wrong in (-1, 5):
        with pytest.raises(BetError, match=f"row {wrong} does not exist: .* rows 0 to 4"):
            table.rows([0, wrong])
    report = table.byte_report()
    assert report.total == sum(report.parts.values()) == path.stat().st_size
    with pytest.raises(BetError, match="these are the ids of a table; open the table's own file"):
        load(ids_path(path))


@pytest.mark.parametrize("kind", KINDS)
def test_an_inspection_names_every_part_and_its_share(tmp_path, kind):
    path = tmp_path / "t"
    write_example(kind, path)
    if kind == "hashed":
        assert "any number of items" in inspect(path)
    write_ids(path, (USERS, ITEMS))
    text, report = inspect(path), load(path).byte_report()
    assert text.startswith(f"{path}: {load(path).kind}, 3 users and 2 items\n")
    for name, length in ((name, length) for name, length in report.parts.items() if length):
        lines = text.splitlines()[3:]
        (line,) = (line for line in lines if line.startswith(name.replace("_", " ")))
        assert f" {length:,} " in line and f"{length / 5:.2f}" in line and len(line.split()) > 5
    assert f"{report.total:,}   100.0%" in text and "t.ids: your ids" in text


@pytest.mark.parametrize("kind", KINDS)
def test_an_inspection_counts_no_foreign_ids_as_yours(tmp_path, kind):
    path, other = tmp_path / "t", tmp_path / "other"
    write_example(kind, path)
    write_example("float32" if kind != "float32" else "packed", other)
    write_ids(other, (USERS, ITEMS))
    for content in (ids_path(other).read_bytes(), b"junk"):
        ids_path(path).write_bytes(content)
        text = inspect(path)
        assert "t.ids: does not belong to this table (" in text and "t.ids: your ids" not in text
        assert f"{path.stat().st_size:,}   100.0%" in text


def test_what_is_no_table_or_of_another_kind_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "t"
    for content in (b"", b"user,item\n1,2\n", b"\x93NUMPY" + bytes(200), bytes(range(256)) * 4):
        path.write_bytes(content)
        with pytest.raises(BetError, match="not a readable table file .*another kind of file"):
            load(path)
    write_safetensors(path, {"x": np.zeros(3)}, metadata_for("sparse", {"users": 1}))
    with pytest.raises(BetError, match="not a table of a kind that this package knows .'sparse'"):
        load(path, check=False)
    write_example("packed", path)
    path.write_bytes(path.read_bytes().replace(b"version=2", b"version=7"))
    with pytest.raises(BetError, match="version 7 of the format, this package reads 2; update"):
        load(path)
    write_example("packed", path)
    with pytest.raises(BetError, match="has 2 items, not 3; leave n_items out"):
        load(path, n_items=3)


def test_ids_beside_a_table_must_be_its_own(tmp_path):
    path, other = tmp_path / "t", tmp_path / "other"
    write_example("packed", path)
    write_example("float32", other)
    write_ids(other, (USERS, ITEMS))
    ids_path(path).write_bytes(ids_path(other).read_bytes())
    assert load(path).rows([0]).shape == (1, 1, 4), "rows need no ids"
    with pytest.raises(BetError, match="ids of another table than t; restore the file"):
        load(path).users(["ann"])
    write_ids(path, (USERS + ["eve"], ITEMS))
    with pytest.raises(BetError, match="ids of 4 users and 2 items for 3 and 2 rows"):
        load(path).users(["ann"])
    write_ids(path, (USERS, ITEMS))
    whole = ids_path(path).read_bytes()
    for i in range(0, len(whole), 3):
        ids_path(path).write_bytes(whole[:i] + bytes([whole[i] ^ 16]) + whole[i + 1 :])
        with pytest.raises(BetError, match="save the table again|not the ids of a table"):
            load(path).items(["tea"])
    ids_path(path).write_bytes(path.read_bytes())
    with pytest.raises(BetError, match="not the ids of a table but one of kind 'table'"):
        load(path).items(["tea"])
    for ids, words in ((([1, "1"], []), "both '1' as text"), ((["\ud800"], []), "UTF-8")):
        with pytest.raises(BetError, match=words):
            write_ids(path, ids)


def test_reading_needs_no_torch(tmp_path):
    """Neither does anything else that is heavy: one import of pandas costs more than the rest."""
    for kind in KINDS:
        write_example(kind, tmp_path / kind)
        write_ids(tmp_path / kind, (USERS, ITEMS))
    code = f"""
import sys, bet
assert "numpy" not in sys.modules
import bet.packed
for kind in {KINDS}:
    table = bet.packed.load("{tmp_path}/" + kind)
    table.users(["ann"]), table.rows([0, 1]), table.byte_report()
heavy = set(sys.modules) & {{"torch", "scipy", "pandas", "pyarrow", "tqdm"}}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_hashed_layout_is_counted_without_a_table():
    layout = HashedLayout(
        size=4, rows=4, user_rows=2, weights=0, k=2, k_weights=0, n_users=3, seed=0
    )
    assert layout.file_bytes(copies=2) - layout.file_bytes(copies=1) in range(64, 73)
