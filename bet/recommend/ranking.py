"""The k best of many scores, exactly: equal scores stand in the order of the items."""

from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec

import numpy as np

from bet.packed.lookup import ranges

WORTH_LOADING = 2**20  # scores; numba takes about a second to load


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


def top_k(scores: np.ndarray, k: int, seen: Histories | None = None) -> RankedRows:
    """The ``k`` largest of every row of ``scores`` (b, n) float32, 1 <= k <= n, without ``seen``
    items; what is -inf or no number is not among them.

    Two roads to the same items: a compiled loop where numba is installed and it is worth loading,
    else numpy's partition.

    >>> best = top_k(np.array([[0.5, 2, 0.5, -np.inf], [1, 1, 1, 3]], dtype=np.float32), k=3)
    >>> best.items.tolist()
    [[1, 0, 2], [3, 0, 1]]
    >>> top_k(np.float32([[0, 2]]), 2, Histories(np.array([0, 1]), np.array([0]))).items.tolist()
    [[1, -1]]
    """
    if seen is None:
        seen = Histories(np.zeros(len(scores) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    if scores.size < WORTH_LOADING or find_spec("numba") is None:
        return by_partition(scores, k, seen)
    return by_loop(scores, k, seen)


def by_loop(scores: np.ndarray, k: int, seen: Histories) -> RankedRows:
    """``top_k`` by a compiled loop that keeps the best so far."""
    from bet.recommend.top_kernels import keep_best, sort_best

    items = np.full((len(scores), k), -1, dtype=np.int64)
    best = items, np.full((len(scores), k), -np.inf, dtype=np.float32)
    lists = seen.indptr.astype(np.int64), seen.items.astype(np.int32, copy=False)
    keep_best(scores, 0, lists, best)
    sort_best(best)
    return RankedRows(*best)


def by_partition(scores: np.ndarray, k: int, seen: Histories) -> RankedRows:
    """``top_k`` by numpy."""
    losses = -scores  # numpy sorts what is no number behind all else
    losses[seen.owners, seen.items] = np.inf
    n = losses.shape[1]
    places = np.argpartition(losses, min(k, n - 1), axis=1)[:, :k]
    places.sort(axis=1)
    worst = np.take_along_axis(losses, places, axis=1).max(axis=1, keepdims=True)
    # Of items that are as good as the worst chosen one, others may come first.
    for row in np.flatnonzero((losses <= worst).sum(axis=1) > k):
        better = np.flatnonzero(losses[row] < worst[row])
        equal = np.flatnonzero(losses[row] == worst[row])[: k - len(better)]
        places[row] = np.sort(np.concatenate([better, equal]))
    chosen = np.take_along_axis(losses, places, axis=1)
    order = np.argsort(chosen, axis=1, kind="stable")
    items, best = (np.take_along_axis(part, order, axis=1) for part in (places, -chosen))
    left = best > -np.inf  # false for what is no number
    return RankedRows(np.where(left, items, -1), np.where(left, best, np.float32(-np.inf)))
