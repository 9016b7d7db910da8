"""The interface of a backbone G: ego embeddings in, pair scores and a full-ranking scorer out."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from bet.backbones.graph import Graph

Ranker = Callable[[Tensor], Tensor]
"""(b,) int64 user ids -> (b, |V|) float32 scores."""


class Backbone(nn.Module):
    """A latent-factor model without its embedding table. Subclasses set the class constants and two
    methods.
    """

    copies: ClassVar[int] = 1  # embedding tables per entity
    l2: ClassVar[float] = 0.0  # eta of the BPR loss
    init_std: ClassVar[float] = 0.01  # of the embedding rows

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        """``generator`` (CPU) initializes the backbone's own weights."""
        super().__init__()
        self.graph, self.n_users, self.d_max = graph, n_users, d_max

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Ego (n, copies * width) -> final representations (n, D); drops out only when given a
        generator.
        """
        raise NotImplementedError

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores (B,) of representation rows ``users`` (B, D) with ``items`` (B, D)."""
        return (users * items).sum(1)

    def triple_scores(self, rows: Tensor) -> Tensor:
        """(2, B) scores of B users with their positives, with their negatives; ``rows`` (3B, D)
        representations in this order.
        """
        users, positives, negatives = rows.chunk(3)
        return torch.stack([self.score(users, positives), self.score(users, negatives)])

    def ranker(self, representations: Tensor) -> Ranker:
        """A function that scores any block of users against all items."""
        items = representations[self.n_users :].T.contiguous()  # (D, |V|)
        return lambda users: representations[users] @ items

    def n_parameters(self) -> int:
        """Weights of the backbone itself; the budget does not cover them."""
        return sum(weight.numel() for weight in self.parameters())


def apply_dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Inverted dropout of ``x`` with an explicit generator; the identity when there is none."""
    if generator is None or not rate:
        return x
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= rate
    return x * kept / (1.0 - rate)
