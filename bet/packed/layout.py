"""Where every byte of a packed table is: which rows it has, of which size and precision, and what
each part costs.

A file is a safetensors file. Its rows are the users' and then the items', by id or, in rank order,
by training frequency. A *kind* is a (size, bits) that rows have; the file lists its kinds once and
states which row is of which kind:

* in rank order by counts: so many users, then items, of the first kind, so many of the second, ...;
  nothing per entity;
* else by one byte (two above 256 kinds) per entity.

Values of a row stand column by column, and within a column copy by copy; a row of less than eight
bits per value ends on a whole byte. Rows of at most eight bits have a step (float16), each its own
or ``rows_per_step`` consecutive ones together.
"""

from dataclasses import dataclass, replace

import numpy as np

from bet.errors import BetError
from bet.packed.byte_report import PackedBytes
from bet.packed.safetensors_io import header_bytes, metadata_for, tensor_bytes

BITS = (1, 2, 4, 8, 16, 32)  # 16 and 32: floating point
MOST_KINDS, MOST_COLUMNS = 65_536, 65_535
FILE_KINDS = ("table", "vectors")
IdLayout = tuple[tuple[str, str, int], ...]
"""(name, dtype, length) of the tensors of an id mapping."""


def row_bytes(sizes: np.ndarray | int, bits: np.ndarray | int, copies: int = 1) -> np.ndarray:
    """Bytes of the values of rows of ``sizes`` columns at ``bits``, whole bytes per row; steps not
    included.

    Nine bits do not fit into a byte:

    >>> row_bytes(np.array([3, 9]), 1).tolist(), int(row_bytes(3, 4, copies=2))
    ([1, 2], 3)
    """
    return (np.asarray(sizes, dtype=np.int64) * bits * copies + 7) // 8


