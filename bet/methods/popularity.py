"""The same items for everybody, the most frequent first: what every recommender must beat."""

from functools import cached_property

import numpy as np

from bet.backbones import RankingRule
from bet.methods._shared.tuning import tune
from bet.search import MethodResult, SearchContext


class Popularity(RankingRule):
    """An item's score is how often it occurs. In a file the items are numbered by it, so that the
    numbers are the answer.
    """

    name = "popularity"
    reads_graph = False

    @cached_property
    def _counts(self) -> np.ndarray:
        """(|V|,) float32; exact below 2^24."""
        counts = np.bincount(self.interactions.indices, minlength=self.n_items)
        return counts.astype(np.float32)

    def block_scores(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self._counts, (len(users), 1))


def popularity(context: SearchContext) -> MethodResult:
    """No numbers to tune: one look at validation, to state its quality."""
    return tune(context, Popularity, [{}])
