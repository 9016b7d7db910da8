"""Coded interactions, read: the items of any users, without a loop over them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from bet.arrays import PART, parts
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

    Opening adds up what the lists announce, part by part. Where every list starts is counted when
    the first one is read, and takes 24 bytes per user; a user has at least a bit in the file.
    Raises BetError where the tensors contradict their shapes or each other, before memory is taken
    for what they announce.

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
            self._coded = coded
            self._widths = coded.tensors["widths"].astype(np.int64)
            self._quotients = coded.tensors["quotients"]
            self._remainders = coded.tensors["remainders"]
            self.n_interactions = self._check_sums()

    def _check_sums(self) -> int:
        """Items of all lists; raises ValueError unless the two streams have as many numbers as the
        lists need.
        """
        n_users = n_items = n_ones = n_bits = largest = 0
        for degrees, counts in _degree_parts(self._coded):
            largest = max(largest, int(degrees.max(initial=0)))
            if largest > self.n_items:
                raise ValueError(f"a user with {largest} of {self.n_items} items")
            n_users += int(counts.sum())
            # Sums of 64 bits stay right only up to here.
            most = 8 * len(self._quotients)
            if n_users > most or (degrees.astype(np.float64) @ counts) > most:
                raise ValueError("more items than quotients")
            n_items += int(degrees @ counts)
            n_ones += int(np.maximum(degrees, 1) @ counts)
            n_bits += int(self._remainder_bits(degrees) @ counts)
        if n_users != self.n_users:
            raise ValueError(f"degrees of {n_users} users, announced are {self.n_users}")
        if largest.bit_length() != len(self._widths):
            raise ValueError(f"widths of {len(self._widths)} bits, the largest list has {largest}")
        stored = sum(int(np.bitwise_count(part).sum(dtype=int)) for part in parts(self._quotients))
        if stored != n_ones or not self._quotients[-1:].all():
            raise ValueError(f"{stored} quotients, announced are {n_ones}")
        check_stream(self._remainders, n_bits)
        return n_items

    @cached_property
    def degrees(self) -> np.ndarray:
        """Items of every list, (n_users,) int64."""
        listed = [np.repeat(degrees, counts) for degrees, counts in _degree_parts(self._coded)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *listed])

    @cached_property
    def _quotient_starts(self) -> np.ndarray:
        """First bit of every list, and the end of the last: (n_users + 1,) int64."""
        return _starts(self._quotients, np.maximum(self.degrees, 1))

    @cached_property
    def _remainder_starts(self) -> np.ndarray:
        """First bit of every list, (n_users,) int64."""
        sizes = [self._remainder_bits(part) for part in parts(self.degrees)]
        ends = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *sizes]))
        return ends[:-1]

    def _remainder_bits(self, degrees: np.ndarray) -> np.ndarray:
        """Bits of the remainders of lists of ``degrees`` (n,), (n,) int64."""
        bits = np.zeros(len(degrees), dtype=np.int64)
        classes = class_of(degrees, len(self._widths))
        for segment in range(SEGMENTS if len(self._widths) else 0):
            # Places j of the list with j * SEGMENTS // degree == segment.
            first, end = (-(-degrees * s // SEGMENTS) for s in (segment, segment + 1))
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


def _degree_parts(coded: CodedInteractions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of items, and how many users in a row have each, (m,) int64 both, part by part."""
    stored, bits = coded.tensors["degrees"], len(coded.tensors["widths"])
    if stored.ndim == 2:
        for values, counts in zip(parts(stored[0]), parts(stored[1]), strict=True):
            yield values.astype(np.int64), counts.astype(np.int64)
        return
    check_stream(stored, coded.n_users * bits)
    for first in range(0, coded.n_users, PART):
        places = np.arange(first, min(first + PART, coded.n_users))
        yield take_from_stream(stored, bits, places), np.ones(len(places), dtype=np.int64)


def _starts(quotients: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """First bit of every user in a stream in which users have ``counts`` (n_users,) ones, and the
    end of the last: (n_users + 1,) int64. The stream has as many ones.
    """
    last_ones = np.cumsum(counts)  # of users, numbered from 1
    starts, before = np.zeros(len(counts) + 1, dtype=np.int64), 0
    for first in range(0, len(quotients), CHUNK // 8):
        ones = np.flatnonzero(np.unpackbits(quotients[first : first + CHUNK // 8]))
        low, high = np.searchsorted(last_ones, [before, before + len(ones)], side="right")
        starts[1 + low : 1 + high] = 8 * first + ones[last_ones[low:high] - before - 1] + 1
        before += len(ones)
    return starts
