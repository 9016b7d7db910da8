"""A linear model of items on items in closed form, EASE (Embarrassingly Shallow Autoencoders;
Steck, WWW 2019): as good as deep models wherever its matrix fits into memory.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.backbones import RankingRule
from bet.errors import BetError
from bet.methods._shared.tuning import RuleSettings, tune
from bet.search import MethodResult, SearchContext

PENALTIES = (10.0, 100.0, 1_000.0, 10_000.0)  # tried first
FACTORS = (10**0.5, 10**0.25)  # then the best so far, divided by and times each
MOST_BYTES = 2**32  # of two float64 matrices, items by items: 16,384 items
BLOCK = 1024  # items at once in the matrix of co-occurrences


class Ease(RankingRule):
    """Weights W = I - P / diag(P), columns divided by the diagonal, where P is the inverse of
    R'R + l2 I; scores are R W.

    ``stored``: ``weights`` (|V|, |V|) float32. Raises BetError, before it computes anything, above
    ``MOST_BYTES``.

    Two items that two users have, a third user one of them, R'R = [[3, 2], [2, 2]]: the regression
    of the first on the second with l2 = 1 is 2 / (2 + 1), the other way 2 / (3 + 1).

    >>> interactions = csr_array(np.array([[1, 1], [1, 1], [1, 0]], dtype=np.uint8))
    >>> Ease(interactions, {"l2": 1.0}).stored["weights"].astype(float).round(3).tolist()
    [[0.0, 0.5], [0.667, 0.0]]
    """

    name = "ease"

    def fit(self) -> Mapping[str, np.ndarray]:
        check_size(self.n_items)
        by_user = csr_array(self.interactions.astype(np.float64))
        by_item = csr_array(by_user.T.tocsr())
        gram = np.zeros((self.n_items, self.n_items))
        for first in range(0, self.n_items, BLOCK):
            gram[first : first + BLOCK] = (by_item[first : first + BLOCK] @ by_user).toarray()
        gram[np.diag_indices_from(gram)] += self.settings["l2"]
        factor = torch.linalg.cholesky(torch.from_numpy(gram))  # its threads are the process's
        del gram
        inverse = torch.cholesky_inverse(factor)
        del factor
        weights = inverse.div_(-inverse.diagonal().clone()).fill_diagonal_(0.0)
        return {"weights": weights.float().numpy()}

    def stored_in(self, items: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"weights": self.stored["weights"][np.ix_(items, items)]}

    def block_scores(self, users: np.ndarray) -> np.ndarray:
        rows = csr_array(self.interactions[users].astype(np.float32))  # (b, |V|)
        return rows @ self.stored["weights"]


def check_size(n_items: int) -> None:
    """Raise BetError if the matrices of ``n_items`` items take more than ``MOST_BYTES``.

    >>> check_size(16_384)
    >>> check_size(40_981)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bet.errors.BetError: ease on 40,981 items needs 26,871,077,776 bytes for ...
    """
    needed = 2 * 8 * n_items**2
    if needed > MOST_BYTES:
        raise BetError(
            f"ease on {n_items:,} items needs {needed:,} bytes for its item by item matrices, the "
            f"limit is {MOST_BYTES:,}; keep fewer items (--k-core) or take item-knn or "
            "graph-filter"
        )


def ease(context: SearchContext) -> MethodResult:
    """The penalty l2 by eight evaluations: ``PENALTIES``, then the best divided by and times each
    of ``FACTORS``.
    """
    check_size(context.data.train.shape[1])
    grid = [{"l2": penalty} for penalty in PENALTIES]
    return tune(context, Ease, grid, *(_nearer(factor) for factor in FACTORS))


def _nearer(factor: float) -> Callable[[RuleSettings], Sequence[RuleSettings]]:
    def around(best: RuleSettings) -> Sequence[RuleSettings]:
        # Three digits: a setting that is written down is the one that was tried.
        return [{"l2": float(f"{best['l2'] * ratio:.3g}")} for ratio in (1 / factor, factor)]

    return around
