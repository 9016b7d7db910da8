"""NCF (NeuMF; He et al., WWW 2017): one MLP layer 2 d_max -> d_max beside a GMF branch, two tables
per side.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.backbones.base import Backbone, Ranker
from bet.backbones.gmf import GMF, columns_by_share
from bet.backbones.graph import Graph
from bet.backbones.ncf_ranking import pairwise_relu_sum
from bet.backbones.rotation import principal_projection
from bet.backbones.softmax import compiled_loss, has_loops


class NCF(Backbone):
    """score(u, v) = a . relu(W_u p_u + W_v p_v + b) + c . (g_u * g_v); p from the MLP table, g from
    the GMF table (generalized matrix factorization).

    Both tables of an entity have the same size, so the budget covers both (the paper leaves open
    which one it means); or only GMF's has rows, and what is left is ``GMF``. Of rows of w columns
    only the first w columns of the weights take part.
    """

    name = "ncf"
    copies = 2
    of_last_copy = GMF
    l2 = 1e-2
    inner_product = False

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        super().__init__(graph, n_users, d_max, generator)
        hidden = d_max
        # Drawn together, as the layers of concatenated vectors that they are; kept apart, since the
        # parts of users and items are applied to each side once.
        first = nn.init.xavier_uniform_(torch.empty(hidden, 2 * d_max), generator=generator)
        self.w_user = nn.Parameter(first[:, :d_max].clone())  # (hidden, d_max)
        self.w_item = nn.Parameter(first[:, d_max:].clone())  # (hidden, d_max)
        self.bias = nn.Parameter(torch.zeros(hidden))
        last = nn.init.xavier_uniform_(torch.empty(1, hidden + d_max), generator=generator)[0]
        self.a = nn.Parameter(last[:hidden].clone())  # (hidden,)
        self.c = nn.Parameter(last[hidden:].clone())  # (d_max,)

    def served_weights(self, width: int) -> Mapping[str, Tensor]:
        cut = {"w_user": self.w_user[:, :width], "w_item": self.w_item[:, :width]}
        return cut | {"bias": self.bias, "a": self.a, "c": self.c[:width]}

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        return ego  # (n, 2 w)

    @torch.no_grad()
    def rotate(self, ego: Tensor) -> Tensor:
        """The MLP's rows by their projections, which the weights of each side follow; GMF columns
        by their share of the score.
        """
        mlp, gmf = (copy.clone() for copy in ego.chunk(2, dim=1))  # (n, d_max) each
        sides = slice(0, self.n_users), slice(self.n_users, len(ego))
        for side, weight in zip(sides, (self.w_user, self.w_item), strict=True):
            mlp[side], turned = principal_projection(mlp[side], weight)
            weight.copy_(turned)
        by_share = columns_by_share(gmf, self.c, self.n_users)
        self.c.copy_(self.c[by_share])
        return torch.cat([mlp, gmf[:, by_share]], 1)

    @torch.no_grad()
    def take_factors(self, factors: Tensor, fresh: Tensor) -> Tensor:
        """The GMF branch starts from the factors, its columns with equal weights; the MLP branch at
        random.
        """
        self.c.fill_(float(self.c.square().mean().sqrt()))
        return torch.cat([fresh, factors], 1)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        mlp_u, gmf_u = users.chunk(2, dim=1)  # (B, w) each
        mlp_v, gmf_v = items.chunk(2, dim=1)  # (B, w) each
        width = mlp_u.shape[1]
        of_users = mlp_u @ self.w_user[:, :width].T  # (B, hidden)
        of_items = mlp_v @ self.w_item[:, :width].T  # (B, hidden)
        hidden = F.relu(of_users + of_items + self.bias)  # (B, hidden)
        return hidden @ self.a + (gmf_u * gmf_v) @ self.c[:width]  # (B,)

    def triple_scores(self, rows: Tensor, b: int) -> Tensor:
        width = rows.shape[1] // 2
        weights = (
            self.w_user[:, :width],
            self.w_item[:, :width],
            self.bias,
            self.a,
            self.c[:width],
        )
        return _TripleScores.apply(rows, b, *weights)

    def softmax_loss(self, representations: Tensor, users: Tensor, items: Tensor) -> Tensor:
        """With the loop every entity is projected once, however often it is drawn."""
        if not has_loops(representations):
            return super().softmax_loss(representations, users, items)
        from bet.backbones.softmax_kernels import of_ncf

        mlp, gmf = representations.chunk(2, dim=1)  # (n, w) each
        x, y = self._projected(mlp)
        inputs = x, y, gmf, self.a, self.c[: gmf.shape[1]]
        return compiled_loss(of_ncf, users, items, inputs)

    def _projected(self, mlp: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's share of users (|U|, hidden), with the bias, and of items (|V|, hidden)
        of their MLP rows (n, w).
        """
        width = mlp.shape[1]
        x = mlp[: self.n_users] @ self.w_user[:, :width].T + self.bias
        return x, mlp[self.n_users :] @ self.w_item[:, :width].T

    def ranker(self, representations: Tensor) -> Ranker:
        """Full ranking through the separable first layer: each side is projected once; hidden units
        are summed over all pairs.
        """
        mlp, gmf = representations.chunk(2, dim=1)  # (n, w) each
        width = gmf.shape[1]
        x, y = self._projected(mlp)
        mlp_scores = pairwise_relu_sum(y, self.a)
        items_gmf = (gmf[self.n_users :] * self.c[:width]).T.contiguous()  # (w, |V|)
        return lambda users: mlp_scores(x[users]).addmm_(gmf[users], items_gmf)


