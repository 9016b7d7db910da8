"""The k best of many scores, exactly, of all at once or block by block: equal scores stand in the
order of the items.
"""

import numpy as np

from bet.errors import BetError
from bet.lazy_loops import LazyLoops
from bet.recommend.ranking import Histories, RankedRows

LOOPS = LazyLoops(worth=2**26)  # scores
GROUP = 32  # scores of which only the largest is looked at when a bound is sought


class RunningTop:
    """The ``k`` best of ``n_items`` for every one of b users so far, without the items in ``seen``,
    b lists.

    Two roads to the same items: a compiled loop where numba is installed and it pays to load it,
    else numpy. What is -inf or no number is never among the best. Raises BetError for a k that is
    no number of items, and for lists that are not b or not sorted.

    >>> best = RunningTop(1, n_items=4, k=2)
    >>> best.add(np.float32([[1, 5]]), first_item=0)
    >>> best.add(np.float32([[5, 2]]), first_item=2)
    >>> best.ranked().items.tolist(), best.ranked().scores.tolist()
    ([[1, 2]], [[5.0, 5.0]])
    """

    def __init__(self, b: int, n_items: int, k: int, seen: Histories | None = None):
        if not 1 <= k <= n_items:
            raise BetError(f"k must lie between 1 and the number of items, {n_items:,}; got {k:,}")
        self._seen = _checked(seen, b)
        self._items = np.full((b, k), -1, dtype=np.int64)
        self._scores = np.full((b, k), -np.inf, dtype=np.float32)
        self._by_loop = LOOPS.pay(b * n_items)

    def add(self, scores: np.ndarray, first_item: int, first_user: int = 0) -> None:
        """Take ``scores`` (u, m) float32 into account, of u users from ``first_user`` on and m
        items from ``first_item`` on, which come after all that these users' scores were of before.
        """
        indptr, seen_items = self._seen
        some = slice(first_user, first_user + len(scores))
        lists = indptr[first_user : some.stop + 1], seen_items
        best = self._items[some], self._scores[some]
        if self._by_loop:
            from bet.recommend.top_kernels import keep_best

            keep_best(scores, first_item, lists, best)
        else:
            _keep_best(scores, first_item, lists, best)

    def ranked(self) -> RankedRows:
        """The best so far, the best first; nothing can be added afterwards."""
        if self._by_loop:
            from bet.recommend.top_kernels import sort_best

            sort_best((self._items, self._scores))
        return RankedRows(self._items, self._scores)


def top_k(scores: np.ndarray, k: int, seen: Histories | None = None) -> RankedRows:
    """The ``k`` largest of every row of ``scores`` (b, n) float32, 1 <= k <= n, without ``seen``
    items; what is -inf or no number is not among them.

    >>> best = top_k(np.array([[0.5, 2, 0.5, -np.inf], [1, 1, 1, 3]], dtype=np.float32), k=3)
    >>> best.items.tolist()
    [[1, 0, 2], [3, 0, 1]]
    >>> top_k(np.float32([[0, 2]]), 2, Histories(np.array([0, 1]), np.array([0]))).items.tolist()
    [[1, -1]]
    """
    best = RunningTop(len(scores), scores.shape[1], k, seen)
    best.add(scores, first_item=0)
    return best.ranked()


Lists = tuple[np.ndarray, np.ndarray]
"""indptr (b + 1,) and items, one user's behind the other's."""


def _checked(seen: Histories | None, b: int) -> Lists:
    """``seen`` of ``b`` users as int64 and int32, empty lists for None; a compiled loop trusts it.
    Raises BetError unless it is as it should be.
    """
    if seen is None:
        return np.zeros(b + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)
    indptr, items = seen.indptr, seen.items
    if len(indptr) != b + 1 or indptr[0] < 0 or (np.diff(indptr) < 0).any():
        raise BetError(f"{len(indptr) - 1} lists of seen items for {b} users; give one for each")
    if indptr[-1] > len(items):
        raise BetError(f"lists of {indptr[-1]} seen items, but there are {len(items)}")
    falls = np.flatnonzero(np.diff(items) <= 0) + 1  # places that do not come after the last one
    if not np.isin(falls[falls < indptr[-1]], indptr).all():
        raise BetError("seen items must be sorted within a user, each of them once")
    return indptr.astype(np.int64), items.astype(np.int32, copy=False)


def _keep_best(scores: np.ndarray, first_item: int, seen: Lists, best: Lists) -> None:
    """Replace in ``best``, sorted items and scores (b, k), what is below ``scores`` (b, m)."""
    (indptr, seen_items), (items, best_scores) = seen, best
    k, m = items.shape[1], scores.shape[1]
    columns = seen_items[indptr[0] : indptr[-1]] - first_item
    inside = (columns >= 0) & (columns < m)
    if inside.any():
        owners = np.repeat(np.arange(len(scores)), np.diff(indptr))
        scores = scores.copy()
        scores[owners[inside], columns[inside]] = -np.inf
    worst = best_scores[:, -1]
    is_better = scores > worst[:, None]
    if m > k and (worst == -np.inf).any():  # else few are better
        is_better &= scores >= _lower_bound(scores, k)
    users, places = np.divmod(np.flatnonzero(is_better), m)
    changed, rows = np.unique(users, return_inverse=True)
    # Those that were the best, and what may be better.
    rows = np.concatenate([np.repeat(np.arange(len(changed)), k), rows])
    numbers = np.concatenate([items[changed].ravel(), first_item + places])
    values = np.concatenate([best_scores[changed].ravel(), scores[users, places]])
    order = np.lexsort((numbers, -values, rows))
    counts = np.bincount(rows, minlength=len(changed))
    chosen = order[(np.cumsum(counts) - counts)[:, None] + np.arange(k)]  # (changed, k)
    items[changed], best_scores[changed] = numbers[chosen], values[chosen]


def _lower_bound(scores: np.ndarray, k: int) -> np.ndarray:
    """At most the ``k`` best of every row of ``scores`` (b, m > k), and above most others:
    (b, 1).
    """
    b, m = scores.shape
    n_groups = m // GROUP
    if n_groups > k:
        # The k-th largest of what is largest in each group is at most the k-th largest of all.
        grouped = scores[:, : n_groups * GROUP].reshape(b, GROUP, n_groups)
        largest = np.fmax.reduce(grouped, axis=1)
    else:
        largest = scores.copy()
    largest[np.isnan(largest)] = -np.inf
    largest.partition(largest.shape[1] - k, axis=1)
    return largest[:, -k, None]
