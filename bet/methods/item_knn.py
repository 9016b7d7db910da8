"""Items that go with a user's items: neighborhoods under a tuned cosine, still among the best
baselines (Dacrema et al., RecSys 2019).

The similarity of items i and j is the sum over users who have both of d_u^-p, over
(d_i d_j)^q + s, where d is how often a user or an item occurs. p = 0 and q = 1/2 is the cosine; p
weighs active users down, as TF-IDF (term frequency, inverse document frequency) does, and s shrinks
what few users support. An item's score is the sum of its similarities to those of its K nearest
items that the user has.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from bet.backbones import RankingRule
from bet.methods._shared.tuning import RuleSettings, tune
from bet.packed.safetensors_io import DTYPES, dtype_up_to
from bet.recommend.interactions import negative_power
from bet.search import MethodResult, SearchContext

USER_EXPONENTS, ITEM_EXPONENTS = (0.0, 0.5, 1.0), (0.2, 0.35, 0.5)
USER_STEP, ITEM_STEP = 0.25, 0.1
NEIGHBORS, OTHER_NEIGHBORS = 100, (50, 200, 400)
SHRINKAGES = (1.0, 10.0)
ENTRIES = 2**22  # similarities that are computed at once
LARGEST = 2.0**15  # weight: float16 keeps relative differences down to 2^-14


class ItemKnn(RankingRule):
    """``user_exponent`` p, ``item_exponent`` q, ``shrinkage`` s and ``neighbors`` K.

    ``stored``: ``neighbors`` (|V|, at most K) whole numbers, ascending, and their ``weights``
    float16; fewer neighbors than others are filled up with weight 0. Scores are of these rounded
    weights.

    The first item shares a user with each of the others, which are apart:

    >>> interactions = csr_array(np.array([[1, 1, 0], [1, 0, 1]], dtype=np.uint8))
    >>> numbers = {"user_exponent": 0.0, "item_exponent": 0.5, "shrinkage": 0.0, "neighbors": 2}
    >>> rule = ItemKnn(interactions, numbers)
    >>> rule.stored["neighbors"].tolist(), rule.stored["weights"][:, 0].tolist()
    ([[1, 2], [0, 0], [0, 0]], [32768.0, 32768.0, 32768.0])
    >>> rule.block_scores(np.array([0])).tolist()  # of the second item, the first and the third
    [[32768.0, 32768.0, 32768.0]]
    """

    name = "item-knn"

    def fit(self) -> Mapping[str, np.ndarray]:
        k = min(int(self.settings["neighbors"]), self.n_items)
        lists = np.zeros((self.n_items, k), dtype=DTYPES[dtype_up_to(self.n_items - 1)])
        weights = np.zeros((self.n_items, k), dtype=np.float32)
        widest = 0
        for first, similar in self._similarities():
            for row in range(similar.shape[0]):
                span = slice(similar.indptr[row], similar.indptr[row + 1])
                nearest = largest(similar.data[span], k)
                lists[first + row, : len(nearest)] = similar.indices[span][nearest]
                weights[first + row, : len(nearest)] = similar.data[span][nearest]
                widest = max(widest, len(nearest))
        # Only ratios of weights matter, and float16 has most of its numbers' range below this.
        scale = LARGEST / weights.max(initial=0.0) if widest else 1.0
        rounded = (weights[:, :widest] * np.float32(scale)).astype(np.float16)
        return {"neighbors": lists[:, :widest], "weights": rounded}

    def _similarities(self) -> Iterator[tuple[int, csr_array]]:
        """Blocks of rows of the similarity matrix: the first item, (items, |V|) CSR with sorted
        indices and no similarity of an item to itself.
        """
        by_user = csr_array(self.interactions.astype(np.float32))
        by_item = csr_array(by_user.T.tocsr())  # (|V|, |U|)
        counts = np.diff(by_user.indptr)
        by_user.data = np.repeat(negative_power(counts, self.settings["user_exponent"]), counts)
        frequency = np.maximum(np.diff(by_item.indptr), 1)
        scale = (frequency ** self.settings["item_exponent"]).astype(np.float32)
        shrinkage = np.float32(self.settings["shrinkage"])
        block = max(1, ENTRIES // self.n_items)
        for first in range(0, self.n_items, block):
            similar = csr_array(by_item[first : first + block] @ by_user)
            items = first + np.repeat(np.arange(similar.shape[0]), np.diff(similar.indptr))
            similar.data /= scale[items] * scale[similar.indices] + shrinkage
            similar.data[items == similar.indices] = 0.0
            similar.eliminate_zeros()
            similar.sort_indices()
            yield first, similar

    def stored_in(self, items: np.ndarray) -> Mapping[str, np.ndarray]:
        place = np.argsort(items)  # the inverse permutation
        lists, weights = (self.stored[name][items] for name in ("neighbors", "weights"))
        lists = place[lists].astype(lists.dtype)
        order = np.argsort(np.where(weights > 0, lists, len(items)), axis=1, kind="stable")
        return {
            "neighbors": np.take_along_axis(lists, order, axis=1),
            "weights": np.take_along_axis(weights, order, axis=1),
        }

    @cached_property
    def _by_neighbor(self) -> csr_array:
        """(|V|, |V|): in the row of an item, its weight for every item that it is a neighbor of."""
        lists, weights = self.stored["neighbors"], self.stored["weights"]
        items = np.repeat(np.arange(self.n_items), lists.shape[1])
        known = weights.ravel() > 0
        pairs = lists.ravel()[known].astype(np.int64), items[known]
        values = weights.ravel()[known].astype(np.float32)
        return csr_array((values, pairs), shape=(self.n_items, self.n_items))

    def block_scores(self, users: np.ndarray) -> np.ndarray:
        rows = csr_array(self.interactions[users].astype(np.float32))  # (b, |V|)
        return (rows @ self._by_neighbor).toarray()


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """Places of the ``k`` largest of ``values`` (n,), ascending; the first among equals.

    >>> largest(np.array([0.5, 0.1, 0.5, 0.9]), 2).tolist()
    [0, 3]
    """
    if len(values) <= k:
        return np.arange(len(values))
    threshold = np.partition(values, len(values) - k)[len(values) - k]
    chosen = values > threshold
    chosen[np.flatnonzero(values == threshold)[: k - int(chosen.sum())]] = True
    return np.flatnonzero(chosen)


def item_knn(context: SearchContext) -> MethodResult:
    """All four numbers by 18 evaluations: nine pairs of exponents, four a step away from the best,
    two shrinkages, three other K.
    """
    grid = [_setting(p, q) for p, q in product(USER_EXPONENTS, ITEM_EXPONENTS)]
    return tune(context, ItemKnn, grid, *(_nearer, _shrunk, _other_lists))


def _setting(p: float, q: float) -> RuleSettings:
    exponents = {"user_exponent": round(p, 3), "item_exponent": round(q, 3)}
    return exponents | {"shrinkage": 0.0, "neighbors": NEIGHBORS}


def _nearer(best: RuleSettings) -> Sequence[RuleSettings]:
    p, q = best["user_exponent"], best["item_exponent"]
    of_users = [_setting(max(0.0, p + step), q) for step in (-USER_STEP, USER_STEP)]
    return of_users + [_setting(p, q + step) for step in (-ITEM_STEP, ITEM_STEP)]


def _shrunk(best: RuleSettings) -> Sequence[RuleSettings]:
    return [{**best, "shrinkage": shrinkage} for shrinkage in SHRINKAGES]


def _other_lists(best: RuleSettings) -> Sequence[RuleSettings]:
    return [{**best, "neighbors": k} for k in OTHER_NEIGHBORS]
