"""One loader for every kind of table file: whose rows they are, what the bytes are spent on, and
nothing that is damaged or lies.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch

import bet
from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import (
    CodebookLayout,
    HashedLayout,
    ids_path,
    inspect_file,
    layout_of,
    load,
    metadata_for,
    write_ids,
    write_packed,
    write_pruned,
    write_safetensors,
)
from bet.packed.safetensors_io import with_checksum
from bet.tables import CodebookSpec, HashedSpec

KINDS = ("packed", "float32", "pruned", "codebook", "hashed")
USERS, ITEMS = ["ann", "bob", "ü"], ["tea", "ale"]


def write(kind, path):
    """A file of 3 users and 2 items, 1 x 4 columns."""
    values = np.random.default_rng(0).standard_normal((5, 1, 4)).astype(np.float32)
    sizes = np.array([4, 2, 1, 3, 1])
    if kind == "packed":
        write_packed(path, layout_of(sizes, 4, 3), values)
    elif kind == "float32":
        write_packed(path, layout_of(sizes, 32, 3), values)
    elif kind == "pruned":
        write_pruned(path, values[:, 0] > 0, values[:, 0], n_users=3)
    elif kind == "codebook":
        layout, order = CodebookLayout(4, 1, 2, 1, 3, 2, 1, 0), np.arange(5)
        codes = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
        spec = CodebookSpec(layout, codes, order, np.ones((5, 4), np.float32))
        spec.table(Allocation.uniform(5, 4), d_max=4, copies=1).save(path)
    else:
        spec, generator = HashedSpec(4, 4, 2, 0, 2, 0, 3, 0), torch.Generator().manual_seed(0)
        spec.table(Allocation.uniform(5, 4), d_max=4, copies=1, std=1.0, generator=generator).save(
            path
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_one_interface(tmp_path, kind):
    path = tmp_path / "t"
    write(kind, path)
    with pytest.raises(BetError, match="no ids.*no t.ids beside it; keep the two files together"):
        bet.load(path).users(["ann"])
    assert write_ids(path, (USERS, ITEMS)) == tmp_path / "t.ids"
    table = bet.load(str(path))
    assert (table.n_users, table.n_items, len(table)) == (3, 2, 5)
    assert (table.copies, table.width) == (1, 4)
    rows = table.rows(range(5))
    assert rows.shape == (5, 1, 4) and rows.dtype == np.float32 and rows.any()
    np.testing.assert_array_equal(table.users(["ü", "ann"]), rows[[2, 0]])
    np.testing.assert_array_equal(table.items(name for name in ["ale"]), rows[[4]])
    with pytest.raises(BetError, match="unknown user 'tea'; the table has 3 users"):
        table.users(["tea"])
    for wrong in (-1, 5):
        with pytest.raises(BetError, match=f"row {wrong} does not exist: .* rows 0 to 4"):
            table.rows([0, wrong])
    report = table.byte_report()
    assert report.total == sum(report.parts.values()) == path.stat().st_size
    with pytest.raises(BetError, match="these are the ids of a table; open the table's own file"):
        bet.load(ids_path(path))


@pytest.mark.parametrize("kind", KINDS)
def test_an_inspection_names_every_part_and_its_share(tmp_path, kind):
    path = tmp_path / "t"
    write(kind, path)
    if kind == "hashed":
        assert "any number of items" in inspect_file(path)
    write_ids(path, (USERS, ITEMS))
    text, report = inspect_file(path), load(path).byte_report()
    assert text.startswith(f"{path}: {load(path).kind}, 3 users and 2 items\n")
    for name, length in report.parts.items():
        (line,) = (line for line in text.splitlines() if line.startswith(name.replace("_", " ")))
        assert f" {length:,} " in line and f"{length / 5:.2f}" in line and len(line.split()) > 5
    assert f"{report.total:,}   100.0%" in text and "t.ids: your ids" in text


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_of_every_kind_are_refused(tmp_path, kind):
    path = tmp_path / "t"
    write(kind, path)
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(len(whole))] + [whole + b"\0"]
    broken += [
        whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole))
    ]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            load(path)


def test_what_is_no_table_or_of_another_kind_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "t"
    for content in (b"", b"user,item\n1,2\n", b"\x93NUMPY" + bytes(200), bytes(range(256)) * 4):
        path.write_bytes(content)
        with pytest.raises(BetError, match="not a readable table file .*another kind of file"):
            load(path)
    write_safetensors(path, {"x": np.zeros(3)}, metadata_for("sparse", {"users": 1}))
    with pytest.raises(BetError, match="not a table of a kind that this package knows .'sparse'"):
        load(path, check=False)
    write("packed", path)
    path.write_bytes(path.read_bytes().replace(b"version=1", b"version=7"))
    with pytest.raises(BetError, match="version 7 of the format, this package reads 1; update"):
        load(path)
    write("packed", path)
    with pytest.raises(BetError, match="has 2 items, not 3; leave n_items out"):
        load(path, n_items=3)


def test_ids_beside_a_table_must_be_its_own(tmp_path):
    path, other = tmp_path / "t", tmp_path / "other"
    write("packed", path)
    write("float32", other)
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


@pytest.mark.parametrize(
    ("ends", "text"), [([1, 9], b"ab"), ([2, 1], b"ab"), ([1, 1], b"ab"), ([1, 2], b"a\xff")]
)
def test_ids_that_lie_are_refused(tmp_path, ends, text):
    path = tmp_path / "t"
    write_packed(path, layout_of(np.array([1, 1]), 8, 2), np.ones((2, 1, 1), np.float32))
    facts = {"users": 2, "items": 0, "table": load(path).container.checksum}
    tensors = {"id_ends": np.array(ends, np.uint32), "id_text": np.frombuffer(text, np.uint8)}
    write_safetensors(ids_path(path), tensors, metadata_for("ids", facts))
    with pytest.raises(BetError, match="not a readable table file"):
        load(path).users(["a"])


@pytest.mark.parametrize("by_rank", [False, True])
def test_damaged_files_are_refused(tmp_path, by_rank):
    path = tmp_path / "t"
    sizes = np.array([4, 2, 1, 3, 1])
    write_packed(
        path,
        layout_of(sizes, 4, 3, by_rank=by_rank),
        np.random.default_rng(0).standard_normal((5, 1, 4)).astype("f4"),
    )
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(len(whole))] + [
        whole + b"\0",
        b"\0" * len(whole),
        b"x" * len(whole),
    ]
    broken += [
        whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :]
        for i in range(len(whole))
        for bit in (1, 128)
    ]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            load(path)
    path.write_bytes(whole.replace(b"version=1", b"version=2"))
    with pytest.raises(BetError, match="version 2 of the format, this package reads 1"):
        load(path)
    path.write_bytes(whole)
    assert load(path).rows([0]).shape == (1, 1, 4)
    for missing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(BetError, match=f"{missing.name}.*check the path"):
            load(missing)


def test_without_the_checksum_only_the_form_is_checked(tmp_path):
    path = tmp_path / "t"
    write_packed(path, layout_of(np.array([4, 2]), 8, 1), np.ones((2, 1, 4), np.float32))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BetError, match="save the table again"):
            load(path, check=False)
    path.write_bytes(whole)
    np.testing.assert_array_equal(load(path, check=False).rows([1]), load(path).rows([1]))


def test_a_header_that_lies_is_refused_with_the_right_checksum_too(tmp_path):
    path = tmp_path / "t"
    write_packed(path, layout_of(np.array([4, 2, 3]), 8, 1), np.ones((3, 1, 4), np.float32))
    whole = path.read_bytes()
    place = whole.index(b"crc=")
    for old, new in (
        (b"[15,24]", b"[14,23]"),
        (b'"U8","shape":[9]', b'"U8","shape":[8]'),
        (b'"F16"', b'"U16"'),
    ):
        assert old in whole, whole[:400]
        lying = bytearray(whole.replace(old, new))
        lying[place : place + 12] = b"crc=00000000"
        path.write_bytes(with_checksum(bytes(lying)))
        for check in (True, False):
            with pytest.raises(BetError, match="not a readable table file"):
                load(path, check=check)
    path.write_bytes(len(b"[" * 100_000).to_bytes(8, "little") + b"[" * 100_000)
    with pytest.raises(BetError, match="not a readable table file"):
        load(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"copies=1", b"copies=9"),
        (b"users=3", b"users=9"),
        (b"items=2", b"items=3"),
        (b"rows_per_step=1", b"rows_per_step=0"),
        (b"rows_per_step=1", b"rows_per_step=2"),
        (b"order=id;", b"order=rk;"),
        (b'"shape":[4,2]', b'"shape":[2,4]'),
        (b'"shape":[4,2]', b'"shape":[8]'),
        (b'"data_offsets":[0,', b'"data_offsets":[1,'),
    ],
)
def test_facts_that_lie_are_refused_with_the_right_checksum_too(tmp_path, old, new):
    path = tmp_path / "t"
    write("packed", path)
    whole = path.read_bytes()
    place = whole.index(b"crc=")
    zeroed = whole[:place] + b"crc=00000000" + whole[place + 12 :]
    assert old in zeroed, whole[:400]
    lying = zeroed.replace(old, new).ljust(len(zeroed))
    path.write_bytes(with_checksum(lying))
    for check in (True, False):
        with pytest.raises(BetError, match="not a readable table file"):
            load(path, check=check)


@pytest.mark.parametrize("size", [2**40, 2**63, 10**30, -1, 1.0, True, "1"])
def test_a_shape_of_any_size_takes_no_memory(tmp_path, size):
    header = (
        f'{{"__metadata__":{{"bet":"hashed;version=1;crc=00000000"}},"tokens":{{"dtype":"F32",'
        f'"shape":[{str(size).lower() if size != "1" else repr(size)},4],"data_offsets":[0,16]}}}}'
    ).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(16)
    (tmp_path / "t").write_bytes(with_checksum(content))
    with pytest.raises(BetError, match="not a readable table file"):
        load(tmp_path / "t")


@pytest.mark.parametrize(
    "change",
    [
        {"copies": 0},
        {"copies": 3},
        {"subspaces": 0},
        {"code_bits": 0},
        {"code_bits": 13},
        {"users": 10**30},
        {"users": -1},
        {"user_uncompressed": 4},
        {"columns": 0},
    ],
)
def test_a_codebook_that_lies_is_refused(tmp_path, change):
    path, layout = tmp_path / "t", CodebookLayout(4, 1, 2, 1, 3, 2, 1, 0)
    write("codebook", path)
    table = load(path)
    tensors = {name: np.array(tensor) for name, tensor in table.container.tensors.items()}
    stated = dict(part.split("=") for part in layout.metadata["bet"].split(";")[2:-1])
    names = {"subspaces": "parts", "user_uncompressed": "user_own"}
    for name, value in change.items():
        stated[names.get(name, name)] = value
    write_safetensors(path, tensors, metadata_for("coded", stated))
    with pytest.raises(BetError, match="save the table again"):
        load(path)


def test_reading_needs_no_torch_and_no_time(tmp_path):
    """Neither does anything else that is heavy: one import of pandas costs more than the rest."""
    for kind in KINDS:
        write(kind, tmp_path / kind)
        write_ids(tmp_path / kind, (USERS, ITEMS))
    code = f"""
import sys, bet
assert "numpy" not in sys.modules
for kind in {KINDS}:
    table = bet.load("{tmp_path}/" + kind)
    table.users(["ann"]), table.rows([0, 1]), table.byte_report()
heavy = set(sys.modules) & {{"torch", "scipy", "pandas", "pyarrow", "tqdm"}}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_hashed_layout_is_counted_without_a_table():
    layout = HashedLayout(4, 4, 2, 0, 2, 0, 3, 0)
    assert layout.file_bytes(copies=2) - layout.file_bytes(copies=1) in range(64, 73)
