"""Interactions in terms of the rows of vectors."""

import logging

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bet.data.interactions import Interactions, binary_matrix
from bet.errors import BetError
from bet.pack.survey import Names

log = logging.getLogger(__name__)


def numbered(data: Interactions, names: tuple[Names, Names]) -> csr_array:
    """``data`` by the rows of vectors, (n_users, n_items) binary CSR; ``names``: ids of the users'
    and of the items' rows. An id that is a number here and text there is the same.

    Pairs with somebody who has no vector are left out, which is logged; raises BetError where none
    is left.

    >>> data = Interactions("shop", csr_array(np.eye(2, dtype=np.uint8)), np.array(["7", "9"]))
    >>> numbered(data, (np.array([9, 7]), np.arange(2))).toarray().tolist()
    [[0, 1], [1, 0]]
    """
    pairs = data.matrix.tocoo()
    user_ids, item_ids = data.user_ids, data.item_ids
    users = _rows(user_ids, names[0], data.n_users)[pairs.coords[0]]
    items = _rows(item_ids, names[1], data.n_items)[pairs.coords[1]]
    is_known = (users >= 0) & (items >= 0)
    if not is_known.any():
        example = (
            (user_ids[0] if user_ids is not None else 0),
            (item_ids[0] if item_ids is not None else 0),
        )
        raise BetError(
            f"{data.name}: no interaction of a user and an item that both have a vector; its first "
            f"ids are {example[0]!r} and {example[1]!r}, give the ids of the vectors"
        )
    if not is_known.all():
        left_out = int((~is_known).sum())
        log.warning(
            "%s: left out %d of %d interactions, whose user or item has no vector",
            data.name,
            left_out,
            len(is_known),
        )
    return binary_matrix(users[is_known], items[is_known], (len(names[0]), len(names[1])))


def _rows(ids: np.ndarray | None, known: Names, n_ids: int) -> np.ndarray:
    """The row of each of ``ids`` (n_ids,), or of the numbers below ``n_ids``, -1 without one."""
    wanted = np.arange(n_ids) if ids is None else np.asarray(ids)
    if not (np.issubdtype(wanted.dtype, np.integer) and known.dtype == np.int64):
        wanted, known = (side.astype(str).astype(object) for side in (wanted, known))
    return pd.Index(known).get_indexer(pd.Index(wanted))
