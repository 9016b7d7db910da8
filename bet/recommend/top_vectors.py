"""The items with the largest inner products, from packed rows: a block of them is decoded,
multiplied and forgotten.

Two roads to the same items: a compiled loop where numba is installed, else numpy. The products are
numpy's on both.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

import numpy as np

from bet.errors import BetError
from bet.packed.ragged import EqualRows, PackedFile

DECODED = 2048  # items of a block
USERS, ITEMS = 256, 512  # of a product, which then stays in the processor's cache
FEW = 4  # users for whom nothing is decoded into memory
MULTIPLIED = 2**16  # items of a product with one of them

RowReader = Callable[[int, int], np.ndarray]
"""First and end of some items -> their vectors, (end - first, d) float32."""
Seen = tuple[np.ndarray, np.ndarray]
"""indptr (b + 1,), and items, one user's behind the other's, sorted and different within a user."""
Products = tuple[slice, int, np.ndarray]
"""Of which users, the first item, and the products (users, items) float32."""
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
    n_items = len(items) - first_row
    best, left_out = _none_yet(len(user_vectors), n_items, k), _checked(seen, len(user_vectors))
    if len(user_vectors) <= FEW and find_spec("numba") is not None:
        equal = items.equal_rows(first_row)
        if equal is not None and equal.size == items.width:
            return _best_of(_products_of_few(user_vectors, equal), best, left_out)

    def rows(first: int, end: int) -> np.ndarray:
        return items.rows(np.arange(first_row + first, first_row + end))[:, 0]

    return _best_of(_products(user_vectors, rows, n_items), best, left_out)


def top_products(
    user_vectors: np.ndarray, rows: RowReader, n_items: int, k: int, seen: Seen | None = None
) -> Best:
    """As ``top_items``, of ``n_items`` vectors that ``rows`` gives, block by block.

    >>> vectors = np.array([[1], [3], [3]], dtype=np.float32)
    >>> best, products = top_products(vectors[:1], lambda first, end: vectors[first:end], 3, k=2)
    >>> best.tolist(), products.tolist()
    ([[1, 2]], [[3.0, 3.0]])
    """
    best, left_out = _none_yet(len(user_vectors), n_items, k), _checked(seen, len(user_vectors))
    return _best_of(_products(user_vectors, rows, n_items), best, left_out)


def _none_yet(b: int, n_items: int, k: int) -> Best:
    """The best of no items for ``b`` users; raises BetError for a k that is no number of items."""
    if not 1 <= k <= n_items:
        raise BetError(f"k must lie between 1 and the number of items, {n_items:,}; got {k:,}")
    return np.full((b, k), -1, dtype=np.int64), np.full((b, k), -np.inf, dtype=np.float32)


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


def _products(user_vectors: np.ndarray, rows: RowReader, n_items: int) -> Iterator[Products]:
    """Products with decoded vectors, of some users and some items at a time."""
    user_vectors = np.ascontiguousarray(user_vectors, dtype=np.float32)
    # Few users share a wide product: otherwise most of the time goes into starting it.
    width = max(ITEMS, min(DECODED, USERS * ITEMS // max(1, len(user_vectors))))
    for start in range(0, n_items, DECODED):
        columns = rows(start, min(start + DECODED, n_items)).T
        for first in range(0, columns.shape[1], width):
            part = columns[:, first : first + width]
            for user in range(0, len(user_vectors), USERS):
                some = slice(user, user + USERS)
                yield some, start + first, user_vectors[some] @ part


def _products_of_few(user_vectors: np.ndarray, rows: EqualRows) -> Iterator[Products]:
    """Products with rows as they are stored, of one user at a time."""
    from bet.recommend.product_kernels import by_place, products_with

    for user, vector in enumerate(user_vectors.astype(np.float32)):
        placed = by_place(vector, rows.bits)
        for first in range(0, len(rows.steps), MULTIPLIED):
            part = slice(first, first + MULTIPLIED)
            products = np.empty((1, len(rows.steps[part])), dtype=np.float32)
            products_with(placed, rows.stored[part], rows.steps[part], products[0])
            yield slice(user, user + 1), first, products


def _best_of(products: Iterable[Products], best: Best, seen: Seen) -> Best:
    """``best``, filled; ``products`` of a user come in the order of the items."""
    indptr, seen_items = seen
    keep, sort = _compiled_loops() if find_spec("numba") is not None else (keep_best, sort_best)
    for some, first, scores in products:
        left_out = indptr[some.start : some.start + len(scores) + 1], seen_items
        keep(scores, first, left_out, (best[0][some], best[1][some]))
    sort(best)
    return best


def keep_best(products: np.ndarray, first: int, seen: Seen, best: Best) -> None:
    """Replace in ``best``, items and products (b, k), what is below ``products`` (b, m) of items
    ``first``, ``first`` + 1, ..., which come after all that were looked at before.
    """
    (indptr, seen_items), (items, scores) = seen, best
    users, places = np.nonzero(products > scores[:, -1:])
    candidate_scores = products[users, places]
    # A user and an item as one number; the lists are sorted, and so are these.
    candidates = users << 32 | (first + places)
    listed = np.repeat(np.arange(len(products)), np.diff(indptr)) << 32
    listed |= seen_items[indptr[0] : indptr[-1]]
    if len(listed):
        nearest = np.minimum(np.searchsorted(listed, candidates), len(listed) - 1)
        left = listed[nearest] != candidates
        users, candidates, candidate_scores = users[left], candidates[left], candidate_scores[left]
    changed, users = np.unique(users, return_inverse=True)
    k = items.shape[1]
    users = np.concatenate([np.repeat(np.arange(len(changed)), k), users])
    numbers = np.concatenate([items[changed].ravel(), candidates & (2**32 - 1)])
    candidate_scores = np.concatenate([scores[changed].ravel(), candidate_scores])
    order = np.lexsort((numbers, -candidate_scores, users))
    counts = np.bincount(users, minlength=len(changed))
    chosen = order[(np.cumsum(counts) - counts)[:, None] + np.arange(k)]  # (changed, k)
    items[changed], scores[changed] = numbers[chosen], candidate_scores[chosen]


def sort_best(best: Best) -> None:
    """Nothing is left to do: ``keep_best`` has them sorted."""


def _compiled_loops() -> tuple[Callable, Callable]:
    from bet.recommend import top_kernels as loops

    return loops.keep_best, loops.sort_best
