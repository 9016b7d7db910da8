"""The graph filter's compiled loop; imported only where numba is installed."""

import numpy as np

from bet.compiled import compiled


@compiled
def add_up(histories, by_user, by_item, weights, scores):
    """Add the scores of ``histories`` to ``scores`` (b, n_items), which are zeros; sums are of
    their type.

    Histories, users and items are pairs of indptr and numbers; ``weights`` are those of users
    (n_users,) and of items (n_items,), float32.
    """
    (starts, seen), (row_starts, items), (column_starts, owners) = histories, by_user, by_item
    of_users, of_items = weights
    near = np.zeros(len(of_users), dtype=scores.dtype)
    for row in range(len(starts) - 1):
        near[:] = 0  # how near each user is to this one
        for place in range(starts[row], starts[row + 1]):
            item = seen[place]
            for entry in range(column_starts[item], column_starts[item + 1]):
                near[owners[entry]] += of_items[item]
        for other in range(len(near)):
            if near[other] != 0:
                weight = near[other] * of_users[other]
                for place in range(row_starts[other], row_starts[other + 1]):
                    scores[row, items[place]] += weight
        for item in range(len(of_items)):
            scores[row, item] *= of_items[item]
