"""An untrained filter over the graph of users and items: a table of zero bytes that is as good as a
trained one on sparse data.

The linear low-pass filter of GF-CF (Shen et al., CIKM 2021) with an exponent for each side, as in
Turbo-CF (Park et al., SIGIR 2024). Scores are R N' N, one row of R for each user, where
N = D_u^-a R D_i^-b, and D_u and D_i hold how often users and items occur.

Two ways to the same numbers: a compiled loop where numba is installed, else scipy's sparse
products, which take four times as long. Neither holds more than a block of users.
"""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from bet.backbones import RankingRule
from bet.methods._shared.tuning import RuleSettings, tune
from bet.recommend.interactions import negative_power
from bet.search import MethodResult, SearchContext

EXPONENTS = (0.2, 0.5, 0.8)  # of both sides, tried first
STEP = 0.1  # to the pairs around the best of them
BLOCK = 256  # users at once in scipy's products, whose intermediate has a column per user


class GraphFilter(RankingRule):
    """``user_exponent`` a and ``item_exponent`` b; whoever never occurs has weight 0.

    Both users have the first item, whose weight is 1/2 with b = 1; the second user has the other
    one, too, and counts half with a = 1/2. So the first user is as near as 1/2 and 1/4 to both:

    >>> interactions = csr_array(np.array([[1, 0], [1, 1]], dtype=np.uint8))
    >>> rule = GraphFilter(interactions, {"user_exponent": 0.5, "item_exponent": 1.0})
    >>> rule.block_scores(np.array([0])).tolist()  # (1/2 + 1/4) / 2 and 1/4
    [[0.375, 0.25]]
    """

    name = "graph-filter"

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """D_u^-2a (|U|,) and D_i^-b (|V|,) as float32."""
        users = np.diff(self.interactions.indptr)
        items = np.bincount(self.interactions.indices, minlength=self.n_items)
        a, b = self.settings["user_exponent"], self.settings["item_exponent"]
        return negative_power(users, 2 * a), negative_power(items, b)

    @cached_property
    def _by_user(self) -> csr_array:
        return csr_array(self.interactions.astype(np.float32))

    @cached_property
    def _by_item(self) -> csr_array:
        return csr_array(self._by_user.T.tocsr())  # (|V|, |U|)

    def block_scores(self, users: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(users), self.n_items), dtype=np.float32)
        if find_spec("numba") is None:
            for start in range(0, len(users), BLOCK):
                scores[start : start + BLOCK] = self.by_products(users[start : start + BLOCK])
        else:
            self.by_loop(users, scores)
        return scores

    def by_products(self, users: np.ndarray) -> np.ndarray:
        """Scores of ``users`` (b,) by sparse products: (b, |V|)."""
        of_users, of_items = self.weights
        rows = csr_array(self._by_user[users])  # (b, |V|)
        rows.data = of_items[rows.indices]
        near = rows @ self._by_item  # (b, |U|)
        near.data *= of_users[near.indices]
        near.sort_indices()  # sums in the order of the loop
        return (near @ self._by_user).toarray() * of_items

    def by_loop(self, users: np.ndarray, scores: np.ndarray) -> None:
        """Add up scores of ``users`` (b,) in ``scores`` (b, |V|), which are zeros."""
        from bet.recommend.filter_loop import add_up

        matrices = (self._by_user[users], self._by_user, self._by_item)
        pairs = [(matrix.indptr, matrix.indices) for matrix in matrices]
        add_up(*pairs, self.weights, scores)


def graph_filter(context: SearchContext) -> MethodResult:
    """Both exponents by 21 evaluations: the nine pairs of ``EXPONENTS``, the eight around the best
    of them, and four half a step from the best of all.
    """
    grid = [{"user_exponent": a, "item_exponent": b} for a, b in product(EXPONENTS, repeat=2)]
    return tune(context, GraphFilter, grid, _around, _closer)


def _around(best: RuleSettings) -> Sequence[RuleSettings]:
    """The best setting itself is among them, and is not evaluated again."""
    return [_moved(best, *steps) for steps in product((-STEP, 0.0, STEP), repeat=2)]


def _closer(best: RuleSettings) -> Sequence[RuleSettings]:
    half = STEP / 2
    return [_moved(best, *steps) for steps in ((-half, 0), (half, 0), (0, -half), (0, half))]


def _moved(setting: RuleSettings, of_users: float, of_items: float) -> RuleSettings:
    return {
        "user_exponent": round(setting["user_exponent"] + of_users, 3),
        "item_exponent": round(setting["item_exponent"] + of_items, 3),
    }
