"""Which items have the largest scores, in all of them or block by block."""

from dataclasses import dataclass, field

import numpy as np


def top_of(scores: np.ndarray, k: int) -> np.ndarray:
    """The columns of the ``k`` largest ``scores`` (b, m) of every row, best first, the lower column
    of equal ones: (b, min(k, m)) int64.

    >>> top_of(np.array([[3.0, 1.0, 3.0, 2.0]]), k=3).tolist()
    [[0, 2, 3]]
    """
    k = min(k, scores.shape[1])
    if k < scores.shape[1]:
        # All above the k-th largest, and the first of those that equal it.
        threshold = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        above, equal = scores > threshold, scores == threshold
        missing = k - above.sum(1, keepdims=True)
        is_top = above | (equal & (np.cumsum(equal, axis=1) <= missing))
        columns = np.nonzero(is_top)[1].reshape(len(scores), k)
    else:
        columns = np.broadcast_to(np.arange(k), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, columns, 1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, 1).astype(np.int64)


@dataclass
class RunningTop:
    """The ``k`` best items of every user so far: ``items`` (b, <= k) int64, ``scores`` alike."""

    k: int
    items: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    scores: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def add(self, scores: np.ndarray, first: int) -> None:
        """Take ``scores`` (b, m) of the items from number ``first`` on into account.

        >>> best = RunningTop(k=2)
        >>> best.add(np.array([[1.0, 5.0]]), first=0)
        >>> best.add(np.array([[7.0, 2.0]]), first=2)
        >>> best.items.tolist()
        [[2, 1]]
        """
        if self.items.shape[1] < self.k:
            columns = top_of(scores, self.k)
            items, scores = columns + first, np.take_along_axis(scores, columns, 1)
        else:
            items, scores = self._better(scores, first)
        if not items.shape[1]:
            return
        if self.items.shape[1]:
            items = np.concatenate([self.items, items], axis=1)
            scores = np.concatenate([self.scores, scores], axis=1)
        chosen = top_of(scores, self.k)
        self.items, self.scores = (np.take_along_axis(part, chosen, 1) for part in (items, scores))

    def _better(self, scores: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Items whose scores are above the worst that is kept, and the scores, filled up with minus
        infinity: (b, w) each. Of many items few are, so only these are sorted.
        """
        users, columns = np.nonzero(scores > self.scores[:, -1:])
        counts = np.bincount(users, minlength=len(scores))
        places = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
        items = np.zeros((len(scores), counts.max(initial=0)), dtype=np.int64)
        better = np.full(items.shape, -np.inf, dtype=scores.dtype)
        items[users, places], better[users, places] = columns + first, scores[users, columns]
        return items, better


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The share of items that two lists of every user, (b, k) each, have in common; their mean.

    >>> overlap(np.array([[1, 2]]), np.array([[2, 3]]))
    0.5
    """
    both = np.sort(np.concatenate([one, other], axis=1), axis=1)
    return float((both[:, 1:] == both[:, :-1]).sum() / one.size)