class _TripleScores(torch.autograd.Function):
    """NCF's scores (t, B) of B users with t = 1 + K items each, with a gradient by hand: a user is
    projected once for all items, and no product is formed twice.

    ``rows`` ((1 + t) B, 2 w): of users, positives, negatives. Weights as in ``NCF``, cut to w
    columns.
    """

    @staticmethod
    def forward(ctx, rows: Tensor, b: int, *weights: Tensor) -> Tensor:
        w_user, w_item, bias, a, c = weights
        width = len(c)
        mlp, gmf = rows[:, :width].contiguous(), rows[:, width:]  # ((1 + t) B, w) each
        items = (mlp[b:] @ w_item.T).view(-1, b, len(a))  # (t, B, hidden)
        hidden = items.add_(torch.addmm(bias, mlp[:b], w_user.T)).relu_()  # (t, B, hidden)
        weighted = gmf[:b] * c  # (B, w)
        gmf_scores = torch.einsum("bw,tbw->tb", weighted, gmf[b:].unflatten(0, (-1, b)))
        ctx.b = b
        ctx.save_for_backward(rows, hidden, *weights)
        return hidden @ a + gmf_scores  # (t, B)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # (t, B)
        rows, hidden, w_user, w_item, _, a, c = ctx.saved_tensors
        b, width = ctx.b, len(c)
        mlp, gmf = rows[:, :width].contiguous(), rows[:, width:]  # ((1 + t) B, w) each
        at_rows = torch.empty_like(rows)  # gradients at ...: ((1 + t) B, 2 w)
        # The sign of what relu gave, 0 or 1, is relu's derivative.
        at_hidden = hidden.sign().mul_(a).mul_(gradient[:, :, None])  # (t, B, hidden)
        at_items, at_users = at_hidden.flatten(0, 1), at_hidden.sum(0)  # (t B, hidden), (B, hidden)
        at_rows[:b, :width] = at_users @ w_user
        at_rows[b:, :width] = at_items @ w_item
        items = gmf[b:].unflatten(0, (-1, b)) * gradient[:, :, None]  # (t, B, w)
        for_users = items.sum(0)  # (B, w)
        torch.mul(for_users, c, out=at_rows[:b, width:])
        at_item_rows = at_rows[b:, width:].unflatten(0, (-1, b))
        torch.mul((gmf[:b] * c)[None], gradient[:, :, None], out=at_item_rows)
        return (
            at_rows,
            None,
            at_users.T @ mlp[:b],
            at_items.T @ mlp[b:],
            at_users.sum(0),
            hidden.flatten(0, 1).T @ gradient.flatten(),
            (gmf[:b] * for_users).sum(0),
        )
