"""The interface of a ranking rule: a recommender that answers from the interactions, without an
embedding table.
"""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from bet.backbones.base import Backbone, Ranker
from bet.backbones.recommender import Recommender
from bet.tables import EmptyTable


class RankingRule(Backbone):
    """A subclass fits itself to ``interactions`` (|U|, |V|) binary CSR in its constructor, which
    takes its few numbers by name, and defines ``scores``.

    ``settings``: these numbers; with them the rule can be fitted again to other interactions.
    """

    reads_graph = True
    inner_product = False

    def __init__(self, interactions: csr_array, **settings: float):
        nn.Module.__init__(self)
        self.interactions, self.settings = interactions, settings
        self.n_users = interactions.shape[0]

    def scores(self, users: Tensor) -> Tensor:
        """Scores (b, |V|) float32 of all items for ``users`` (b,) int64."""
        raise NotImplementedError

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        return ego

    def ranker(self, representations: Tensor) -> Ranker:
        return self.scores

    @property
    def stored(self) -> Mapping[str, np.ndarray]:
        """Arrays that a file holds besides the interactions, by name: a fitted model."""
        return {}

    @property
    def facts(self) -> Mapping[str, float]:
        return self.settings


def rule_recommender(rule: RankingRule) -> Recommender:
    """``rule`` as a recommender whose table is empty."""
    return Recommender(rule, EmptyTable(sum(rule.interactions.shape)))
