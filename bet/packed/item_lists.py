"""Coded interactions, read: the items of any users, without a loop over them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.bitstream import check_stream, take_from_stream, take_numbers
from bet.packed.interactions import (
    MOST_BITS,
    MOST_ITEMS,
    PARTS,
    SEGMENTS,
    CodedInteractions,
    class_of,
    groups_of,
)
from bet.packed.lookup import ranges, whole_numbers
from bet.packed.safetensors_io import refusing_malformed

CHUNK = 2**20  # bits of quotients that are decoded at once, in some tens of MB


class ItemLists:
    """Sorted lists of items of ``n_users`` users.

    Opening counts where every list starts and keeps 24 bytes per user; a user has at least a bit in
    the file. Raises BetError where the tensors contradict their shapes or each other, before memory
    is taken for what they announce.

    >>> coded = code_interactions(np.array([0, 3, 4, 4]), np.array([3, 0, 1, 2]), n_items=4)
    >>> lists = ItemLists(coded)
    >>> indptr, items = lists.items_of([1, 2, 0])
    >>> indptr.tolist(), items.tolist()
    ([0, 1, 1, 4], [2, 0, 1, 3])
    """

    def __init__(self, coded: CodedInteractions, path: Path = Path("interactions")):
        """``path``: of the file that they are in, for messages."""
        self.path, self.n_users, self.n_items = path, coded.n_users, coded.n_items
        with refusing_malformed(path):
            _check_shapes(coded)
            self._widths = coded.tensors["widths"].astype(np.int64)
            self._quotients = coded.tensors["quotients"]
            self._remainders = coded.tensors["remainders"]
            self.degrees = _unpack_degrees(coded)  # (n_users,) int64
            self._quotient_starts = _starts(self._quotients, np.maximum(self.degrees, 1))
            sizes = self._remainder_bits()
            self._remainder_starts = np.cumsum(sizes) - sizes
            check_stream(self._remainders, int(sizes.sum()))

    @property
    def n_interactions(self) -> int:
        """Items of all lists."""
        return int(self.degrees.sum())

    def _remainder_bits(self) -> np.ndarray:
        """Bits of the remainders of every list, (n_users,)."""
        bits = np.zeros(self.n_users, dtype=np.int64)
        classes = class_of(self.degrees, len(self._widths))
        for segment in range(SEGMENTS if len(self._widths) else 0):
            # Places j of the list with j * SEGMENTS // degree == segment.
            first, end = (-(-self.degrees * s // SEGMENTS) for s in (segment, segment + 1))
            bits += (end - first) * self._widths[classes, segment]
        return bits

    def items_of(self, users: np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Items of ``users`` (k,), one list behind the other: indptr (k + 1,) int64, and items,
        int32, sorted within a list.

        Raises BetError for a user that does not exist, and where a list has an item that does not.
        """
        users = whole_numbers(users, "users")
        outside = (users < 0) | (users >= self.n_users)
        if outside.any():
            raise BetError(
                f"{self.path}: user {users[outside][0]} does not exist: it has {self.n_users:,} "
                "users, numbered from 0"
            )
        indptr = np.concatenate([[0], np.cumsum(self.degrees[users])])
        items = np.empty(indptr[-1], dtype=np.int32)
        with refusing_malformed(self.path):
            for first, end in self._chunks(users):
                items[indptr[first] : indptr[end]] = self._decode(users[first:end])
        return indptr, items

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Items of all users, as ``items_of``: indptr and indices of the CSR matrix."""
        return self.items_of(np.arange(self.n_users))

    def _chunks(self, users: np.ndarray) -> Iterator[tuple[int, int]]:
        """First and end of the parts of ``users`` that are decoded together."""
        bits = np.cumsum(self._quotient_starts[users + 1] - self._quotient_starts[users])
        firsts = np.flatnonzero(np.diff(bits // CHUNK, prepend=-1)).tolist()
        yield from zip(firsts, [*firsts[1:], len(users)], strict=False)  # no users: nothing

    def _decode(self, users: np.ndarray) -> np.ndarray:
        """Items of ``users``, one list behind the other, int64."""
        degrees = self.degrees[users]
        bits = self._widths.ravel()[groups_of(degrees, len(self._widths))]  # (k,)
        quotients = self._take_quotients(users, degrees)
        if (quotients > self.n_items >> bits).any():
            raise ValueError(f"a gap of more than {self.n_items} items")
        users, degrees = users[degrees > 0], degrees[degrees > 0]
        starts = np.cumsum(degrees) - degrees
        firsts = np.cumsum(bits) - bits  # of remainders, if they were all
        firsts += np.repeat(self._remainder_starts[users] - firsts[starts], degrees)
        gaps = (quotients << bits) + take_numbers(self._remainders, firsts, bits)
        items = np.cumsum(gaps + 1) - 1
        items -= np.repeat(items[starts] - gaps[starts], degrees)  # what earlier lists have added
        if len(items) and items[starts + degrees - 1].max() >= self.n_items:
            raise ValueError(f"an item behind the last of {self.n_items}")
        return items

    def _take_quotients(self, users: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """Quotients of all gaps of ``users``, one list behind the other."""
        firsts, ends = self._quotient_starts[users], self._quotient_starts[users + 1]
        n_bytes = (ends + 7) // 8 - firsts // 8
        content = self._quotients[ranges(firsts // 8, n_bytes)]
        start = np.cumsum(n_bytes) - n_bytes  # of a user, in ``content``
        # The neighbors' bits in the first and the last byte.
        content[start] &= (255 >> firsts % 8).astype(np.uint8)
        content[start + n_bytes - 1] &= (255 << -ends % 8 & 255).astype(np.uint8)
        ones = np.flatnonzero(np.unpackbits(content))
        counts = np.maximum(degrees, 1)
        first_ones = np.cumsum(counts) - counts
        zeros = np.diff(ones, prepend=0) - 1
        zeros[first_ones] = ones[first_ones] - (8 * start + firsts % 8)
        if zeros[first_ones[degrees == 0]].any():
            raise ValueError("a quotient of a user without items")
        return zeros[np.repeat(degrees > 0, counts)]


def _check_shapes(coded: CodedInteractions) -> None:
    """Raise ValueError unless the tensors are those of interactions, and few users announced."""
    shapes = coded.layout.shapes
    degrees, widths, quotients, remainders = (shapes[name] for name in PARTS)
    classes = widths[1][0]
    if [widths, quotients[0], remainders[0]] != [("U8", (classes, SEGMENTS)), "U8", "U8"]:
        raise ValueError(f"widths of shape {widths}")
    if not len(quotients[1]) == len(remainders[1]) == 1 or classes > MOST_BITS:
        raise ValueError(f"streams of shape {quotients} and {remainders}")
    is_runs = degrees[0] in ("U8", "U16", "U32") and degrees[1] == (2, degrees[1][-1])
    if not is_runs and (degrees[0], len(degrees[1])) != ("U8", 1):
        raise ValueError(f"degrees of shape {degrees}")
    if coded.tensors["widths"].max(initial=0) > MOST_BITS:
        raise ValueError("widths of more bits than an item has")
    if not 0 <= coded.n_users <= 8 * quotients[1][0] or not 0 <= coded.n_items <= MOST_ITEMS:
        raise ValueError(f"{coded.n_users} users and {coded.n_items} items")


def _unpack_degrees(coded: CodedInteractions) -> np.ndarray:
    """Number of items of every user, (n_users,) int64."""
    stored, bits = coded.tensors["degrees"], len(coded.tensors["widths"])
    if stored.ndim == 1:
        check_stream(stored, coded.n_users * bits)
        degrees = take_from_stream(stored, bits, np.arange(coded.n_users))
    else:
        values, counts = stored.astype(np.int64)
        if int(counts.sum()) != coded.n_users:
            raise ValueError(f"degrees of {counts.sum()} users, announced are {coded.n_users}")
        degrees = np.repeat(values, counts)
    largest = int(degrees.max(initial=0))
    if largest > coded.n_items or largest.bit_length() != bits:
        raise ValueError(f"a user with {largest} of {coded.n_items} items")
    if degrees.sum(dtype=np.float64) > 8 * len(coded.tensors["quotients"]):  # may exceed 64 bits
        raise ValueError("more items than quotients")
    return degrees


def _starts(quotients: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """First bit of every user in a stream in which users have ``counts`` (n_users,) ones, and the
    end of the last: (n_users + 1,) int64.

    Raises ValueError unless the stream ends with the last of them.
    """
    last_ones = np.cumsum(counts)  # of users, numbered from 1
    n_ones = int(np.bitwise_count(quotients).sum(dtype=np.int64))
    if n_ones != last_ones[-1:].sum() or not quotients[-1:].all():
        raise ValueError(f"{n_ones} quotients, announced are {last_ones[-1:].sum()}")
    starts, before = np.zeros(len(counts) + 1, dtype=np.int64), 0
    for first in range(0, len(quotients), CHUNK // 8):
        ones = np.flatnonzero(np.unpackbits(quotients[first : first + CHUNK // 8]))
        low, high = np.searchsorted(last_ones, [before, before + len(ones)], side="right")
        starts[1 + low : 1 + high] = 8 * first + ones[last_ones[low:high] - before - 1] + 1
        before += len(ones)
    return starts
