"""The validated container of implicit feedback: a binary user-item matrix with its id mapping."""

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
    """``matrix`` (|U|, |V|) binary CSR with sorted indices; ids: original ids by index, or None for
    0..n-1.
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
        return f"Interactions({self.name}: {self.n_users:,} users x {self.n_items:,} items, {len(self):,} interactions)"

    def fingerprint(self) -> str:
        """sha256 of shape, pairs and original ids."""
        return matrix_digest(self.matrix, self.user_ids, self.item_ids)


def binary_matrix(users: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Binary CSR with sorted int32 indices from index pairs (k,); repeated pairs count once."""
    matrix = csr_array((np.ones(len(users), dtype=np.int64), (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data = np.ones(matrix.nnz, dtype=np.uint8)
    return matrix


def keep_rows(matrix: csr_array, rows: np.ndarray) -> csr_array:
    """``matrix`` with all rows but ``rows`` (k,) emptied; same shape."""
    chosen, counts = np.isin(np.arange(matrix.shape[0]), rows), np.diff(matrix.indptr)
    kept, indptr = np.repeat(chosen, counts), np.concatenate([[0], np.cumsum(counts * chosen)])
    return csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def from_pairs(
    name: str,
    users: pd.Series,
    items: pd.Series,
    ratings: pd.Series | None = None,
    minimum_rating: float | None = None,
    k_core: int = 0,
    where: str | None = None,
) -> Interactions:
    """Interactions from columns of ids (k,), of any type; ids keep their order of first appearance.

    Keeps ratings of at least ``minimum_rating`` and, repeatedly, users and items with at least
    ``k_core`` interactions. Raises BetError, which calls the data ``where`` (default: name), on a
    missing id, a negative k_core, or when nothing is left.
    """
    where = where or name
    if k_core < 0:
        raise BetError(f"{where}: k_core must not be negative, got {k_core}")
    for label, column in (("user", users), ("item", items)):
        if column.isna().any():
            row = int(np.flatnonzero(column.isna())[0]) + 1
            raise BetError(
                f"{where}: the {label} id of data row {row} is missing; fill it in or remove the row"
            )
    frame = pd.DataFrame({"user": users.to_numpy(), "item": items.to_numpy()})
    if minimum_rating is not None:
        if ratings is None:
            raise BetError(f"{where}: minimum_rating={minimum_rating} needs a rating column")
        frame = frame[ratings.to_numpy() >= minimum_rating]
        if not len(frame):
            raise BetError(
                f"{where}: no rating reaches minimum_rating={minimum_rating}; the largest is {ratings.max()}; lower it"
            )
    distinct = frame.drop_duplicates()
    if len(distinct) < len(frame):
        log.warning("%s: dropped %d duplicate interactions", name, len(frame) - len(distinct))
    for side in ("user", "item"):
        if (most := distinct[side].value_counts().max()) < k_core:
            raise BetError(
                f"{where}: every {side} is below k_core={k_core} (most interactions: {most}); lower k_core"
            )
    while k_core:
        counts = [distinct.groupby(side)[side].transform("size") for side in ("user", "item")]
        kept = distinct[(counts[0] >= k_core) & (counts[1] >= k_core)]
        if not len(kept):
            raise BetError(f"{where}: no user or item is left in the {k_core}-core; lower k_core")
        if len(kept) == len(distinct):
            break
        distinct = kept
    user_index, user_ids = pd.factorize(distinct["user"])
    item_index, item_ids = pd.factorize(distinct["item"])
    matrix = binary_matrix(user_index, item_index, (len(user_ids), len(item_ids)))
    return Interactions(name, matrix, np.asarray(user_ids), np.asarray(item_ids))
