"""Files of codebooks: an entity has a few bits per subspace, which name the centroids that its row
is put together from; the most frequent entities have uncompressed rows.
"""

from dataclasses import dataclass

import numpy as np

from bet.arrays import PART, check_within
from bet.errors import BetError
from bet.packed.bitstream import check_stream, stream_bytes, take_from_stream
from bet.packed.byte_report import CodebookBytes
from bet.packed.safetensors_io import (
    Container,
    Shapes,
    file_bytes,
    header_bytes,
    metadata_for,
    refusing_malformed,
    tensor_bytes,
)
from bet.packed.table_file import TableFile

MOST_BITS = 12  # of a code
CODES = ("user_codes", "item_codes")  # tensors of a file
# What a file calls the fields of its layout, in this order: the length of the text is part of the
# format, so it keeps its first words ("parts" are subspaces, "own" rows are uncompressed).
_STATED = {
    "columns": "columns",
    "copies": "copies",
    "subspaces": "parts",
    "code_bits": "code_bits",
    "users": "users",
    "items": "items",
    "user_uncompressed": "user_own",
    "item_uncompressed": "item_own",
}


@dataclass(frozen=True, kw_only=True)
class CodebookLayout:
    """How a file of codes is laid out; numbers are float16.

    ``columns`` of a row, over all ``copies``, are cut into ``subspaces`` of equal width.
    ``user_uncompressed`` and ``item_uncompressed``: the most frequent of each side, which have a
    whole row. Every other entity has a code of ``code_bits`` per subspace, the number of one of its
    side's centroids.

    Two users and two items, of each of which the most frequent has a whole row; that leaves one
    entity with codes, and so one row of centroids, on each side:

    >>> layout = CodebookLayout(columns=4, copies=1, subspaces=2, code_bits=3, users=2, items=2,
    ...                         user_uncompressed=1, item_uncompressed=1)
    >>> layout.coded, layout.centroids, layout.stored_rows
    ((1, 1), (1, 1), 4)
    >>> layout.tensors
    {'rows': ('F16', (4, 4)), 'user_codes': ('U8', (1,)), 'item_codes': ('U8', (1,))}
    """

    columns: int
    copies: int
    subspaces: int
    code_bits: int
    users: int
    items: int
    user_uncompressed: int
    item_uncompressed: int

    def __post_init__(self):
        if (
            min(self.columns, self.copies, self.subspaces) < 1
            or self.columns % self.subspaces
            or self.columns % self.copies
            or not 1 <= self.code_bits <= MOST_BITS
        ):
            raise BetError(
                f"{self.columns} columns of {self.copies} tables are not cut into {self.subspaces} "
                f"subspaces with codes of {self.code_bits} bits; give divisors, and 1 to "
                f"{MOST_BITS} bits"
            )
        if (
            not 0 <= self.user_uncompressed <= self.users
            or not 0 <= self.item_uncompressed <= self.items
        ):
            raise BetError(
                f"{self.uncompressed} uncompressed rows for {self.users} users and {self.items} "
                "items; give fewer"
            )

    @property
    def uncompressed(self) -> tuple[int, int]:
        """Uncompressed rows, by side."""
        return self.user_uncompressed, self.item_uncompressed

    @property
    def coded(self) -> tuple[int, int]:
        """Entities with codes, by side."""
        return self.users - self.user_uncompressed, self.items - self.item_uncompressed

    @property
    def centroids(self) -> tuple[int, int]:
        """Centroids per subspace, by side; more than there are coded rows would be of no use."""
        most = 2**self.code_bits
        return min(most, self.coded[0]), min(most, self.coded[1])

    @property
    def stored_rows(self) -> int:
        """Rows of numbers: users' centroids, items' centroids, users' and items' uncompressed."""
        return sum(self.centroids) + sum(self.uncompressed)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata entry of the file."""
        facts = {stated: getattr(self, name) for name, stated in _STATED.items()}
        return metadata_for("coded", facts)

    @property
    def tensors(self) -> Shapes:
        """Name -> (dtype, shape) of everything in the file; a side's codes end on a whole byte."""
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "rows": ("F16", (self.stored_rows, self.columns))
        }
        for name, k in zip(CODES, self.coded, strict=True):
            if k:
                shapes[name] = ("U8", (stream_bytes(k * self.subspaces, self.code_bits),))
        return shapes

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return file_bytes(self.tensors, self.metadata)

    def byte_report(self) -> CodebookBytes:
        """Bytes by part; their sum is the length of the file."""
        row = 2 * self.columns  # bytes
        return CodebookBytes(
            header_bytes(self.tensors, self.metadata),
            codes=tensor_bytes(self.tensors, *CODES),
            centroids=row * sum(self.centroids),
            uncompressed=row * sum(self.uncompressed),
        )

    def sources(self, side: int, ranks: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Stored row that each piece of a row comes from: (k, subspaces) int64.

        side: 0 users, 1 items. ranks: (k,) in the side, the most frequent 0. codes: (k, subspaces);
        those of uncompressed rows are not looked at.
        """
        whole = (ranks < self.uncompressed[side])[:, None]  # (k, 1), stored uncompressed
        first_centroid = sum(self.centroids[:side])
        first_whole = sum(self.centroids) + sum(self.uncompressed[:side])
        return np.where(
            whole, (first_whole + ranks)[:, None], first_centroid + codes.astype(np.int64)
        )


class CodebookFile(TableFile):
    """Rows put together from centroids; within a side rows stand by training frequency."""

    kind = "codebooks"

    def __init__(self, container: Container, n_items: int | None = None):
        super().__init__(container, n_items)
        with refusing_malformed(self.path):
            facts = {name: int(container.facts[stated]) for name, stated in _STATED.items()}
            layout = CodebookLayout(**facts)
            container.check_layout(layout.tensors, layout.metadata)
            if not layout.users + layout.items:
                raise ValueError("it has no rows")
            for side in (0, 1):
                self._check_codes(layout, side)
        self.layout = layout
        self.n_users, self.copies = layout.users, layout.copies
        self.width = layout.columns // layout.copies
        self._check_given_items()

    def _check_codes(self, layout: CodebookLayout, side: int) -> None:
        """Raise ValueError where a code names no centroid, or a stream does not end in zeros."""
        k, bits = layout.coded[side] * layout.subspaces, layout.code_bits
        if not k:
            return
        codes = self.container.tensors[CODES[side]]
        check_stream(codes, k * bits)
        # Only where there are fewer entities than codes can a code be too large.
        if layout.centroids[side] < 2**bits:
            places = (np.arange(first, min(first + PART, k)) for first in range(0, k, PART))
            numbers = (take_from_stream(codes, bits, part) for part in places)
            check_within(numbers, layout.centroids[side])

    @property
    def n_items(self) -> int:
        return self.layout.items

    def _row_text(self) -> str:
        layout = self.layout
        return (
            f"{self.width} numbers, put together by codes of {layout.code_bits} bits in "
            f"{layout.subspaces} subspaces, {sum(layout.uncompressed):,} of them uncompressed"
        )

    def byte_report(self) -> CodebookBytes:
        return self.layout.byte_report()

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        layout = self.layout
        subspaces = np.arange(layout.subspaces)
        pieces = self.container.tensors["rows"].reshape(layout.stored_rows, layout.subspaces, -1)
        out = np.empty((len(numbers), layout.subspaces, pieces.shape[2]), dtype=np.float32)
        for side, members in enumerate((numbers < layout.users, numbers >= layout.users)):
            if not members.any():
                continue
            ranks = numbers[members] - side * layout.users  # (m,)
            codes = np.zeros((len(ranks), layout.subspaces), dtype=np.int64)
            coded = ranks - layout.uncompressed[side]  # below 0: uncompressed
            places = coded[coded >= 0, None] * layout.subspaces + subspaces
            if places.size:
                stream = self.container.tensors[CODES[side]]
                codes[coded >= 0] = take_from_stream(stream, layout.code_bits, places)
            out[members] = pieces[layout.sources(side, ranks, codes), subspaces]
        return out.reshape(len(numbers), self.copies, self.width)
