"""Interactions in the order of their time, with users and items numbered as they appear."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bet.data import matrix_digest
from bet.data.interactions import binary_matrix
from bet.errors import BetError


@dataclass(frozen=True, eq=False)
class Events:
    """k interactions in order of time: ``users``, ``items`` (k,) int64 and ``times`` (k,) float64,
    not falling; no pair occurs twice. ``user_ids`` (|U|,) and ``item_ids`` (|V|,): the original
    ids by number.

    Numbers are given in the order of first appearance, so whoever is known after k' events has the
    numbers below some count, and keeps them for ever.
    """

    name: str
    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        sides = f"{len(self.user_ids):,} users x {len(self.item_ids):,} items"
        return f"Events({self.name}: {sides}, {len(self):,} interactions in order)"

    def known_after(self, k: int) -> tuple[int, int]:
        """How many users and items have appeared in the first ``k`` events."""
        return int(self.users[:k].max(initial=-1)) + 1, int(self.items[:k].max(initial=-1)) + 1

    def matrix(self, chosen: np.ndarray, shape: tuple[int, int]) -> csr_array:
        """Binary CSR of ``shape`` of the ``chosen`` events (numbers or bool); those of users and
        items outside of it are left out.
        """
        users, items = self.users[chosen], self.items[chosen]
        fits = (users < shape[0]) & (items < shape[1])
        return binary_matrix(users[fits], items[fits], shape)

    def fingerprint(self) -> str:
        """sha256 of pairs, their order and the original ids."""
        k = len(self)
        # A row per event: what came when. Times count by the order that they make.
        order = np.unique(self.times, return_inverse=True)[1]
        rows = np.repeat(np.arange(k), 3)
        columns = np.stack([self.users, self.items, order], 1).ravel()
        indptr = np.arange(0, 3 * k + 1, 3)
        width = int(columns.max(initial=0)) + 1
        content = csr_array((np.ones(len(rows), np.uint8), columns, indptr), shape=(k, width))
        return matrix_digest(content, self.user_ids, self.item_ids)


def arrange(name: str, users: pd.Series, items: pd.Series, times: pd.Series) -> Events:
    """Events from columns of k ids of any type and ``times``, in any order; events of equal times
    keep theirs, a pair that occurs again is left out. Raises BetError without any.

    >>> columns = pd.Series(["bob", "ann", "bob"]), pd.Series(["tea", "cup", "tea"])
    >>> events = arrange("shop", *columns, pd.Series([30.0, 10.0, 50.0]))
    >>> events
    Events(shop: 2 users x 2 items, 2 interactions in order)
    >>> events.user_ids.tolist(), events.users.tolist(), events.times.tolist()
    (['ann', 'bob'], [0, 1], [10.0, 30.0])
    """
    frame = pd.DataFrame(
        {"user": users.to_numpy(), "item": items.to_numpy(), "time": times.to_numpy(dtype=float)}
    )
    if frame.empty:
        raise BetError(f"{name}: no interactions; a stream needs at least one")
    frame = frame.sort_values("time", kind="stable").drop_duplicates(["user", "item"])
    user_index, user_ids = pd.factorize(frame["user"])
    item_index, item_ids = pd.factorize(frame["item"])
    return Events(
        name=name,
        users=user_index.astype(np.int64),
        items=item_index.astype(np.int64),
        times=frame["time"].to_numpy(),
        user_ids=np.asarray(user_ids),
        item_ids=np.asarray(item_ids),
    )
