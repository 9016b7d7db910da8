"""The interface of a backbone G: ego embeddings in, pair scores and a full-ranking scorer out."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.backbones.graph import Graph
from bet.backbones.softmax import compiled_loss, has_loops
from bet.errors import BetError
from bet.tables import take_rows

Ranker = Callable[[Tensor], Tensor]
"""(b,) int64 user ids -> (b, |V|) float32 scores."""


class Backbone(nn.Module):
    """A latent-factor model without its embedding table. A subclass sets the class constants and
    defines ``represent`` and, unless a pair's score is the inner product, ``score`` and ``ranker``.
    """

    name: ClassVar[str]  # in files
    copies: ClassVar[int] = 1  # embedding tables per entity
    least_squares: ClassVar[bool] = False  # trained by them, not by steps along a gradient
    l2: ClassVar[float] = 0.0  # eta of the BPR loss (Eq. 2), as the published code has it
    init_std: float = 0.01  # standard deviation of fresh embedding rows
    reads_graph: ClassVar[bool] = False  # whether ``represent`` needs the interactions
    inner_product: ClassVar[bool] = True  # whether a pair's score is that of final vectors
    rows_are_vectors: ClassVar[bool] = False  # whether the table's rows are the final vectors
    # What is left of it where only the last of an entity's tables has rows.
    of_last_copy: ClassVar["type[Backbone] | None"] = None

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        """``generator`` (CPU) initializes the backbone's weights."""
        super().__init__()
        self.graph, self.n_users, self.d_max = graph, n_users, d_max

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Masked rows of the table ``ego`` (n, copies * width) -> final representations (n, D).

        Drops out only when given a generator.
        """
        raise NotImplementedError

    def take_weights(self, full: "Backbone") -> None:
        """Set all weights to those of ``full``, of the same type or one that this is left of."""
        self.load_state_dict(full.state_dict())

    @classmethod
    def check_rotates(cls) -> None:
        """Raise BetError where columns mix on their way to the score."""
        if cls.rotate is Backbone.rotate:
            raise BetError(
                f"columns of {cls.name} mix, so that its table cannot be rotated to principal "
                "axes; set warm_start = false for it"
            )

    def rotate(self, ego: Tensor) -> Tensor:
        """The full table ``ego`` (n, copies * d_max) with other columns, and the weights changed in
        place to match, so that scores stay what they are and prefixes of rows keep most of them.
        """
        self.check_rotates()
        raise NotImplementedError

    def take_factors(self, factors: Tensor, fresh: Tensor) -> Tensor:
        """Ego rows (n, copies * width) to start from, given ``factors`` (n, width) whose inner
        products are good scores, and ``fresh`` random rows (n, width) for other copies; weights
        may be set in place.
        """
        return factors

    @classmethod
    def final_width(cls, width: int, d_max: int) -> int:
        """Columns D that ``represent`` makes of ``width`` ego columns per copy."""
        return cls.copies * width

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores (B,) of representation rows ``users`` (B, D) with ``items`` (B, D)."""
        return (users * items).sum(1)

    def triple_scores(self, rows: Tensor, b: int) -> Tensor:
        """Scores (1 + K, B) of ``b`` users with their positives and with their K negatives;
        ``rows`` ((2 + K) B, D): representations of the users, the positives, the negatives.
        """
        users, *items = rows.split(b)  # (B, D) each
        return torch.stack([self.score(users, side) for side in items])

    def softmax_loss(self, representations: Tensor, users: Tensor, items: Tensor) -> Tensor:
        """Mean of -log of the first item's share in a softmax of the scores of ``users`` (B,) with
        their ``items`` (B, 1 + K), int64 rows of ``representations`` (n, D).
        """
        if self.inner_product and has_loops(representations):
            from bet.backbones.softmax_kernels import of_inner_products

            return compiled_loss(of_inner_products, users, items, (representations,))
        if self.inner_product:  # one product of matrices a user: few steps for a GPU
            entities = torch.cat([users, items.flatten()])  # ((2 + K) B,)
            of_users, of_items = take_rows(representations, entities).tensor_split([len(users)])
            of_items = of_items.view(*items.shape, -1)  # (B, 1 + K, D)
            scores = torch.einsum("bd,bkd->kb", of_users, of_items)  # (1 + K, B)
        else:
            entities = torch.cat([users, items.T.flatten()])  # ((2 + K) B,)
            scores = self.triple_scores(take_rows(representations, entities), len(users))
        return F.softplus((scores[1:] - scores[0]).logsumexp(0)).mean()

    def ranker(self, representations: Tensor) -> Ranker:
        """A function that scores any block of users against all items."""
        items = representations[self.n_users :].T.contiguous()  # (D, |V|)
        return lambda users: representations[users] @ items

    def served_weights(self, width: int) -> Mapping[str, Tensor]:
        """The weights that take part where rows have ``width`` columns per copy, by name."""
        return self.state_dict()

    @property
    def facts(self) -> Mapping[str, float]:
        """The few numbers that ``represent`` and ``ranker`` need besides weights."""
        return {}

    def n_parameters(self) -> int:
        """Weights of the backbone itself; the budget does not cover them."""
        return sum(weight.numel() for weight in self.parameters())


def apply_dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Inverted dropout of ``x`` with an explicit generator; the identity when there is none."""
    if generator is None or not rate:
        return x
    survives = torch.rand(x.shape, generator=generator, device=x.device) >= rate
    return x * survives / (1.0 - rate)  # the mean stays what it was
