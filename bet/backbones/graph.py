"""The symmetric normalized adjacency of the user-item graph and its product with node features."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor

BLOCK = 32  # columns that are propagated together on a CPU


@dataclass(frozen=True)
class Graph:
    """D^-1/2 A D^-1/2 over n = |U| + |V| nodes, users first, in CSR form.

    ``indptr`` (n + 1,) int32, ``indices`` (nnz,) int32, ``values`` (nnz,) float32, all on one
    device.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor

    @property
    def n(self) -> int:
        return len(self.indptr) - 1

    def to(self, device: torch.device | str) -> "Graph":
        return Graph(self.indptr.to(device), self.indices.to(device), self.values.to(device))

    @cached_property
    def _csr(self) -> Tensor:
        return torch.sparse_csr_tensor(self.indptr, self.indices, self.values, (self.n, self.n))

    def matmul(self, x: Tensor) -> Tensor:
        """A @ x for dense ``x`` (n, d) float32, without autograd."""
        if x.is_cuda:
            return self._csr @ x
        # On CPUs the weighted embedding_bag is the fastest product torch offers; see benchmarks/.
        return F.embedding_bag(
            self.indices,
            x.contiguous(),
            self.indptr,
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )


def normalized_adjacency(train: csr_array) -> Graph:
    """Build the graph of ``train`` (|U|, |V|) binary CSR; isolated nodes get empty rows."""
    n_users = train.shape[0]
    items_by_user = csr_array(train)
    users_by_item = csr_array(items_by_user.T.tocsr())
    inverse_root_users = _inverse_root(np.diff(items_by_user.indptr))
    inverse_root_items = _inverse_root(np.diff(users_by_item.indptr))
    degrees = np.concatenate([np.diff(items_by_user.indptr), np.diff(users_by_item.indptr)])
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int32)
    indices = np.concatenate([items_by_user.indices + n_users, users_by_item.indices]).astype(
        np.int32
    )
    inverse_root = np.concatenate([inverse_root_users, inverse_root_items])
    values = np.repeat(inverse_root, degrees) * inverse_root[indices]
    return Graph(torch.from_numpy(indptr), torch.from_numpy(indices), torch.from_numpy(values))


def _inverse_root(degrees: np.ndarray) -> np.ndarray:
    return np.where(degrees > 0, 1.0 / np.sqrt(np.maximum(degrees, 1)), 0.0).astype(np.float32)


class _Propagate(torch.autograd.Function):
    """A @ x; the adjacency is symmetric, so the backward pass is the same product."""

    @staticmethod
    def forward(ctx, x: Tensor, graph: Graph) -> Tensor:
        ctx.graph = graph
        return graph.matmul(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.graph.matmul(gradient), None


class _PropagateMean(torch.autograd.Function):
    """mean of x, A x, ..., A^L x: a symmetric map as well, so one code path serves both directions."""

    @staticmethod
    def forward(ctx, x: Tensor, graph: Graph, layers: int) -> Tensor:
        ctx.graph, ctx.layers = graph, layers
        return _layer_mean(graph, x, layers)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _layer_mean(ctx.graph, gradient, ctx.layers), None, None


def _layer_mean(graph: Graph, x: Tensor, layers: int) -> Tensor:
    if x.is_cuda or not layers or (x.shape[1] <= BLOCK and x.shape[1] % 8 == 0):
        return _horner(graph, x, layers)
    # A block of columns stays in the cache, and whole vector registers are faster than 13 columns:
    # see benchmarks/.
    out = torch.empty_like(x)
    for block, result in zip(x.split(BLOCK, dim=1), out.split(BLOCK, dim=1), strict=True):
        width = block.shape[1]
        padded = F.pad(block, (0, -width % 8)).contiguous()
        result.copy_(_horner(graph, padded, layers)[:, :width])
    return out


def _horner(graph: Graph, x: Tensor, layers: int) -> Tensor:
    total = x.clone() if not layers else x
    for _ in range(layers):  # x + A (x + A (x + ...))
        total = graph.matmul(total).add_(x)
    return total.div_(layers + 1)


def propagate(graph: Graph, x: Tensor) -> Tensor:
    """A @ x, differentiable in ``x`` (n, d)."""
    return _Propagate.apply(x, graph)


def propagate_mean(graph: Graph, x: Tensor, layers: int) -> Tensor:
    """Mean over layers 0..L of A^l @ x, differentiable in ``x`` (n, d); LightGCN's whole forward
    pass.
    """
    return _PropagateMean.apply(x, graph, layers)
