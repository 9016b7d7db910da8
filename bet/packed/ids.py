"""Your ids of a table's rows: inside its file, or in a file beside it, ``FILE.ids``.

Each side is one tensor of bytes, which begins with its form: integers, of equally many bits and
counted from the smallest, or text, compressed in sorted order (LZMA), and the place of every row's
id in that order. The shorter one is taken; neither's length depends on the order of the ids. The
file beside a table states that table's checksum, so that ids of another one are refused.
"""

import lzma
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.bitstream import MOST_BITS, pack_stream, unpack_stream
from bet.packed.layout import IdLayout
from bet.packed.safetensors_io import (
    Container,
    Shapes,
    metadata_for,
    open_safetensors,
    refusing_malformed,
    write_safetensors,
)

Ids = tuple[Sequence[object], Sequence[object]]
"""Of the users' and of the items' rows."""
SUFFIX = ".ids"
TENSORS = ("user_ids", "item_ids")
# Forms of a side's bytes, and what stands before the rest of each: form, bits of a number, the
# smallest; form, bytes of compressed text, of the text.
_INTEGERS, _TEXT = 0, 1
_INTEGER_HEAD, _TEXT_HEAD = struct.Struct("<BBq"), struct.Struct("<BII")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as Python writes it: neither "017" nor "+1"
_END = b"\xff"  # behind every id: no byte of UTF-8
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**20, "pb": 0}]
# A short file must not unpack into a long text.
_MOST_RATIO, _LEAST_TEXT = 64, 1024
_PART = 2**16  # integers that are packed at once


def ids_path(table: Path) -> Path:
    """Where the ids of a table without ids inside are.

    >>> ids_path(Path("out/table.safetensors")).name
    'table.safetensors.ids'
    """
    return table.with_name(table.name + SUFFIX)


def id_layout(ids: Ids) -> IdLayout:
    """How a file lays out ``ids``, for ``Layout.ids``; their order does not matter.

    Two integers from 7 on, of three bits each, take a byte behind ten that say so:

    >>> id_layout((["7", "12"], []))
    (('user_ids', 'U8', 11), ('item_ids', 'U8', 0))
    """
    return tuple((name, "U8", len(content)) for name, content in id_tensors(ids).items())


def id_tensors(ids: Ids) -> dict[str, np.ndarray]:
    """``user_ids`` and ``item_ids``, (bytes,) uint8 each; raises BetError where two ids of a side
    are the same text, or cannot be written.

    >>> id_tensors((["7", "12"], []))["user_ids"].tolist()  # 000 and 101 behind the smallest
    [0, 3, 7, 0, 0, 0, 0, 0, 0, 0, 20]
    """
    for side in ids:
        counts = Counter(str(name) for name in side)
        if len(counts) < len(side):
            raise BetError(
                f"two ids are both {counts.most_common(1)[0][0]!r} as text; give different ones"
            )
    return {name: _pack_side([*map(str, side)]) for name, side in zip(TENSORS, ids, strict=True)}


def _pack_side(names: list[str]) -> np.ndarray:
    """The shorter form of the different ``names`` of a side, in the order of its rows."""
    if not names:
        return np.zeros(0, dtype=np.uint8)
    try:
        texts = [name.encode() for name in names]
    except UnicodeEncodeError as error:
        raise BetError(f"an id cannot be written as UTF-8 ({error}); give another one") from error
    packed = _pack_text(texts)
    numbers = [int(name) for name in names] if all(map(_INTEGER.fullmatch, names)) else []
    if numbers and -(2**63) <= min(numbers) and max(numbers) < 2**63:
        as_integers = integer_id_tensor(np.array(numbers, dtype=np.int64))
        if as_integers is not None and len(as_integers) < len(packed):
            return as_integers
    return np.frombuffer(packed, dtype=np.uint8)


