"""NCF (NeuMF; He et al., WWW 2017): one MLP layer 2 d_max -> d_max beside a GMF branch, two tables
per side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.backbones.base import Backbone, Ranker
from bet.backbones.graph import Graph
from bet.backbones.ncf_ranking import pairwise_relu_sum


class NCF(Backbone):
    """score(u, v) = a . relu(W_u p_u + W_v p_v + b) + c . (g_u * g_v); p from the MLP table, g from
    the GMF table.

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
        self.a, self.c = (
            nn.Parameter(output[:hidden].clone()),
            nn.Parameter(output[hidden:].clone()),
        )

    def represent(self, ego: Tensor, dropout=None) -> Tensor:
        return ego

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        (mlp_u, gmf_u), (mlp_v, gmf_v) = users.chunk(2, dim=1), items.chunk(2, dim=1)
        width = mlp_u.shape[1]
        hidden = F.relu(
            mlp_u @ self.w_user[:, :width].T + mlp_v @ self.w_item[:, :width].T + self.bias
        )
        return hidden @ self.a + (gmf_u * gmf_v) @ self.c[:width]

    def triple_scores(self, rows: Tensor) -> Tensor:
        width = rows.shape[1] // 2
        weights = (
            self.w_user[:, :width],
            self.w_item[:, :width],
            self.bias,
            self.a,
            self.c[:width],
        )
        return _TripleScores.apply(rows, *weights)

    def ranker(self, representations: Tensor) -> Ranker:
        """Full ranking through the separable first layer: each side is projected once; hidden units
        are summed over all pairs.
        """
        width = representations.shape[1] // 2
        mlp, gmf = representations[:, :width], representations[:, width:]
        x = mlp[: self.n_users] @ self.w_user[:, :width].T + self.bias  # (|U|, hidden)
        hinge = pairwise_relu_sum(mlp[self.n_users :] @ self.w_item[:, :width].T, self.a)
        items_gmf = (gmf[self.n_users :] * self.c[:width]).T.contiguous()  # (width, |V|)
        return lambda users: hinge(x[users]).addmm_(gmf[users], items_gmf)


class _TripleScores(torch.autograd.Function):
    """NCF's scores of B triples: a user is projected once for both items, and no (3B, width)
    product is formed twice.
    """

    @staticmethod
    def forward(
        ctx, rows: Tensor, w_user: Tensor, w_item: Tensor, bias: Tensor, a: Tensor, c: Tensor
    ) -> Tensor:
        b, width = len(rows) // 3, len(c)
        mlp, gmf = rows[:, :width].contiguous(), rows[:, width:]
        items = (mlp[b:] @ w_item.T).view(2, b, -1)
        hidden = items.add_(torch.addmm(bias, mlp[:b], w_user.T)).relu_()  # (2, B, hidden)
        weighted = gmf[:b] * c
        gmf_scores = torch.einsum("bw,tbw->tb", weighted, gmf[b:].unflatten(0, (2, b)))
        ctx.save_for_backward(rows, w_user, w_item, a, c, hidden)
        return hidden @ a + gmf_scores

    @staticmethod
    def backward(ctx, gradient: Tensor):  # (2, B)
        rows, w_user, w_item, a, c, hidden = ctx.saved_tensors
        b, width = len(rows) // 3, len(c)
        mlp, gmf = rows[:, :width].contiguous(), rows[:, width:]
        out = torch.empty_like(rows)
        at_hidden = (
            hidden.sign().mul_(a).mul_(gradient[:, :, None])
        )  # (2, B, hidden); hidden is nowhere negative
        at_items, at_users = at_hidden.flatten(0, 1), at_hidden.sum(0)
        out[:b, :width] = at_users @ w_user
        out[b:, :width] = at_items @ w_item
        items = gmf[b:].unflatten(0, (2, b)) * gradient[:, :, None]
        for_users = items.sum(0)  # (B, width)
        torch.mul(for_users, c, out=out[:b, width:])
        torch.mul(
            (gmf[:b] * c)[None], gradient[:, :, None], out=out[b:, width:].unflatten(0, (2, b))
        )
        return (
            out,
            at_users.T @ mlp[:b],
            at_items.T @ mlp[b:],
            at_users.sum(0),
            hidden.flatten(0, 1).T @ gradient.flatten(),
            (gmf[:b] * for_users).sum(0),
        )
