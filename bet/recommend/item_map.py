"""From solutions of least squares to vectors of items that were fitted in another way.

Least squares gives a new item scores near 1 for those who have had it. Vectors of LightGCN and NGCF
have scores of any scale, with a spread of their own; a linear map from what the known items' users
give by least squares to the vectors that these items have brings a new item among them.
"""

from dataclasses import dataclass

import numpy as np

from bet.recommend.least_squares import RowEquation
from bet.recommend.scorer import TINY

# Chosen on validation data (``python -m benchmarks.sweeps.new_items``).
ITEM_EQUATION = RowEquation(unobserved_weight=0.1)
RIDGE = 0.1  # of the map, in mean squares of a column
MOST_ITEMS = 4_096  # that the map is fitted to


@dataclass(frozen=True, eq=False)
class ItemMap:
    """y = ``intercept`` (d,) + x ``slopes`` (d, d), float64."""

    intercept: np.ndarray
    slopes: np.ndarray

    def __call__(self, solutions: np.ndarray) -> np.ndarray:
        """Vectors (b, d) float32 for ``solutions`` (b, d)."""
        return (self.intercept + solutions @ self.slopes).astype(np.float32)


def fit_map(solutions: np.ndarray, vectors: np.ndarray) -> ItemMap:
    """The ridge regression of the ``vectors`` (n, d) of known items, n > 0, on their ``solutions``
    (n, d).

    Solutions 1 and 3 of vectors 0 and 4.4, around means of 2 and 2.2: the slope is
    (1 * 2.2 + 1 * 2.2) / (1 + 1 + 0.1 * 2), and the mean of one is the mean of the other.

    >>> fitted = fit_map(np.array([[1.0], [3.0]]), np.array([[0.0], [4.4]]))
    >>> fitted.slopes.round(6).tolist(), round(fitted(np.array([[2.0]])).item(), 3)
    ([[2.0]], 2.2)
    """
    x, y = solutions.astype(np.float64), vectors.astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean)
    ridge = RIDGE * max(np.trace(gram) / max(1, len(gram)), TINY)
    slopes = np.linalg.solve(gram + ridge * np.eye(len(gram)), (x - x_mean).T @ (y - y_mean))
    return ItemMap(y_mean - x_mean @ slopes, slopes)
