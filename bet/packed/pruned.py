"""Files of pruned tables: any set of single numbers is kept, and the file states which.

It has one bit per number of the full table, or the column of every kept number and a count per row,
whichever makes the shorter file; behind it the kept numbers in float32, row by row.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bet.arrays import exact_sum, parts
from bet.errors import BetError
from bet.packed.bitstream import check_stream
from bet.packed.byte_report import PrunedBytes
from bet.packed.lookup import byte_windows, ranges
from bet.packed.safetensors_io import (
    DTYPES,
    Container,
    Shapes,
    dtype_up_to,
    file_bytes,
    header_bytes,
    metadata_for,
    refusing_malformed,
    tensor_bytes,
    write_safetensors,
)
from bet.packed.table_file import TableFile

BLOCK = 8  # rows that share an entry of the index: as many bits end on a whole byte


@dataclass(frozen=True)
class PrunedLayout:
    """``kept`` of the ``copies * d_max`` numbers of ``users + items`` rows.

    Two kept of the 8 numbers of 4 entities: eight bits are one byte, counts and columns were six.

    >>> PrunedLayout(users=2, items=2, copies=1, d_max=2, kept=2).tensors
    {'values': ('F32', (2,)), 'mask': ('U8', (1,))}
    """

    users: int
    items: int
    copies: int
    d_max: int
    kept: int

    @property
    def n(self) -> int:
        """Rows."""
        return self.users + self.items

    @property
    def columns(self) -> int:
        """Numbers of a full row, over all copies."""
        return self.copies * self.d_max

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata entry of the file."""
        facts = ("users", "items", "copies", "d_max")
        return metadata_for("pruned", {name: getattr(self, name) for name in facts})

    @property
    def tensors(self) -> Shapes:
        """Name -> (dtype, shape) of everything in the shorter of the two files."""
        values = ("F32", (self.kept,))
        by_bits: Shapes = {"values": values, "mask": ("U8", (-(-self.n * self.columns // 8),))}
        by_columns: Shapes = {
            "values": values,
            "counts": (dtype_up_to(self.columns), (self.n,)),
            "positions": (dtype_up_to(self.columns - 1), (self.kept,)),
        }
        return min(by_bits, by_columns, key=lambda shapes: file_bytes(shapes, self.metadata))

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return file_bytes(self.tensors, self.metadata)

    def byte_report(self) -> PrunedBytes:
        """Bytes by part; their sum is the length of the file."""
        return PrunedBytes(
            header_bytes(self.tensors, self.metadata),
            places=tensor_bytes(self.tensors, "mask", "counts", "positions"),
            numbers=tensor_bytes(self.tensors, "values"),
        )


def pruned_file_bytes(n_users: int, n_items: int, copies: int, d_max: int, kept: int) -> int:
    """Exact length of the file of a pruned table that keeps ``kept`` numbers, whichever they are.

    A header of 216 bytes, a byte of bits and two numbers of four bytes:

    >>> pruned_file_bytes(2, 2, 1, 2, kept=2)
    225
    """
    return PrunedLayout(n_users, n_items, copies, d_max, kept).file_bytes


def write_pruned(
    path: Path, mask: np.ndarray, values: np.ndarray, n_users: int, copies: int = 1
) -> PrunedBytes:
    """Write those of ``values`` (n, copies * d_max) float32 that ``mask``, bool of the same shape,
    keeps, users' rows first; returns the bytes by part. Raises BetError where a kept number is not
    finite.

    >>> mask = np.array([[True, False], [False, False], [False, True]])
    >>> write_pruned(folder / "table", mask, np.array([[1, 2], [3, 4], [5, 6]]), n_users=2).numbers
    8
    >>> load(folder / "table").rows([0, 2]).tolist()
    [[[1.0, 0.0]], [[0.0, 6.0]]]
    """
    n, columns = mask.shape
    layout = PrunedLayout(n_users, n - n_users, copies, columns // copies, int(mask.sum()))
    kept = values[mask].astype("<f4")
    if not np.isfinite(kept).all():
        raise BetError(
            "the table has numbers that are not finite; train it with a lower learning rate"
        )
    tensors = {
        "values": kept,
        "mask": np.packbits(mask),
        "counts": mask.sum(1),
        "positions": mask.nonzero()[1],
    }
    typed = {
        name: np.ascontiguousarray(tensors[name], dtype=DTYPES[dtype])
        for name, (dtype, _) in layout.tensors.items()
    }
    write_safetensors(path, typed, layout.metadata)
    return layout.byte_report()


class PrunedFile(TableFile):
    """Rows of single numbers, by entity id; what was pruned is zero."""

    kind = "pruned numbers"

    def __init__(self, container: Container, n_items: int | None = None):
        super().__init__(container, n_items)
        facts, self._tensors = container.facts, container.tensors
        with refusing_malformed(self.path):
            users, items, copies, d_max = (
                int(facts[name]) for name in ("users", "items", "copies", "d_max")
            )
            layout = PrunedLayout(users, items, copies, d_max, len(self._tensors["values"]))
            if min(users, items) < 0 or not layout.n or min(copies, d_max) < 1:
                raise ValueError(f"{layout} has no rows")
            container.check_layout(layout.tensors, layout.metadata)
            self.layout = layout
            self._check_places()
        self.n_users, self.copies, self.width = users, copies, d_max
        self._check_given_items()

    @property
    def n_items(self) -> int:
        return self.layout.items

    def _row_text(self) -> str:
        layout = self.layout
        written = "bits" if "mask" in self._tensors else "columns"
        whole = layout.n * layout.columns
        return f"{self.width} numbers; {layout.kept:,} of {whole:,} are kept, placed by {written}"

    def byte_report(self) -> PrunedBytes:
        return self.layout.byte_report()

    def _check_places(self) -> None:
        """Raise ValueError unless as many numbers have a place as there are values."""
        layout = self.layout
        if "mask" in self._tensors:
            mask = self._tensors["mask"]
            check_stream(mask, layout.n * layout.columns)
            placed = sum(int(np.bitwise_count(part).sum(dtype=np.int64)) for part in parts(mask))
        else:
            placed = exact_sum(self._tensors["counts"])
        if placed != layout.kept:
            raise ValueError(f"places of {placed} numbers, there are {layout.kept}")

    @cached_property
    def _firsts(self) -> np.ndarray:
        """Kept numbers before every row or, by bits, before every block of rows, int64."""
        if "mask" in self._tensors:
            counts, columns = np.bitwise_count(self._tensors["mask"]), self.layout.columns
            counts = np.add.reduceat(counts, np.arange(0, len(counts), columns), dtype=np.int64)
        else:
            counts = self._tensors["counts"].astype(np.int64)
        return np.cumsum(counts) - counts

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        firsts, counts, columns = (
            self._by_bits(numbers) if "mask" in self._tensors else self._by_columns(numbers)
        )
        out = np.zeros((len(numbers), self.layout.columns), dtype=np.float32)
        out[np.repeat(np.arange(len(numbers)), counts), columns] = self._tensors["values"][
            ranges(firsts, counts)
        ]
        return out.reshape(len(numbers), self.copies, self.width)

    def _by_columns(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First value and number of values of every row, (k,) each, and the columns of all."""
        firsts, counts = self._firsts[numbers], self._tensors["counts"][numbers].astype(np.int64)
        columns = self._tensors["positions"][ranges(firsts, counts)]
        if len(columns) and columns.max() >= self.layout.columns:
            raise BetError(
                f"{self.path}: a number in column {columns.max()} of {self.layout.columns}; the "
                "file is damaged, save the table again"
            )
        return firsts, counts, columns

    def _by_bits(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same as ``_by_columns``, from a file with a bit per number."""
        columns, block = self.layout.columns, numbers // BLOCK
        packed = byte_windows(self._tensors["mask"], block * columns, columns)  # (k, columns)
        bits = np.unpackbits(packed, axis=1).reshape(len(numbers), BLOCK, columns)
        inside = numbers % BLOCK
        before = np.arange(BLOCK) < inside[:, None]  # (k, BLOCK) rows of the block
        firsts = self._firsts[block] + (bits.sum(2, dtype=np.int64) * before).sum(1)
        kept = bits[np.arange(len(numbers)), inside]  # (k, columns)
        return firsts, kept.sum(1, dtype=np.int64), kept.nonzero()[1]
