"""The ids of one side of a table as bytes, and back: integers or text, whichever is shorter.

What a file holds is checked part by part, before a list of it is made: that takes up to three times
its bytes. The list itself takes what its ids take.
"""

import lzma
import re
import struct
from collections.abc import Iterator
from itertools import chain

import numpy as np

from bet.arrays import PART, check_within
from bet.errors import BetError
from bet.packed.bitstream import MOST_BITS, check_stream, pack_stream, take_from_stream

# Forms of a side's bytes, and what stands before the rest of each: form, bits of a number, the
# smallest; form, bytes of compressed text, of the text.
_INTEGERS, _TEXT = 0, 1
_INTEGER_HEAD, _TEXT_HEAD = struct.Struct("<BBq"), struct.Struct("<BII")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as Python writes it: neither "017" nor "+1"
_END = b"\xff"  # behind every id: no byte of UTF-8
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**20, "pb": 0}]
# A short file must not unpack into a long text.
_MOST_RATIO, _LEAST_TEXT = 64, 1024
MOST_ID = 2**16  # bytes of an id
_BYTES = 2**18  # of text that are checked together


def pack_side(names: list[str]) -> np.ndarray:
    """The shorter form of the different ``names`` of a side, in the order of its rows."""
    if not names:
        return np.zeros(0, dtype=np.uint8)
    try:
        texts = [name.encode() for name in names]
    except UnicodeEncodeError as error:
        raise BetError(f"an id cannot be written as UTF-8 ({error}); give another one") from error
    if max(map(len, texts)) > MOST_ID:
        raise BetError(f"an id of {max(map(len, texts)):,} bytes; at most {MOST_ID:,} can be kept")
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
    for first in range(0, len(numbers), PART):  # whole bytes, whatever the bits
        parts.append(pack_stream(numbers[first : first + PART] - smallest, bits))
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


def unpack_side(content: np.ndarray, n: int) -> list[str]:
    """The ids of ``n`` rows, in their order, from what ``pack_side`` gives; raises ValueError where
    they are not so many different ones.

    >>> unpack_side(pack_side(["7", "12"]), 2), unpack_side(pack_side(["ann", "bob"]), 2)
    (['7', '12'], ['ann', 'bob'])
    """
    if not n:
        if len(content):
            raise ValueError(f"{len(content)} bytes of ids for no rows")
        return []
    is_text = content[:1].tolist() == [_TEXT]
    head = _TEXT_HEAD if is_text else _INTEGER_HEAD
    if len(content) < head.size:
        raise ValueError(f"{len(content)} bytes for {n} ids")
    return _unpack_text(content, n) if is_text else _unpack_integers(content, n)


def _unpack_integers(content: np.ndarray, n: int) -> list[str]:
    form, bits, smallest = _INTEGER_HEAD.unpack_from(content.data)
    if form != _INTEGERS or bits > MOST_BITS or n > 2**bits:
        raise ValueError(f"{n} ids of form {form} and {bits} bits")
    offsets, first = np.empty(n, dtype=np.int64), 0
    for part in _stream_parts(content[_INTEGER_HEAD.size :], bits, n):
        offsets[first : first + len(part)] = part
        first += len(part)
    offsets.sort()
    if (offsets[1:] == offsets[:-1]).any():
        raise ValueError("an id stands twice in it")
    in_order = map(np.ndarray.tolist, _stream_parts(content[_INTEGER_HEAD.size :], bits, n))
    return [str(smallest + offset) for offset in chain.from_iterable(in_order)]


def _stream_parts(stream: np.ndarray, bits: int, n: int) -> Iterator[np.ndarray]:
    """The ``n`` numbers of a stream, int64, part by part; raises ValueError unless it has as
    many.
    """
    check_stream(stream, bits * n)
    for first in range(0, n, PART):
        yield take_from_stream(stream, bits, np.arange(first, min(first + PART, n)))


def _unpack_text(content: np.ndarray, n: int) -> list[str]:
    """The ids of the form that ``_pack_text`` writes."""
    _, n_compressed, n_text = _TEXT_HEAD.unpack_from(content.data)
    if n_text > _MOST_RATIO * len(content) + _LEAST_TEXT:
        raise ValueError(f"{n_text} bytes of ids from {len(content)}")
    rest = content[_TEXT_HEAD.size :]
    compressed, ranks, bits = rest[:n_compressed], rest[n_compressed:], (n - 1).bit_length()
    _check_text(_text_parts(compressed, n_text), n)
    is_placed = np.zeros(n, dtype=bool)
    for places in _stream_parts(ranks, bits, n):
        check_within([places], n)
        is_placed[places] = True
    if not is_placed.all():
        raise ValueError("two rows have the same id")
    texts = b"".join(_text_parts(compressed, n_text)).split(_END)
    in_order = map(np.ndarray.tolist, _stream_parts(ranks, bits, n))
    return [texts[place].decode() for place in chain.from_iterable(in_order)]


def _text_parts(compressed: np.ndarray, n_text: int) -> Iterator[bytes]:
    """The text, part by part; raises ValueError unless it has ``n_text`` bytes and then ends."""
    decompressor, left = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS), n_text
    fed: memoryview | bytes = compressed.data
    while not decompressor.eof:
        try:
            part = decompressor.decompress(fed, max_length=_BYTES)
        except lzma.LZMAError as error:
            raise ValueError(f"its ids cannot be decompressed ({error})") from error
        fed, left = b"", left - len(part)
        if left < 0 or (not part and decompressor.needs_input):
            break
        yield part
    if left or not decompressor.eof or any(decompressor.unused_data):
        raise ValueError(f"its ids are not {n_text} bytes")


def _check_text(text: Iterator[bytes], n: int) -> None:
    """Raise ValueError unless ``text`` is ``n`` different ids in order, in UTF-8."""
    last: list[bytes] = []
    count, rest = 0, b""
    for part in text:
        *ids, rest = (rest + part).split(_END)
        if len(rest) > MOST_ID or max(map(len, ids), default=0) > MOST_ID:
            raise ValueError(f"an id of more than {MOST_ID} bytes")
        b"\n".join(ids).decode()
        together = [*last, *ids]
        if together != sorted(set(together)):
            raise ValueError("its ids are not in order, or one stands twice in it")
        count, last = count + len(ids), together[-1:]
    if rest or count != n:
        raise ValueError(f"{count} ids for {n} rows")
