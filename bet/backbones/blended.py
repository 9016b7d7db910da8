"""Two recommenders as one: a ranking rule's scores and those of vectors, added."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bet.backbones.base import Ranker
from bet.backbones.recommender import Recommender
from bet.backbones.rule import RankingRule


class BlendedRecommender(Recommender):
    """The scores of ``rule`` plus ``weight`` times those of ``vectors``, both standardized for each
    user over all items: neither side's scale matters.
    """

    def __init__(self, vectors: Recommender, rule: RankingRule, weight: float):
        super().__init__(vectors.backbone, vectors.table)
        self.rule, self.weight = rule, weight

    @torch.no_grad()
    def ranker(self) -> Ranker:
        of_vectors, of_rule = super().ranker(), self.rule.scores
        return lambda users: standardize(of_rule(users)).add_(
            standardize(of_vectors(users)), alpha=self.weight
        )

    @property
    def name(self) -> str:
        return "blend"

    @property
    def facts(self) -> Mapping[str, float]:
        return {**self.rule.facts, "weight": self.weight}


def standardize(scores: Tensor) -> Tensor:
    """``scores`` (b, |V|) with mean 0 and deviation 1 for each user; 0 where all are equal.

    >>> standardize(torch.tensor([[1.0, 3.0], [2.0, 2.0]]))
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    centered = scores - scores.mean(1, keepdim=True)
    deviation = centered.square().mean(1, keepdim=True).sqrt()
    return centered / torch.where(deviation > 0, deviation, 1.0)
