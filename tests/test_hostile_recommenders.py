"""Recommender files that are damaged or lie are refused, or what they say is read."""

import contextlib
import re

import pytest
from example_files import (
    ITEMS,
    KINDS,
    USERS,
    example_lists,
    write_example,
    write_example_recommender,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import bet.packed
from bet.errors import BetError
from bet.packed import write_ids, write_recommender
from bet.packed.safetensors_io import with_checksum


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "r"
    write_example_recommender("packed", path, ids=(USERS, ITEMS))
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(len(whole))] + [whole + b"\0"]
    broken += [
        whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole))
    ]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            bet.packed.load(path)


def sealed(content):
    """``content`` with the right checksum, where it has a place for one."""
    header = 8 + int.from_bytes(content[:8], "little")
    zeros = re.sub(rb"crc=\w{8}", b"crc=00000000", content[:header], count=1)
    return with_checksum(zeros + content[header:]) if zeros != content[:header] else content


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_table_inside_is_refused(tmp_path, kind):
    path = tmp_path / "r"
    report = write_example_recommender(kind, path)
    whole = path.read_bytes()
    start = whole.index(bet.packed.load(path).container.tensors["table"].tobytes())
    for i in range(start, start + report.table, 3):
        lying = whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]
        path.write_bytes(sealed(lying))
        with pytest.raises(BetError, match="save the table again"):
            bet.packed.load(path)
        with contextlib.suppress(BetError):
            bet.packed.load(path, check=False).table.rows(range(5))


@pytest.mark.parametrize("lists", ["interactions", "seen"])
def test_damaged_lists_are_refused_or_read(tmp_path, lists):
    path, parts = tmp_path / "r", {"interactions": None, lists: example_lists()}
    write_example_recommender(None, path, **parts)
    whole, refused = path.read_bytes(), 0
    start = 8 + int.from_bytes(whole[:8], "little")
    for i in range(start, len(whole)):
        path.write_bytes(sealed(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]))
        try:
            _, items = bet.packed.load(path).seen.all()
        except BetError:
            refused += 1
            continue
        assert set(items) <= {0, 1}
    assert refused > 5


LIES = ("0", "1", "3", "-1", "255", "65535", str(2**32 - 1), str(2**63), "9" * 30, "1.5", "x")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([None, "packed", "hashed"]), st.data())
def test_any_number_in_a_header_may_lie(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("lies") / "r"
    write_example_recommender(kind, path, ids=(USERS, ITEMS))
    whole = path.read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    numbers = list(re.finditer(rb"(?<![\w.])\d+", whole[8:length]))
    number, lie = data.draw(st.sampled_from(numbers)), data.draw(st.sampled_from(LIES))
    lying = whole[8:length][: number.start()] + lie.encode() + whole[8:length][number.end() :]
    content = len(lying).to_bytes(8, "little") + lying + whole[length:]
    path.write_bytes(sealed(content))
    with contextlib.suppress(BetError):
        read = bet.packed.load(path)
        assert read.byte_report().total == len(content)
        assert len(read.seen.all()[1]) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"interactions.widths", b"interactions.width0"),
        (b"interactions.widths", b"seen.widths12345678"),
        (b"weights.w.0", b"weights./.0"),
        (b"backbone=ngcf", b"backbone=NGCF"),
        (b"layers=3", b"layers=03"),
        (b"layers=3", b"layers=1_0"),
        (b"layers=3", b"crc=3"),
        (b"a=0.5", b"a=.5"),
        (b"a=0.5", b"a=-inf"),
        (b"a=0.5", b"a="),
        (b"a=0.5", b"users=3"),
    ],
)
def test_names_and_facts_that_no_writer_gives_are_refused(tmp_path, old, new):
    path = tmp_path / "r"
    write_example_recommender("packed", path)
    whole = path.read_bytes()
    assert old in whole
    length = 8 + int.from_bytes(whole[:8], "little")
    header = whole[8:length].rstrip().replace(old, new)
    header += b" " * (-len(header) % 8)
    path.write_bytes(sealed(len(header).to_bytes(8, "little") + header + whole[length:]))
    with pytest.raises(BetError, match="save the table again"):
        bet.packed.load(path)


def test_a_file_in_a_file_must_be_a_table_of_its_users_and_items(tmp_path):
    table, ids = tmp_path / "t", tmp_path / "t.ids"
    write_example("packed", table)
    write_ids(table, (USERS, ITEMS))
    lists = {"n_users": 3, "n_items": 2}
    for content, words in (
        (ids, "holds a file of kind 'ids'; put a table into it"),
        (b"junk", "not a readable table file"),
        (tmp_path / "nowhere", "nowhere: cannot be read"),
    ):
        with pytest.raises(BetError, match=words):
            write_recommender(tmp_path / "r", "ncf", {}, table=content, **lists)
    with pytest.raises(BetError, match="a table of 3 users and 2 items for 2 and 3"):
        write_recommender(tmp_path / "r", "ncf", {}, table=table, n_users=2, n_items=3)
    assert not (tmp_path / "r").exists()
    # Written with the right checksum all the same:
    write_example_recommender(None, tmp_path / "r")
    inside = (tmp_path / "r").read_bytes()
    write_example_recommender("packed", tmp_path / "o")
    whole = (tmp_path / "o").read_bytes()
    table = bet.packed.load(tmp_path / "o").container.tensors["table"].tobytes()
    assert len(inside) >= len(table)
    lying = whole.replace(table, inside[: len(table)])
    (tmp_path / "o").write_bytes(sealed(lying))
    with pytest.raises(BetError, match="save the table again"):
        bet.packed.load(tmp_path / "o")
