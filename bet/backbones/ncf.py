"""NCF (NeuMF; He et al., WWW 2017): one MLP layer 2 d_max -> d_max beside a GMF branch, two tables per side."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.backbones.base import Backbone, Ranker
from bet.backbones.graph import Graph
from bet.backbones.hinge import pairwise_hinge


class NCF(Backbone):
    """score(u, v) = a . relu(W_u p_u + W_v p_v + b) + c . (g_u * g_v); p from the MLP table, g from the GMF table.

    Both tables of an entity have the same size, so the budget covers both.
    """

    copies = 2
    l2 = 1e-2

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        super().__init__(graph, n_users, d_max, generator)
        hidden = d_max
        joint = nn.init.xavier_uniform_(torch.empty(hidden, 2 * d_max), generator=generator)
        self.w_user = nn.Parameter(joint[:, :d_max].clone())
        self.w_item = nn.Parameter(joint[:, d_max:].clone())
        self.bias = nn.Parameter(torch.zeros(hidden))
        output = nn.init.xavier_uniform_(torch.empty(1, hidden + d_max), generator=generator)[0]
        self.a, self.c = nn.Parameter(output[:hidden].clone()), nn.Parameter(output[hidden:].clone())

    def represent(self, ego: Tensor, dropout=None) -> Tensor:
        return ego

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        (mlp_u, gmf_u), (mlp_v, gmf_v) = users.chunk(2, dim=1), items.chunk(2, dim=1)
        width = mlp_u.shape[1]
        hidden = F.relu(mlp_u @ self.w_user[:, :width].T + mlp_v @ self.w_item[:, :width].T + self.bias)
        return hidden @ self.a + (gmf_u * gmf_v) @ self.c[:width]

    def ranker(self, representations: Tensor) -> Ranker:
        """Full ranking through the separable first layer: each side is projected once; hidden units are summed over all pairs."""
        width = representations.shape[1] // 2
        mlp, gmf = representations[:, :width], representations[:, width:]
        x = mlp[: self.n_users] @ self.w_user[:, :width].T + self.bias  # (|U|, hidden)
        hinge = pairwise_hinge(mlp[self.n_users :] @ self.w_item[:, :width].T, self.a)
        items_gmf = (gmf[self.n_users :] * self.c[:width]).T.contiguous()  # (width, |V|)
        return lambda users: hinge(x[users]).addmm_(gmf[users], items_gmf)
