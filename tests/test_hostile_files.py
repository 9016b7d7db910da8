"""Files that are damaged or lie are refused, before memory is taken for what they announce."""

import contextlib
import re

import numpy as np
import pytest
from example_files import CODEBOOK, KINDS, write_example
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.errors import BetError
from bet.packed import (
    layout_of,
    load,
    metadata_for,
    write_packed,
    write_safetensors,
)
from bet.packed.safetensors_io import with_checksum


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_of_every_kind_are_refused(tmp_path, kind):
    path = tmp_path / "t"
    write_example(kind, path)
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(len(whole))] + [whole + b"\0"]
    broken += [
        whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole))
    ]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            load(path)


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
    for bit in (1, 128):
        broken += [whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :] for i in range(len(whole))]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            load(path)
    path.write_bytes(whole.replace(b"version=2", b"version=3"))
    with pytest.raises(BetError, match="version 3 of the format, this package reads 2"):
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
    write_example("packed", path)
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
        f'{{"__metadata__":{{"bet":"hashed;version=2;crc=00000000"}},"tokens":{{"dtype":"F32",'
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
    path = tmp_path / "t"
    write_example("codebook", path)
    table = load(path)
    tensors = {name: np.array(tensor) for name, tensor in table.container.tensors.items()}
    stated = dict(part.split("=") for part in CODEBOOK.metadata["bet"].split(";")[2:-1])
    names = {"subspaces": "parts", "user_uncompressed": "user_own"}
    for name, value in change.items():
        stated[names.get(name, name)] = value
    write_safetensors(path, tensors, metadata_for("coded", stated))
    with pytest.raises(BetError, match="save the table again"):
        load(path)


LIES = ("0", "1", "3", "-1", "255", "65535", str(2**32 - 1), str(2**63), "9" * 30, "1.5", "null")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_any_number_in_a_header_may_lie(tmp_path_factory, kind, data):
    """With the right checksum, too: what is still accepted is read, all else refused."""
    path = tmp_path_factory.mktemp("lies") / "t"
    write_example(kind, path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = re.sub(rb"crc=\w{8}", b"crc=00000000", whole[8 : 8 + length])
    numbers = list(re.finditer(rb"(?<![\w.])\d+", header))
    number, lie = data.draw(st.sampled_from(numbers)), data.draw(st.sampled_from(LIES))
    lying = header[: number.start()] + lie.encode() + header[number.end() :]
    content = len(lying).to_bytes(8, "little") + lying + whole[8 + length :]
    path.write_bytes(with_checksum(content) if b"crc=00000000" in content else content)
    with contextlib.suppress(BetError):
        table = load(path)
        assert table.byte_report().total == len(content)
        table.rows(range(min(5, table.n_rows or 5)))