def integer_id_tensor(numbers: np.ndarray) -> np.ndarray | None:
    """The bytes of a side whose ids are the different ``numbers`` (n,) int64, n >= 1, (bytes,)
    uint8; None where they span more than 56 bits.

    For many rows: text is never made of them.

    >>> integer_id_tensor(np.array([7, 12])).tolist()
    [0, 3, 7, 0, 0, 0, 0, 0, 0, 0, 20]
    """
    smallest = int(numbers.min())
    bits = (int(numbers.max()) - smallest).bit_length()
    if bits > MOST_BITS:
        return None
    head = _INTEGER_HEAD.pack(_INTEGERS, bits, smallest)
    parts = [np.frombuffer(head, dtype=np.uint8)]
    for first in range(0, len(numbers), _PART):  # whole bytes, whatever the bits
        parts.append(pack_stream(numbers[first : first + _PART] - smallest, bits))
    return np.concatenate(parts)


def _pack_text(texts: list[bytes]) -> bytes:
    """The form of any ids: head, compressed text, and every row's place in it."""
    n = len(texts)
    order = sorted(range(n), key=texts.__getitem__)
    text = b"".join(texts[row] + _END for row in order)
    if len(text) >= 2**32:
        raise BetError(
            f"ids of {len(text):,} bytes; at most {2**32 - 1:,} can be kept, shorten them"
        )
    places = np.empty(n, dtype=np.int64)
    places[order] = np.arange(n)
    ranks = pack_stream(places, (n - 1).bit_length()).tobytes()
    compressed = lzma.compress(text, lzma.FORMAT_RAW, filters=_FILTERS)
    # Zeros that keep the text within what a reader accepts.
    rest = -(-(len(text) - _LEAST_TEXT) // _MOST_RATIO) - _TEXT_HEAD.size - len(ranks)
    compressed = compressed.ljust(rest, b"\0")
    return _TEXT_HEAD.pack(_TEXT, len(compressed), len(text)) + compressed + ranks


@dataclass(frozen=True)
class IdMap:
    """Row of every id of a file: users' rows are 0 to n_users - 1, items' the next."""

    user_rows: Mapping[str, int]
    item_rows: Mapping[str, int]


def id_map(tensors: Mapping[str, np.ndarray], n_users: int, n_items: int) -> IdMap:
    """From the two tensors of a file; raises ValueError when they do not hold so many different
    ids, before memory is taken for more than 64 times their bytes.

    >>> id_map(id_tensors((["ann", "bob"], ["17"])), n_users=2, n_items=1)
    IdMap(user_rows={'ann': 0, 'bob': 1}, item_rows={'17': 2})
    """
    user_ids, item_ids = (tensors[name].tobytes() for name in TENSORS)
    users = {name: row for row, name in enumerate(_unpack_side(user_ids, n_users))}
    items = {name: row for row, name in enumerate(_unpack_side(item_ids, n_items), start=n_users)}
    if len(users) + len(items) != n_users + n_items:
        raise ValueError("an id stands twice in it")
    return IdMap(users, items)


def _unpack_side(content: bytes, n: int) -> list[str]:
    """The ids of ``n`` rows, in their order."""
    if not n:
        if content:
            raise ValueError(f"{len(content)} bytes of ids for no rows")
        return []
    head = _TEXT_HEAD if content[:1] == bytes([_TEXT]) else _INTEGER_HEAD
    if len(content) < head.size:
        raise ValueError(f"{len(content)} bytes for {n} ids")
    if head is _TEXT_HEAD:
        return _unpack_text(content, n)
    form, bits, smallest = _INTEGER_HEAD.unpack_from(content)
    if form != _INTEGERS or bits > MOST_BITS or n > 2**bits:
        raise ValueError(f"{n} ids of form {form} and {bits} bits")
    stream = np.frombuffer(content, dtype=np.uint8, offset=_INTEGER_HEAD.size)
    return [str(smallest + offset) for offset in unpack_stream(stream, bits, n).tolist()]


def _unpack_text(content: bytes, n: int) -> list[str]:
    """The ids of the form that ``_pack_text`` writes."""
    _, n_compressed, n_text = _TEXT_HEAD.unpack_from(content)
    if n_text > _MOST_RATIO * len(content) + _LEAST_TEXT:
        raise ValueError(f"{n_text} bytes of ids from {len(content)}")
    stream = np.frombuffer(content, dtype=np.uint8)[_TEXT_HEAD.size + n_compressed :]
    places = unpack_stream(stream, (n - 1).bit_length(), n)
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        # One byte more than stated: it has to come to its end.
        compressed = content[_TEXT_HEAD.size :][:n_compressed]
        text = decompressor.decompress(compressed, max_length=n_text + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"its ids cannot be decompressed ({error})") from error
    texts = text.split(_END)
    if not decompressor.eof or any(decompressor.unused_data) or len(text) != n_text:
        raise ValueError(f"its ids are not {n_text} bytes")
    if len(texts) != n + 1 or texts.pop() or (np.bincount(places, minlength=n) != 1).any():
        raise ValueError(f"{len(texts)} ids for {n} rows, or some of them twice")
    return [texts[place].decode() for place in places.tolist()]


def stated_id_layout(container: Container) -> IdLayout:
    """The layout of the ids inside a file, empty without; raises ValueError where it is none."""
    shapes = container.shapes
    ids = tuple((name, *shapes[name]) for name in TENSORS if name in shapes)
    if any(len(shape) != 1 for _, _, shape in ids) or len(ids) == 1:
        raise ValueError("ids of another shape")
    return tuple((name, dtype, length) for name, dtype, (length,) in ids)


def ids_inside(container: Container, n_users: int, n_items: int) -> IdMap:
    """Whose rows are whose, from inside a file with ids whose layout was checked.

    Raises BetError where they are not those of so many users and items.
    """
    with refusing_malformed(container.path):
        return id_map(container.tensors, n_users, n_items)


def write_ids(table: Path, ids: Ids) -> Path:
    """Write the ids of the rows of the file ``table``, in the order of its rows, beside it; their
    path. ``bet.load`` finds them.
    """
    return write_id_tensors(table, id_tensors(ids), *map(len, ids))


def write_id_tensors(
    table: Path, tensors: Mapping[str, np.ndarray], n_users: int, n_items: int
) -> Path:
    """Write ids of so many rows, as ``id_tensors`` makes them, beside the file ``table``; their
    path.
    """
    path = ids_path(table)
    facts = {
        "users": n_users,
        "items": n_items,
        # Not "crc": the first "crc" of a header is the file's checksum.
        "table": open_safetensors(table, check=False).checksum,
    }
    write_safetensors(path, tensors, metadata_for("ids", facts))
    return path


def read_ids(table: Path, checksum: int) -> IdMap | None:
    """Whose rows are whose, from the file beside ``table``, whose ``checksum`` is given; None if
    there is none.

    Raises BetError when it is damaged or belongs to another table.
    """
    path = ids_path(table)
    if not path.exists():
        return None
    opened = open_safetensors(path)
    if opened.kind != "ids":
        raise BetError(f"{path}: not the ids of a table but one of kind {opened.kind!r}; remove it")
    with refusing_malformed(path):
        users, items, belongs = (int(opened.facts[name]) for name in ("users", "items", "table"))
        tensors: Shapes = {name: ("U8", (length,)) for name, _, length in stated_id_layout(opened)}
        facts = {"users": users, "items": items, "table": belongs}
        opened.check_layout(tensors, metadata_for("ids", facts))
    if belongs != checksum:
        raise BetError(
            f"{path}: these are the ids of another table than {table.name}; "
            "restore the file that was saved with it, or save the table again"
        )
    with refusing_malformed(path):
        return id_map(opened.tensors, users, items)
