"""Lists of items: those that users have had, and those that are best for them."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bet.packed.lookup import ranges


@dataclass(frozen=True, eq=False)
class Histories:
    """Items of b users, one list behind the other: ``indptr`` (b + 1,) int64 and ``items`` (m,),
    item numbers from 0, sorted and different within a list.
    """

    indptr: np.ndarray = field(repr=False)
    items: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def sizes(self) -> np.ndarray:
        """Items of every list, (b,)."""
        return np.diff(self.indptr)

    @property
    def owners(self) -> np.ndarray:
        """The list that each of ``items`` is from, (m,)."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def places(self, lists: np.ndarray) -> np.ndarray:
        """Where in ``items`` those of ``lists`` (k,) are, one list behind the other."""
        return ranges(self.indptr[lists], self.sizes[lists])

    def take(self, lists: np.ndarray) -> "Histories":
        """``lists`` (k,), in their order."""
        indptr = np.concatenate([[0], np.cumsum(self.sizes[lists])])
        return Histories(indptr, self.items[self.places(lists)])

    def part(self, first: int, end: int) -> "Histories":
        """Lists ``first`` to ``end`` - 1."""
        start, stop = self.indptr[first], self.indptr[end]
        return Histories(self.indptr[first : end + 1] - start, self.items[start:stop])


@dataclass(frozen=True, eq=False)
class RankedRows:
    """The best items of b users, the best first: ``items`` (b, k) int64, item numbers from 0, and
    ``scores`` (b, k) float32; -1 and -inf where fewer than k items are left.
    """

    items: np.ndarray
    scores: np.ndarray
