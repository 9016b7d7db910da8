"""GMF (generalized matrix factorization; He et al., WWW 2017): NCF without its MLP branch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bet.backbones.base import Backbone
from bet.backbones.graph import Graph


class GMF(Backbone):
    """score(u, v) = c . (g_u * g_v): NCF's where nobody has an MLP row, but for what is the same
    for all items.
    """

    name = "gmf"
    l2 = 1e-2

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        super().__init__(graph, n_users, d_max, generator)
        # As large as NCF's, which are the second half of a layer.
        layer = nn.init.xavier_uniform_(torch.empty(1, 2 * d_max), generator=generator)[0]
        self.c = nn.Parameter(layer[d_max:].clone())  # (d_max,)

    def served_weights(self, width: int) -> Mapping[str, Tensor]:
        return {"c": self.c[:width]}

    @torch.no_grad()
    def take_weights(self, full: Backbone) -> None:
        """Those of a GMF, or of NCF's GMF branch."""
        self.c.copy_(full.get_parameter("c"))

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        users, items = ego[: self.n_users], ego[self.n_users :]
        return torch.cat([users * self.c[: ego.shape[1]], items])  # (n, w)

    @torch.no_grad()
    def rotate(self, ego: Tensor) -> Tensor:
        """Columns by their share of the score."""
        columns = columns_by_share(ego, self.c, self.n_users)
        self.c.copy_(self.c[columns])
        return ego[:, columns]

    @torch.no_grad()
    def take_factors(self, factors: Tensor, fresh: Tensor) -> Tensor:
        """With equal weights of the columns."""
        self.c.fill_(float(self.c.square().mean().sqrt()))
        return factors


def columns_by_share(rows: Tensor, weights: Tensor, n_users: int) -> Tensor:
    """The columns (d,) int64 of ``rows`` (n, d), users first, by how much of a score comes from
    them with ``weights`` (d,), the largest first.

    >>> columns_by_share(torch.tensor([[1.0, 1.0], [1.0, 3.0]]), torch.tensor([-2.0, 1.0]), 1)
    tensor([1, 0])
    """
    users, items = rows[:n_users], rows[n_users:]
    scales = [side.square().mean(0).sqrt() for side in (users, items)]  # (d,) each
    return (weights.abs() * scales[0] * scales[1]).argsort(descending=True, stable=True)
