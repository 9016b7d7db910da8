"""Where every byte of a packed table is: which rows it has, of which size and precision, and what
each part costs.

A file is a safetensors file. Its rows are the users' and then the items', by id or, in rank order,
by training frequency. A *kind* is a (size, bits) that rows have; the file lists its kinds once and
says which row is of which kind:

* in rank order by counts: so many users, then items, of the first kind, so many of the second, ...;
  nothing per entity;
* else by one byte (two above 256 kinds) per entity.

Values of a row stand column by column, and within a column copy by copy; a row of less than eight
bits per value ends on a whole byte. Rows of at most eight bits have a step (float16), each its own
or ``rows_per_step`` consecutive ones together.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bet.errors import BetError

VERSION = 1
BITS = (1, 2, 4, 8, 16, 32)  # 16 and 32: floating point
CHECKSUM = "crc=00000000"  # its place; a digit for every four bits
KEY = "bet"  # of the one metadata entry
READERS = {  # of the kinds of files that state theirs
    "table": "bet.packed.PackedTable(path)",
    "coded": "bet.backbones.CodebookTable.load(path)",
    "hashed": "bet.backbones.HashedTable.load(path, n, d_max)",
}
_WIDTH = {
    "F32": 4,
    "U32": 4,
    "F16": 2,
    "U16": 2,
    "U8": 1,
}  # bytes; in the order that safetensors stores them


def row_bytes(sizes: np.ndarray | int, bits: np.ndarray | int, copies: int = 1) -> np.ndarray:
    """Bytes of the values of rows of ``sizes`` columns at ``bits``, whole bytes per row; steps not
    included.
    """
    return (np.asarray(sizes, dtype=np.int64) * bits * copies + 7) // 8


@dataclass(frozen=True)
class ByteReport:
    """What a packed file of ``total`` bytes is made of."""

    header: int
    kinds: int  # the list of kinds, and which row is of which
    steps: int
    rows: int
    ids: int

    @property
    def total(self) -> int:
        return self.header + self.kinds + self.steps + self.rows + self.ids


@dataclass(frozen=True)
class Layout:
    """``kinds`` (k, 2) of (size, bits) and ``counts`` (2, k), users' and items' rows of every kind.

    ``kind`` (n,): the number of every row's kind, by id; None in rank order, where a side's rows
    stand in the order of the kinds. ``ids``: (name, dtype, length) of further tensors, an id
    mapping. Raises BetError on kinds that do not exist.
    """

    kinds: np.ndarray
    counts: np.ndarray
    kind: np.ndarray | None = None
    copies: int = 1
    rows_per_step: int = 1
    ids: tuple[tuple[str, str, int], ...] = ()

    def __post_init__(self):
        k = len(self.kinds)
        if (
            self.kinds.shape != (k, 2)
            or not k
            or not np.isin(self.kinds[:, 1], BITS).all()
            or self.kinds.min() < 0
        ):
            raise BetError(
                f"kinds must be pairs of a size and bits of {BITS}, got {self.kinds.tolist()}"
            )
        if self.kinds.max() > 65535 or k > 65536:
            raise BetError(
                f"a packed table holds sizes up to 65535 and 65536 kinds, got {self.kinds.max()} and {k}"
            )
        if (
            self.counts.shape != (2, k)
            or not self.n
            or (self.kind is not None and len(self.kind) != self.n)
        ):
            raise BetError(
                f"a packed table needs a row, and a kind for each; got counts {self.counts.tolist()}"
            )
        if self.copies < 1 or self.rows_per_step < 1:
            raise BetError(
                f"copies and rows_per_step must be at least 1, got {self.copies} and {self.rows_per_step}"
            )

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def n_users(self) -> int:
        return int(self.counts[0].sum())

    @property
    def kind_lengths(self) -> np.ndarray:
        """Bytes of the values of a row of every kind, (k,)."""
        return row_bytes(self.kinds[:, 0], self.kinds[:, 1], self.copies)

    @property
    def kind_has_step(self) -> np.ndarray:
        """Which kinds are quantized and not empty, (k,) bool."""
        return (self.kinds[:, 1] <= 8) & (self.kinds[:, 0] > 0)

    @property
    def n_steps(self) -> int:
        return -(-int(self.counts.sum(0)[self.kind_has_step].sum()) // self.rows_per_step)

    @property
    def width(self) -> int:
        """Columns of the widest row, per copy."""
        return int(self.kinds[self.counts.sum(0) > 0, 0].max())

    def kind_of_rows(self) -> np.ndarray:
        """Number of every row's kind, (n,)."""
        if self.kind is not None:
            return self.kind
        return np.concatenate([np.repeat(np.arange(len(self.kinds)), side) for side in self.counts])

    @property
    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of everything in the file."""
        k = len(self.kinds)
        small = "U8" if self.kinds.max() < 256 else "U16"
        found: dict[str, tuple[str, tuple[int, ...]]] = {"kinds": (small, (k, 2))}
        if self.kind is None:
            found["counts"] = ("U32", (2, k))
        else:
            found["kind"] = ("U8" if k <= 256 else "U16", (self.n,))
        if self.n_steps:
            found["steps"] = ("F16", (self.n_steps,))
        found["rows"] = ("U8", (int(self.counts.sum(0) @ self.kind_lengths),))
        return found | {name: (dtype, (length,)) for name, dtype, length in self.ids}

    @property
    def metadata(self) -> dict[str, str]:
        """The file's one metadata entry; the checksum's digits are zero."""
        order = "rank" if self.kind is None else "id"
        numbers = f"users={self.n_users};items={self.n - self.n_users};copies={self.copies};rows_per_step={self.rows_per_step}"
        return {KEY: f"table;version={VERSION};order={order};{numbers};{CHECKSUM}"}

    def byte_report(self, row_bytes: int | None = None) -> ByteReport:
        """Bytes by part; their sum is the length of the file. ``row_bytes``: as if the rows' values
        took so many.
        """
        tensors = self.tensors
        if row_bytes is not None:
            tensors["rows"] = ("U8", (row_bytes,))
        by_name = {
            name: _WIDTH[dtype] * int(np.prod(shape)) for name, (dtype, shape) in tensors.items()
        }
        kinds = sum(by_name.get(name, 0) for name in ("kinds", "counts", "kind"))
        ids = sum(by_name[name] for name, _, _ in self.ids)
        return ByteReport(
            header_bytes(tensors, self.metadata),
            kinds,
            by_name.get("steps", 0),
            by_name["rows"],
            ids,
        )


def most_row_bytes(layout: Layout, limit: int) -> int:
    """The most bytes of rows in a file of at most ``limit`` bytes, all else as in ``layout``; below
    0: none.
    """
    found = limit - layout.byte_report(0).total
    while (
        found > 0 and layout.byte_report(found).total > limit
    ):  # the header may grow by a digit or two
        found -= 1
    return found


def header_entries(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, dict]:
    """What a safetensors header says of ``tensors``: the widest numbers first, then by name,
    without gaps.
    """
    found, offset, types = {}, 0, list(_WIDTH)
    for name, (dtype, shape) in sorted(
        tensors.items(), key=lambda item: (types.index(item[1][0]), item[0])
    ):
        length = _WIDTH[dtype] * int(np.prod(shape))
        found[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + length],
        }
        offset += length
    return found


def header_bytes(tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]) -> int:
    """Length of a safetensors file's header: eight bytes of length, then JSON, padded to a multiple
    of eight.
    """
    entries = {"__metadata__": metadata, **header_entries(tensors)}
    return 8 + -(-len(json.dumps(entries, separators=(",", ":"))) // 8) * 8


def with_checksum(content: bytes) -> bytes:
    """``content`` with its own checksum in the place that the metadata keep for it."""
    whole = bytearray(content)
    place = whole.index(CHECKSUM.encode())
    whole[place : place + len(CHECKSUM)] = f"crc={zlib.crc32(whole):08x}".encode()
    return bytes(whole)


def check_checksum(path: Path, content: bytes | memoryview) -> None:
    """Raise BetError unless the first checksum in ``content`` is the right one."""
    header = bytearray(content[: 8 + int.from_bytes(bytes(content[:8]), "little")])
    place = header.find(b"crc=")
    written = bytes(header[place : place + len(CHECKSUM)])
    header[place : place + len(CHECKSUM)] = CHECKSUM.encode()
    # What comes behind the header is not copied: it may be as large as the memory.
    found = zlib.crc32(memoryview(content)[len(header) :], zlib.crc32(header))
    if place < 0 or f"crc={found:08x}".encode() != written:
        raise BetError(
            f"{path}: its checksum is wrong: it is damaged or cut short; save the table again"
        )


def layout_of(
    sizes: np.ndarray,
    bits: np.ndarray | int,
    n_users: int,
    copies: int = 1,
    by_rank: bool = False,
    kinds: np.ndarray | None = None,
) -> Layout:
    """The layout of rows of ``sizes`` (n,) and ``bits``, (n,) or one for all.

    ``kinds`` (k, 2): listed whether a row has them or not, so that the file's length does not
    depend on which are used; None lists those that occur, the largest first. Raises BetError for a
    row of a kind that is not listed, or one out of order.
    """
    pairs = np.stack([sizes, np.broadcast_to(bits, np.shape(sizes))], 1).astype(np.int64)
    if not 0 <= n_users <= len(pairs) or not len(pairs):
        raise BetError(
            f"n_users must lie between 0 and the number of rows, and there must be one; got {n_users} of {len(pairs)}"
        )
    if kinds is None:
        kinds = np.unique(pairs, axis=0)
        kinds = kinds[np.lexsort((-kinds[:, 0], -kinds[:, 0] * kinds[:, 1]))]
    code, listed = pairs @ np.array([64, 1]), np.asarray(kinds, dtype=np.int64) @ np.array([64, 1])
    order = np.argsort(listed)
    kind = order[np.minimum(np.searchsorted(listed[order], code), len(listed) - 1)]
    if (listed[kind] != code).any():
        raise BetError(
            f"a row of {pairs[listed[kind] != code][0].tolist()} (size, bits) is of none of the listed kinds"
        )
    sides = kind[:n_users], kind[n_users:]
    if by_rank and any((np.diff(side) < 0).any() for side in sides):
        raise BetError("rows are not in the order of their kinds; store this table by id")
    counts = np.stack([np.bincount(side, minlength=len(listed)) for side in sides])
    small = kind.astype(np.uint8 if len(listed) <= 256 else np.uint16)
    return Layout(np.asarray(kinds, dtype=np.int64), counts, None if by_rank else small, copies)
