"""The validated container of implicit feedback: a binary user-item matrix and the original ids."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bet.data.digest import matrix_digest
from bet.errors import BetError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interactions:
    """``matrix`` (|U|, |V|): binary CSR with sorted indices. ``user_ids`` (|U|,) and ``item_ids``
    (|V|,): the original ids by index; None where the indices are the ids.

    Raises BetError when the matrix is empty.
    """

    name: str
    matrix: csr_array
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None

    def __post_init__(self):
        if not self.matrix.nnz:
            raise BetError(
                f"{self.name}: no interactions are left; lower the minimum rating or the k-core"
            )

    @property
    def n_users(self) -> int:
        return self.matrix.shape[0]

    @property
    def n_items(self) -> int:
        return self.matrix.shape[1]

    def __len__(self) -> int:
        return self.matrix.nnz

    def __repr__(self) -> str:
        sides = f"{self.n_users:,} users x {self.n_items:,} items"
        return f"Interactions({self.name}: {sides}, {len(self):,} interactions)"

    def fingerprint(self) -> str:
        """sha256 of shape, pairs and original ids."""
        return matrix_digest(self.matrix, self.user_ids, self.item_ids)


def binary_matrix(users: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Binary CSR of ``shape`` with sorted int32 indices from k pairs of indices, ``users`` (k,)
    and ``items`` (k,); repeated pairs count once.
    """
    matrix = csr_array((np.ones(len(users), dtype=np.int64), (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data = np.ones(matrix.nnz, dtype=np.uint8)
    return matrix


def keep_rows(matrix: csr_array, indices: np.ndarray) -> csr_array:
    """``matrix`` in the same shape with every row emptied that is not among ``indices`` (k,)."""
    counts = np.diff(matrix.indptr)
    is_kept = np.isin(np.arange(matrix.shape[0]), indices)  # by row
    entries = np.repeat(is_kept, counts)  # by stored entry
    indptr = np.concatenate([[0], np.cumsum(counts * is_kept)])
    return csr_array((matrix.data[entries], matrix.indices[entries], indptr), shape=matrix.shape)


def from_pairs(
    name: str,
    users: pd.Series,
    items: pd.Series,
    *,
    ratings: pd.Series | None = None,
    minimum_rating: float | None = None,
    k_core: int | None = None,
    where: str | None = None,
) -> Interactions:
    """Interactions from columns of k ids of any type; ids keep their order of first appearance.

    Keeps ratings of at least ``minimum_rating`` and, repeatedly, users and items with at least
    ``k_core`` interactions. Raises BetError, which calls the data ``where`` (default: name), on a
    missing id, a negative k_core, or when nothing is left.

    >>> users, items = pd.Series(["ann", "bob", "ann"]), pd.Series(["tea", "tea", "cup"])
    >>> data = from_pairs("shop", users, items)
    >>> data
    Interactions(shop: 2 users x 2 items, 3 interactions)
    >>> data.item_ids.tolist(), data.matrix.toarray().tolist()
    (['tea', 'cup'], [[1, 1], [1, 0]])
    >>> from_pairs("shop", users, items, ratings=pd.Series([5, 2, 4]), minimum_rating=3)
    Interactions(shop: 1 users x 2 items, 2 interactions)
    """
    where = where or name
    if k_core is not None and k_core < 0:
        raise BetError(f"{where}: k_core must not be negative, got {k_core}")
    for side, ids in (("user", users), ("item", items)):
        if ids.isna().any():
            row = int(np.flatnonzero(ids.isna())[0]) + 1
            raise BetError(
                f"{where}: the {side} id of data row {row} is missing; fill it in or remove the row"
            )
    pairs = pd.DataFrame({"user": users.to_numpy(), "item": items.to_numpy()})
    if minimum_rating is not None:
        if ratings is None:
            raise BetError(f"{where}: minimum_rating={minimum_rating} needs a rating column")
        pairs = pairs[ratings.to_numpy() >= minimum_rating]
        if not len(pairs):
            raise BetError(
                f"{where}: no rating reaches minimum_rating={minimum_rating}; the largest is "
                f"{ratings.max()}; lower it"
            )
    distinct = pairs.drop_duplicates()
    if len(distinct) < len(pairs):
        log.warning("%s: dropped %d duplicate interactions", name, len(pairs) - len(distinct))
    core = distinct if k_core is None else _k_core(distinct, k_core, where)
    user_index, user_ids = pd.factorize(core["user"])
    item_index, item_ids = pd.factorize(core["item"])
    matrix = binary_matrix(user_index, item_index, (len(user_ids), len(item_ids)))
    return Interactions(name, matrix, np.asarray(user_ids), np.asarray(item_ids))


def _k_core(pairs: pd.DataFrame, k: int, where: str) -> pd.DataFrame:
    """The distinct ``pairs`` that are left when users and items below ``k`` are removed, again and
    again, until nobody is below.
    """
    for side in ("user", "item"):
        if (most := pairs[side].value_counts().max()) < k:
            raise BetError(
                f"{where}: every {side} is below k_core={k} (most interactions: {most}); "
                "lower k_core"
            )
    while True:
        of_user, of_item = (
            pairs.groupby(side)[side].transform("size") for side in ("user", "item")
        )
        core = pairs[(of_user >= k) & (of_item >= k)]
        if not len(core):
            raise BetError(f"{where}: no user or item is left in the {k}-core; lower k_core")
        if len(core) == len(pairs):
            break
        pairs = core
    return pairs
