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
        # On CPUs the weighted embedding_bag is torch's fastest product; see benchmarks/README.md.
        return F.embedding_bag(
            self.indices,
            x.contiguous(),
            self.indptr,
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )


def normalized_adjacency(train: csr_array) -> Graph:
    """The graph of ``train`` (|U|, |V|) binary CSR; isolated nodes get empty rows.

    The first user has two items, of which the second is everybody's: 1 / sqrt(2 * 1) and
    1 / sqrt(2 * 2) stand in this user's row, over both users and both items.

    >>> graph = normalized_adjacency(csr_array(np.array([[1, 1], [0, 1]], dtype=np.uint8)))
    >>> [round(value, 3) for value in graph.matmul(torch.eye(4))[0].tolist()]
    [0.0, 0.0, 0.707, 0.5]
    """
    items_by_user = csr_array(train)
    users_by_item = csr_array(items_by_user.T.tocsr())
    degrees = np.concatenate([np.diff(items_by_user.indptr), np.diff(users_by_item.indptr)])  # (n,)
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    # Users come first, so that the node of an item is |U| further on.
    indices = np.concatenate([items_by_user.indices + train.shape[0], users_by_item.indices])
    indptr, indices = indptr.astype(np.int32), indices.astype(np.int32)
    inverse_root = 1.0 / np.sqrt(np.maximum(degrees, 1))
    inverse_root = np.where(degrees > 0, inverse_root, 0.0).astype(np.float32)
    values = np.repeat(inverse_root, degrees) * inverse_root[indices]  # (nnz,)
    return Graph(torch.from_numpy(indptr), torch.from_numpy(indices), torch.from_numpy(values))


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
    """Mean of x, A x, ..., A^L x: a symmetric map, too, so the backward pass is the same mean."""

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
    # see benchmarks/README.md.
    mean = torch.empty_like(x)
    for block, result in zip(x.split(BLOCK, dim=1), mean.split(BLOCK, dim=1), strict=True):
        width = block.shape[1]
        padded = F.pad(block, (0, -width % 8)).contiguous()  # (n, a multiple of 8)
        result.copy_(_horner(graph, padded, layers)[:, :width])
    return mean


def _horner(graph: Graph, x: Tensor, layers: int) -> Tensor:
    """The mean in Horner's form, x + A (x + A (x + ...)): no layer's output is kept."""
    total = x.clone() if not layers else x
    for _ in range(layers):
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
