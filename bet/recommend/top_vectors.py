"""The items with the largest inner products, from packed rows: a block of them is decoded,
multiplied and forgotten.

The products are numpy's, but for few users and a file that stores items alike: where numba is
installed rows are multiplied as they are stored.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

import numpy as np

from bet.errors import BetError
from bet.packed.ragged import EqualRows, PackedFile
from bet.recommend.ranking import Histories, RankedRows
from bet.recommend.top import RunningTop

DECODED = 2048  # items of a block
USERS, ITEMS = 256, 512  # of a product, which then stays in the processor's cache
FEW = 4  # users for whom nothing is decoded into memory
MULTIPLIED = 2**16  # items of a product with one of them

RowReader = Callable[[int, int], np.ndarray]
"""First and end of some items -> their vectors, (end - first, d) float32."""
Products = tuple[int, int, np.ndarray]
"""The first user, the first item, and the products (users, items) float32."""


def top_items(
    user_vectors: np.ndarray,
    items: PackedFile,
    first_row: int,
    k: int,
    seen: Histories | None = None,
) -> RankedRows:
    """The ``k`` items with the largest inner products with ``user_vectors`` (b, d) float32, the
    best first; equal ones by number.

    Item 0 is row ``first_row`` of the table ``items``, the last item its last row. Where fewer than
    k are left the numbers are -1 and the products -inf. ``seen``: items of every user that are left
    out. Besides what it returns this takes some megabytes, whatever the sizes. Raises BetError for
    vectors that do not fit the rows, and for a k that is no number of items.

    A user and two items, rows 1 and 2; the second has the larger product, but was seen:

    >>> values = np.array([[[1, 2]], [[3, 0]], [[0, 4]]])
    >>> written = write_packed(folder / "rows", layout_of(np.full(3, 2), 32, n_users=1), values)
    >>> table = load(folder / "rows")
    >>> best = top_items(table.rows([0])[:, 0], table, 1, k=2)
    >>> best.items.tolist(), best.scores.tolist()
    ([[1, 0]], [[8.0, 3.0]])
    >>> seen = Histories(np.array([0, 1]), np.array([1]))
    >>> top_items(table.rows([0])[:, 0], table, 1, 2, seen).items.tolist()
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
    best = RunningTop(len(user_vectors), n_items, k, seen)
    if len(user_vectors) <= FEW and find_spec("numba") is not None:
        equal = items.equal_rows(first_row)
        if equal is not None and equal.size == items.width:
            return _best_of(_products_of_few(user_vectors, equal), best)

    def rows(first: int, end: int) -> np.ndarray:
        return items.rows(np.arange(first_row + first, first_row + end))[:, 0]

    return _best_of(_products(user_vectors, rows, n_items), best)


def top_products(
    user_vectors: np.ndarray,
    rows: RowReader,
    n_items: int,
    k: int,
    seen: Histories | None = None,
) -> RankedRows:
    """As ``top_items``, of ``n_items`` vectors that ``rows`` gives, block by block.

    >>> vectors = np.array([[1], [3], [3]], dtype=np.float32)
    >>> best = top_products(vectors[:1], lambda first, end: vectors[first:end], 3, k=2)
    >>> best.items.tolist(), best.scores.tolist()
    ([[1, 2]], [[3.0, 3.0]])
    """
    best = RunningTop(len(user_vectors), n_items, k, seen)
    return _best_of(_products(user_vectors, rows, n_items), best)


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
                yield user, start + first, user_vectors[user : user + USERS] @ part


def _products_of_few(user_vectors: np.ndarray, rows: EqualRows) -> Iterator[Products]:
    """Products with rows as they are stored, of one user at a time."""
    from bet.recommend.product_kernels import by_place, products_with

    for user, vector in enumerate(user_vectors.astype(np.float32)):
        placed = by_place(vector, rows.bits)
        for first in range(0, len(rows.steps), MULTIPLIED):
            part = slice(first, first + MULTIPLIED)
            products = np.empty((1, len(rows.steps[part])), dtype=np.float32)
            products_with(placed, rows.stored[part], rows.steps[part], products[0])
            yield user, first, products


def _best_of(products: Iterable[Products], best: RunningTop) -> RankedRows:
    """``best``, filled; ``products`` of a user come in the order of the items."""
    for first_user, first_item, scores in products:
        best.add(scores, first_item, first_user)
    return best.ranked()
