"""The k best of many scores, exactly: equal scores stand in the order of the items."""

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


def top_k(scores: np.ndarray, k: int) -> RankedRows:
    """The ``k`` largest of every row of ``scores`` (b, n), 1 <= k <= n; what is -inf or no number
    is not among them.

    >>> best = top_k(np.array([[0.5, 2, 0.5, -np.inf], [1, 1, 1, 3]]), k=3)
    >>> best.items.tolist()
    [[1, 0, 2], [3, 0, 1]]
    >>> top_k(np.array([[-np.inf, 2]]), k=2).items.tolist()
    [[1, -1]]
    """
    losses = -np.asarray(scores, dtype=np.float32)  # numpy sorts what is no number behind all else
    n = losses.shape[1]
    if k < n:
        places = np.argpartition(losses, k - 1, axis=1)[:, :k]
        places.sort(axis=1)
        worst = np.take_along_axis(losses, places, axis=1).max(axis=1, keepdims=True)
        # Of items that are as good as the worst chosen one, others may come first.
        for row in np.flatnonzero((losses <= worst).sum(axis=1) > k):
            better = np.flatnonzero(losses[row] < worst[row])
            equal = np.flatnonzero(losses[row] == worst[row])[: k - len(better)]
            places[row] = np.sort(np.concatenate([better, equal]))
    else:
        places = np.broadcast_to(np.arange(n), losses.shape)
    chosen = np.take_along_axis(losses, places, axis=1)
    order = np.argsort(chosen, axis=1, kind="stable")
    items = np.take_along_axis(places, order, axis=1).astype(np.int64)
    best = -np.take_along_axis(chosen, order, axis=1)
    left = best > -np.inf  # false for what is no number
    return RankedRows(np.where(left, items, -1), np.where(left, best, -np.inf).astype(np.float32))


def leave_out(scores: np.ndarray, seen: Histories, first: int = 0) -> None:
    """Set the scores of ``seen`` items to -inf, in place; ``scores`` (b, n) are those of items
    ``first`` to ``first`` + n - 1, one row for each list.

    >>> scores = np.zeros((1, 2), dtype=np.float32)
    >>> leave_out(scores, Histories(np.array([0, 2]), np.array([0, 5])), first=4)
    >>> scores.tolist()
    [[0.0, -inf]]
    """
    inside = (seen.items >= first) & (seen.items < first + scores.shape[1])
    scores[seen.owners[inside], seen.items[inside] - first] = -np.inf


def no_items(b: int, k: int) -> RankedRows:
    """Of ``b`` users before any item is looked at."""
    return RankedRows(np.full((b, k), -1), np.full((b, k), -np.inf, dtype=np.float32))


def merge_best(best: RankedRows, scores: np.ndarray, first: int) -> RankedRows:
    """The k best of ``best`` (b, k), of items before ``first``, and of the ``scores`` (b, n) of
    items ``first`` to ``first`` + n - 1.
    """
    k = best.items.shape[1]
    new = top_k(scores, min(k, scores.shape[1]))
    items = np.concatenate([best.items, np.where(new.items < 0, -1, new.items + first)], axis=1)
    # Earlier items stand first, so that equal scores stay in the order of the items.
    merged = top_k(np.concatenate([best.scores, new.scores], axis=1), k)
    taken = np.take_along_axis(items, np.maximum(merged.items, 0), axis=1)
    return RankedRows(np.where(merged.items < 0, -1, taken), merged.scores)
