"""What a surrogate sees of an action: a dozen numbers, whatever the number of entities."""

from collections.abc import Sequence

import numpy as np

from bet.actions.action import Action
from bet.data.frequency import FrequencyOrder

QUARTERS = 4
SMALLEST = 0.25  # columns; a mean below it counts as it, so that an empty side has a logarithm


def size_features(order: FrequencyOrder, actions: Sequence[Action]) -> np.ndarray:
    """(m, 13) float64: of users, then of items, the log2 mean size of all, of every quarter by
    frequency rank, the most frequent first, and whether all are empty; then the log2 ratio of both
    sides' totals.

    Two users of four columns each and four items of four, two, one and one column:

    >>> order = FrequencyOrder(np.array([2, 1]), np.array([9, 5, 3, 1]))
    >>> action = Action.from_ranked(order, np.array([4, 4]), np.array([4, 2, 1, 1]))
    >>> size_features(order, [action]).tolist()
    [[2.0, 2.0, 2.0, 2.0, 2.0, 0.0, 1.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    return np.stack([_of_sizes(order, action) for action in actions])


def _of_sizes(order: FrequencyOrder, action: Action) -> np.ndarray:
    features, totals = [], []
    for sizes, ranks in ((action.user_sizes, order.users), (action.item_sizes, order.items)):
        by_rank = sizes[ranks].astype(np.float64)
        means = [by_rank.mean(), *(quarter.mean() for quarter in quarters(by_rank))]
        features += [*np.log2(np.maximum(means, SMALLEST)), float(not by_rank.any())]
        totals.append(max(by_rank.sum(), SMALLEST * len(by_rank)))
    return np.array([*features, np.log2(totals[0] / totals[1])])


def quarters(values: np.ndarray) -> list[np.ndarray]:
    """``values`` (k,) in four pieces of about the same length; with fewer than four values some
    repeat.

    >>> [quarter.tolist() for quarter in quarters(np.array([4, 3, 2, 1, 0]))]
    [[4], [3], [2], [1, 0]]
    >>> [quarter.tolist() for quarter in quarters(np.array([4, 3]))]
    [[4], [4], [3], [3]]
    """
    ends = np.arange(QUARTERS + 1) * len(values) // QUARTERS
    pieces = zip(ends, np.maximum(ends[1:], ends[:-1] + 1), strict=False)
    return [values[start:end] for start, end in pieces]
