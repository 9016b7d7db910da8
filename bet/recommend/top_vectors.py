"""The items with the largest inner products, from packed rows: a block of them is decoded, multiplied
and forgotten.

Two roads to the same items: a compiled loop where numba is installed, else numpy. The products are
numpy's on both.
"""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from bet.errors import BetError
from bet.packed.ragged import PackedFile

DECODED = 2048  # items of a block
USERS, ITEMS = 256, 512  # of a product, which then stays in the processor's cache

RowReader = Callable[[int, int], np.ndarray]
"""First and end of some items -> their vectors, (end - first, d) float32."""
Seen = tuple[np.ndarray, np.ndarray]
"""indptr (b + 1,), and items, one user's behind the other's, sorted and different within a user."""
Best = tuple[np.ndarray, np.ndarray]
"""Items (b, k) int64 and their products (b, k) float32."""


def top_items(
    user_vectors: np.ndarray, items: PackedFile, first_row: int, k: int, seen: Seen | None = None
) -> Best:
    """The ``k`` items with the largest inner products with ``user_vectors`` (b, d) float32, the
    best first: their numbers (b, k) int64 and the products (b, k) float32; equal ones by number.

    Item 0 is row ``first_row`` of the table ``items``, the last item its last row. Where fewer than
    k are left the numbers are -1 and the products -inf. ``seen``: items of every user that are left
    out. Besides what it returns this takes some megabytes, whatever the sizes. Raises BetError for
    vectors that do not fit the rows, and for a k that is no number of items.

    A user and two items, rows 1 and 2; the second has the larger product, but was seen:

    >>> values = np.array([[[1, 2]], [[3, 0]], [[0, 4]]])
    >>> written = write_packed(folder / "rows", layout_of(np.full(3, 2), 32, n_users=1), values)
    >>> table = load(folder / "rows")
    >>> best, products = top_items(table.rows([0])[:, 0], table, 1, k=2)
    >>> best.tolist(), products.tolist()
    ([[1, 0]], [[8.0, 3.0]])
    >>> top_items(table.rows([0])[:, 0], table, 1, 2, (np.array([0, 1]), np.array([1])))[0].tolist()
    [[0, -1]]
    """
    if items.copies != 1:
        raise BetError(
            f"{items.path}: has {items.copies} rows for each entity; inner products are of one"
        )
    if user_vectors.ndim != 2 or user_vectors.shape[1] != items.width:
        raise BetError(
            f"user vectors of shape {user_vectors.shape} have no inner products with rows of "
            f"{items.width} numbers; give vectors of shape (users, {items.width})"
        )

    def rows(first: int, end: int) -> np.ndarray:
        return items.rows(np.arange(first_row + first, first_row + end))[:, 0]

    return top_products(user_vectors, rows, len(items) - first_row, k, seen)


def top_products(
    user_vectors: np.ndarray, rows: RowReader, n_items: int, k: int, seen: Seen | None = None
) -> Best:
    """As ``top_items``, of ``n_items`` vectors that ``rows`` gives, block by block.

    >>> vectors = np.array([[1], [3], [3]], dtype=np.float32)
    >>> best, products = top_products(vectors[:1], lambda first, end: vectors[first:end], 3, k=2)
    >>> best.tolist(), products.tolist()
    ([[1, 2]], [[3.0, 3.0]])
    """
    if not 1 <= k <= n_items:
        raise BetError(f"k must lie between 1 and the number of items, {n_items:,}; got {k:,}")
    b = len(user_vectors)
    user_vectors = np.ascontiguousarray(user_vectors, dtype=np.float32)
    indptr, seen_items = _checked(seen, b)
    best = np.full((b, k), -1, dtype=np.int64), np.full((b, k), -np.inf, dtype=np.float32)
    keep, sort = _compiled_loops() if find_spec("numba") else (keep_best, sort_best)
    # Few users share a wide product: otherwise most of the time goes into starting it.
    width = max(ITEMS, min(DECODED, USERS * ITEMS // max(1, b)))
    for start in range(0, n_items, DECODED):
        columns = rows(start, min(start + DECODED, n_items)).T
        for first in range(start, start + columns.shape[1], width):
            part = columns[:, first - start : first - start + width]
            for user in range(0, b, USERS):
                some = slice(user, user + USERS)
                products = user_vectors[some] @ part
                left_out = indptr[user : user + USERS + 1], seen_items
                keep(products, first, left_out, (best[0][some], best[1][some]))
    sort(best)
    return best


def _checked(seen: Seen | None, b: int) -> Seen:
    """``seen`` of ``b`` users as int64 and int32, empty lists for None; a compiled loop trusts it.
    Raises BetError unless it is as it should be.
    """
    if seen is None:
        return np.zeros(b + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)
    indptr, items = (np.asarray(part) for part in seen)
    if len(indptr) != b + 1 or indptr[0] < 0 or (np.diff(indptr) < 0).any():
        raise BetError(f"{len(indptr) - 1} lists of seen items for {b} users; give one for each")
    if indptr[-1] > len(items):
        raise BetError(f"lists of {indptr[-1]} seen items, but there are {len(items)}")
    falls = np.flatnonzero(np.diff(items) <= 0) + 1  # places that do not come after the last one
    if not np.isin(falls[falls < indptr[-1]], indptr).all():
        raise BetError("seen items must be sorted within a user, each of them once")
    return indptr.astype(np.int64), items.astype(np.int32, copy=False)


def keep_best(products: np.ndarray, first: int, seen: Seen, best: Best) -> None:
    """Replace in ``best``, items and products (b, k), what is below ``products`` (b, m) of items
    ``first``, ``first`` + 1, ..., which come after all that were looked at before.
    """
    indptr, seen_items = seen
    items, scores = best
    users, places = np.nonzero(products > scores.min(axis=1, keepdims=True))
    found = products[users, places]
    candidates = first + places
    if not len(users):
        return
    # A user and an item are one number.
    count = first + products.shape[1]
    owners = np.repeat(np.arange(len(products)), np.diff(indptr))
    listed = seen_items[indptr[0] : indptr[-1]]
    left = ~np.isin(users * count + candidates, (owners * count + listed)[listed < count])
    users, candidates, found = users[left], candidates[left], found[left]
    b, k = items.shape
    users = np.concatenate([np.repeat(np.arange(b), k), users])
    candidates = np.concatenate([items.ravel(), candidates])
    found = np.concatenate([scores.ravel(), found])
    order = np.lexsort((candidates, -found, users))
    counts = np.bincount(users, minlength=b)
    chosen = order[(np.cumsum(counts) - counts)[:, None] + np.arange(k)]  # (b, k)
    items[:], scores[:] = candidates[chosen], found[chosen]


def sort_best(best: Best) -> None:
    """Nothing is left to do: ``keep_best`` has them sorted."""


def _compiled_loops() -> tuple[Callable, Callable]:
    from bet.recommend import top_kernels as loops

    return loops.keep_best, loops.sort_best
