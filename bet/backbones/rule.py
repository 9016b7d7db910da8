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
    """Fitted to ``interactions`` (|U|, |V|) binary CSR with its few numbers, ``settings``. A
    subclass sets ``name`` and, where it is False, ``reads_graph``, and defines ``block_scores``.

    ``stored``: arrays by name that a file holds besides the interactions: a fitted model, which
    ``fit`` makes unless it is given. Its types are those of files: float32, float16, uint8 to
    uint32.
    """

    reads_graph = True  # whether scores need the interactions
    inner_product = False

    def __init__(
        self,
        interactions: csr_array,
        settings: Mapping[str, float],
        stored: Mapping[str, np.ndarray] | None = None,
    ):
        nn.Module.__init__(self)
        self.interactions, self.settings = interactions, settings
        self.n_users, self.n_items = interactions.shape
        self.stored = self.fit() if stored is None else stored

    def fit(self) -> Mapping[str, np.ndarray]:
        """The arrays of ``stored``; none where the interactions and ``settings`` are all."""
        return {}

    def stored_in(self, items: np.ndarray) -> Mapping[str, np.ndarray]:
        """``stored`` with items numbered by their places in ``items`` (|V|,), a permutation."""
        return self.stored

    def block_scores(self, users: np.ndarray) -> np.ndarray:
        """Scores (b, |V|) float32 of all items for ``users`` (b,) int64, a new array; those of a
        user do not depend on the others in the block.
        """
        raise NotImplementedError

    def scores(self, users: Tensor) -> Tensor:
        """``block_scores`` as a tensor on the device of ``users`` (b,) int64."""
        return torch.from_numpy(self.block_scores(users.cpu().numpy())).to(users.device)

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        return ego

    def ranker(self, representations: Tensor) -> Ranker:
        return self.scores

    @property
    def facts(self) -> Mapping[str, float]:
        return self.settings


def rule_recommender(rule: RankingRule) -> Recommender:
    """``rule`` as a recommender whose table is empty."""
    return Recommender(rule, EmptyTable(sum(rule.interactions.shape)))
