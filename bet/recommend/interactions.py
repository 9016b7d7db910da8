"""The interactions of a file, decoded for those who read all of them: by user and by item."""

from functools import cached_property

import numpy as np

from bet.packed import ItemLists
from bet.recommend.ranking import Histories


class Interactions:
    """Who has what, both ways; takes 8 bytes for an interaction."""

    def __init__(self, lists: ItemLists):
        self.n_users, self.n_items = lists.n_users, lists.n_items
        self.by_user = Histories(*lists.all())

    @cached_property
    def by_item(self) -> Histories:
        """The users of every item, ascending."""
        starts = np.concatenate([[0], np.cumsum(self.item_counts)])
        order = np.argsort(self.by_user.items, kind="stable")
        return Histories(starts, self.by_user.owners[order].astype(np.int32))

    @cached_property
    def user_counts(self) -> np.ndarray:
        """Items of every user, (n_users,) int64."""
        return self.by_user.sizes

    @cached_property
    def item_counts(self) -> np.ndarray:
        """Users of every item, (n_items,) int64."""
        return np.bincount(self.by_user.items, minlength=self.n_items)


def dense_rows(histories: Histories, n_items: int) -> np.ndarray:
    """Rows (b, n_items) float32 of the binary matrix.

    >>> dense_rows(Histories(np.array([0, 0, 2]), np.array([0, 2])), n_items=3).tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    """
    rows = np.zeros((len(histories), n_items), dtype=np.float32)
    rows[histories.owners, histories.items] = 1
    return rows


def histories_of(rows: np.ndarray) -> Histories:
    """The inverse of ``dense_rows``: what is not 0 in ``rows`` (b, n_items)."""
    owners, items = np.nonzero(rows)
    return Histories(np.searchsorted(owners, np.arange(len(rows) + 1)), items)


def negative_power(counts: np.ndarray, exponent: float) -> np.ndarray:
    """``counts``^-exponent as float32; 0 for a count of 0.

    >>> negative_power(np.array([4, 1, 0]), 0.5).tolist()
    [0.5, 1.0, 0.0]
    """
    powers = np.maximum(counts, 1).astype(np.float64) ** -exponent
    return np.where(counts > 0, powers, 0.0).astype(np.float32)


def sum_rows(lists: Histories, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The sum of the ``rows`` (n, d) that every list names, each times its one of ``weights`` (n,):
    (b, d) of the type of ``rows``.

    Two lists, the second of rows 0 and 1:

    >>> lists = Histories(np.array([0, 0, 2]), np.array([0, 1]))
    >>> sum_rows(lists, np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[0.0, 0.0], [4.0, 6.0]]
    """
    out = np.zeros((len(lists), rows.shape[1]), dtype=rows.dtype)
    most = max(1, NUMBERS // max(1, rows.shape[1]))
    first = 0
    while first < len(lists):
        # As many lists as fit into a block, at least one.
        end = int(np.searchsorted(lists.indptr, lists.indptr[first] + most, side="right")) - 1
        end = min(max(end, first + 1), len(lists))
        part = lists.part(first, end)
        taken = rows[part.items]
        if weights is not None:
            taken *= weights[part.items, None]
        filled = np.flatnonzero(part.sizes)
        if len(filled):
            out[first + filled] = np.add.reduceat(taken, part.indptr[filled], axis=0)
        first = end
    return out


NUMBERS = 2**22  # that are gathered at once