@dataclass(frozen=True)
class Layout:
    """``kinds`` (k, 2) of (size, bits) and ``counts`` (2, k), users' and items' rows of every kind.

    ``kinds_by_id`` (n,): the number of every row's kind, by entity id; None in rank order, where a
    side's rows stand in the order of the kinds. ``ids``: (name, dtype, length) of further tensors,
    an id mapping. ``file_kind``: ``table``, whose rows a backbone works on, or ``vectors``, whose
    inner products are the scores. Raises BetError on kinds that do not exist.
    """

    kinds: np.ndarray
    counts: np.ndarray
    kinds_by_id: np.ndarray | None = None
    copies: int = 1
    rows_per_step: int = 1
    ids: IdLayout = ()
    file_kind: str = "table"

    def __post_init__(self):
        k = len(self.kinds)
        if self.file_kind not in FILE_KINDS:
            raise BetError(f"a file of kind {self.file_kind!r} has no rows; known are {FILE_KINDS}")
        if (
            self.kinds.shape != (k, 2)
            or not k
            or not np.isin(self.kinds[:, 1], BITS).all()
            or self.kinds.min() < 0
        ):
            raise BetError(
                f"kinds must be pairs of a size and bits of {BITS}, got {self.kinds[:9].tolist()}"
            )
        if self.kinds.max() > MOST_COLUMNS or k > MOST_KINDS:
            raise BetError(
                f"a packed table holds sizes up to {MOST_COLUMNS} and {MOST_KINDS} kinds, got "
                f"{self.kinds.max()} and {k}"
            )
        if (
            self.counts.shape != (2, k)
            or not self.n
            or (self.kinds_by_id is not None and len(self.kinds_by_id) != self.n)
        ):
            raise BetError(
                "a packed table needs a row, and a kind for each; got counts "
                f"{self.counts[:, :9].tolist()}"
            )
        if self.copies < 1 or self.rows_per_step < 1:
            raise BetError(
                f"copies and rows_per_step must be at least 1, got {self.copies} and "
                f"{self.rows_per_step}"
            )
        # Far above any memory: sums of 64 bits stay right up to here.
        if self.copies * MOST_COLUMNS * self.n > 2**58 or self.rows_per_step > 2**32:
            raise BetError(f"{self.n:,} rows of {self.copies} copies are more than any table has")

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.counts.sum())

    @property
    def n_users(self) -> int:
        """Rows of users, which come first."""
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
        """Steps in the file."""
        return -(-int(self.counts.sum(0)[self.kind_has_step].sum()) // self.rows_per_step)

    @property
    def width(self) -> int:
        """Columns of the widest row, per copy."""
        return int(self.kinds[self.counts.sum(0) > 0, 0].max())

    def kind_of_rows(self) -> np.ndarray:
        """Number of every row's kind, (n,)."""
        if self.kinds_by_id is not None:
            return self.kinds_by_id
        return np.concatenate([np.repeat(np.arange(len(self.kinds)), side) for side in self.counts])

    @property
    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of everything in the file."""
        k = len(self.kinds)
        small = "U8" if self.kinds.max() < 256 else "U16"
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {"kinds": (small, (k, 2))}
        if self.kinds_by_id is None:
            shapes["counts"] = ("U32", (2, k))
        else:
            shapes["kind"] = ("U8" if k <= 256 else "U16", (self.n,))
        if self.n_steps:
            shapes["steps"] = ("F16", (self.n_steps,))
        shapes["rows"] = ("U8", (int(self.counts.sum(0) @ self.kind_lengths),))
        return shapes | {name: (dtype, (length,)) for name, dtype, length in self.ids}

    @property
    def metadata(self) -> dict[str, str]:
        """The file's one metadata entry; the checksum's digits are zero."""
        facts = {
            "order": "rank" if self.kinds_by_id is None else "id",
            "users": self.n_users,
            "items": self.n - self.n_users,
            "copies": self.copies,
            "rows_per_step": self.rows_per_step,
        }
        return metadata_for(self.file_kind, facts)

    def byte_report(self, row_bytes: int | None = None) -> PackedBytes:
        """Bytes by part; their sum is the length of the file. ``row_bytes``: as if the rows' values
        took so many.
        """
        shapes = self.tensors
        if row_bytes is not None:
            shapes["rows"] = ("U8", (row_bytes,))
        return PackedBytes(
            header_bytes(shapes, self.metadata),
            kinds=tensor_bytes(shapes, "kinds", "counts", "kind"),
            steps=tensor_bytes(shapes, "steps"),
            rows=tensor_bytes(shapes, "rows"),
            ids=tensor_bytes(shapes, *(name for name, _, _ in self.ids)),
        )


def most_row_bytes(layout: Layout, limit: int) -> int:
    """The most bytes of rows in a file of at most ``limit`` bytes, all else as in ``layout``; below
    0: none.

    >>> layout = layout_of(np.array([1, 1]), 32, n_users=1)
    >>> most_row_bytes(layout, layout.byte_report().total)
    8
    """
    most = limit - layout.byte_report(0).total
    # The header may grow by a digit or two.
    while most > 0 and layout.byte_report(most).total > limit:
        most -= 1
    return most


def layout_of(
    sizes: np.ndarray,
    bits: np.ndarray | int,
    n_users: int,
    copies: int = 1,
    *,
    by_rank: bool = False,
    kinds: np.ndarray | None = None,
) -> Layout:
    """The layout of rows of ``sizes`` (n,) and ``bits``, (n,) or one for all.

    ``kinds`` (k, 2): listed whether a row has them or not, so that the file's length does not
    depend on which are used; None lists those that occur, the largest first. Raises BetError for a
    row of a kind that is not listed, or one out of order.

    Two users and an item of 3, 1 and 3 numbers at 4 bits: rows of 2, 1 and 2 bytes, with a step of
    2 bytes each; two listed kinds and two counts of four bytes for each side.

    >>> layout = layout_of(np.array([3, 1, 3]), 4, n_users=2, by_rank=True)
    >>> layout.kinds.tolist(), layout.counts.tolist()
    ([[3, 4], [1, 4]], [[1, 1], [1, 0]])
    >>> report = layout.byte_report()
    >>> report.rows, report.steps, report.kinds
    (5, 6, 20)
    """
    pairs = np.stack([sizes, np.broadcast_to(bits, np.shape(sizes))], 1).astype(np.int64)
    if not 0 <= n_users <= len(pairs) or not len(pairs):
        raise BetError(
            "n_users must lie between 0 and the number of rows, and there must be one; got "
            f"{n_users} of {len(pairs)}"
        )
    if kinds is None:
        kinds = np.unique(pairs, axis=0)
        kinds = kinds[np.lexsort((-kinds[:, 0], -kinds[:, 0] * kinds[:, 1]))]
    kinds = np.asarray(kinds, dtype=np.int64)
    # One number for each pair: bits are below 64.
    code, listed = pairs @ np.array([64, 1]), kinds @ np.array([64, 1])  # (n,), (k,)
    order = np.argsort(listed)
    row_kinds = order[np.minimum(np.searchsorted(listed[order], code), len(listed) - 1)]  # (n,)
    if (listed[row_kinds] != code).any():
        unlisted = pairs[listed[row_kinds] != code][0].tolist()
        raise BetError(f"a row of {unlisted} (size, bits) is of none of the listed kinds")
    sides = row_kinds[:n_users], row_kinds[n_users:]
    # In rank order a row's kind follows from the counts alone, so rows must stand by kind.
    if by_rank and any((np.diff(side) < 0).any() for side in sides):
        raise BetError("rows are not in the order of their kinds; store this table by id")
    counts = np.stack([np.bincount(side, minlength=len(listed)) for side in sides])
    stored = row_kinds.astype(np.uint8 if len(listed) <= 256 else np.uint16)
    return Layout(kinds, counts, kinds_by_id=None if by_rank else stored, copies=copies)


def vectors_layout(n: int, columns: int, bits: int, n_users: int) -> Layout:
    """The layout of ``n`` final vectors, whose inner products are the scores, by frequency.

    >>> layout = vectors_layout(3, columns=4, bits=2, n_users=2)  # a byte each, and a step
    >>> layout.file_kind, layout.byte_report().rows, layout.byte_report().steps
    ('vectors', 3, 6)
    """
    layout = layout_of(np.full(n, columns), bits, n_users, by_rank=True)
    return replace(layout, file_kind="vectors")


def float32_layout(sizes: np.ndarray, n_users: int, copies: int, d_max: int) -> Layout:
    """The layout of a table in full precision: rows of ``sizes`` (n,) at 32 bits, by entity id.

    All sizes that a row may have are listed, whichever occur, so that the file's length is known
    before the sizes are.

    >>> float32_layout(np.array([2, 0]), n_users=1, copies=1, d_max=2).kinds.tolist()
    [[2, 32], [1, 32], [0, 32]]
    """
    listed = np.arange(d_max, -1, -1)
    kinds = np.stack([listed, np.full(len(listed), 32)], 1)
    return layout_of(sizes, 32, n_users, copies, kinds=kinds)


def float32_file_bytes(
    n_users: int, n_items: int, copies: int, d_max: int, parameters: int = 0
) -> int:
    """Exact length of the file of a float32 table of ``parameters`` numbers over all copies.

    The five numbers decide it, whatever the sizes of the rows. With 2 users, 1 item and rows of at
    most 2 columns: a header of 288 bytes, 3 listed sizes of 2 bytes, a byte per entity and 4 bytes
    per number.

    >>> float32_file_bytes(2, 1, 1, 2), float32_file_bytes(2, 1, 1, 2, parameters=4)
    (297, 313)
    """
    empty = float32_layout(np.zeros(n_users + n_items, dtype=np.int64), n_users, copies, d_max)
    return empty.byte_report(4 * parameters).total
