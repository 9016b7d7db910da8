"""Ways of saving time: every function measures the work without and with one of them, and raises
when the two results differ by more than rounding.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.measuring import BATCH, D_MAX, seconds
from benchmarks.speed.work import ten_steps
from bet.actions import Allocation
from bet.backbones import (
    Graph,
    LightGCN,
    new_recommender,
    normalized_adjacency,
    truncate_recommender,
)
from bet.backbones.graph import propagate_mean
from bet.backbones.ncf_ranking import by_distances, compiled
from bet.data import Split
from bet.process import fixed_threads, keep_freed_memory
from bet.seeds import torch_generator
from bet.tables import take_rows

LAYERS = LightGCN.layers


@dataclass(frozen=True)
class Factor:
    """Median seconds without and with the change, and what was compared."""

    before: float
    after: float
    note: str


def _ego(graph: Graph, width: int) -> Tensor:
    return torch.randn(graph.n, width, generator=torch_generator(0, "ego"))


def _csr(graph: Graph) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            graph.indptr, graph.indices, graph.values, (graph.n, graph.n), check_invariants=False
        )


def check_same(before: Tensor, after: Tensor, tolerance: float = 1e-4) -> None:
    """Raise AssertionError where they differ by more than rounding."""
    torch.testing.assert_close(after, before, rtol=tolerance, atol=tolerance)


def kept_memory(split: Split, repeat: int) -> Factor:
    """Freed blocks stay with the process. Must be the first row: there is no way back."""
    before = ten_steps(split, D_MAX, repeat)
    keep_freed_memory()
    return Factor(
        before,
        ten_steps(split, D_MAX, repeat),
        f"ten steps, {D_MAX} columns; the arithmetic is the same",
    )


def used_columns(split: Split, repeat: int) -> Factor:
    """Columns that nobody uses are not there."""
    graph, n_users = normalized_adjacency(split.train), split.train.shape[0]
    full = new_recommender(
        LightGCN,
        graph,
        Allocation.uniform(graph.n, D_MAX),
        n_users=n_users,
        d_max=D_MAX,
        generator=torch_generator(0, "init"),
        init_std=0.1,
    )
    sizes = np.random.default_rng(0).integers(1, 30, graph.n, endpoint=True)
    cut = truncate_recommender(full, Allocation.from_sizes(sizes))
    mask = torch.arange(D_MAX) < torch.from_numpy(sizes)[:, None]  # (n, d_max)
    zeroed = full.table.weight.detach() * mask  # type: ignore[union-attr]
    with torch.no_grad():
        wide, narrow = full.backbone.represent(zeroed), cut.backbone.represent(cut.table())
        check_same(wide[:, : narrow.shape[1]], narrow)
        assert not wide[:, narrow.shape[1] :].any()
        before = seconds(lambda: full.backbone.represent(zeroed), repeat)
        after = seconds(lambda: cut.backbone.represent(cut.table()), repeat)
    return Factor(before, after, "propagate an action whose largest size is 30")


def product(split: Split, repeat: int) -> Factor:
    """A weighted embedding_bag instead of torch's CSR product."""
    graph = normalized_adjacency(split.train)
    x = _ego(graph, 64)
    csr = _csr(graph)
    check_same(csr @ x, graph.matmul(x))
    return Factor(
        seconds(lambda: csr @ x, repeat),
        seconds(lambda: graph.matmul(x), repeat),
        "A X, 64 columns",
    )


def short_indices(split: Split, repeat: int) -> Factor:
    """32-bit indices instead of 64-bit ones."""
    graph = normalized_adjacency(split.train)
    long = Graph(graph.indptr.long(), graph.indices.long(), graph.values)
    x = _ego(graph, 16)
    check_same(long.matmul(x), graph.matmul(x))
    return Factor(
        seconds(lambda: long.matmul(x), repeat),
        seconds(lambda: graph.matmul(x), repeat),
        "A X, 16 columns",
    )


def column_blocks(split: Split, repeat: int) -> Factor:
    """All layers for a block of columns at a time, which stays in the cache, instead of layer by
    layer.
    """
    graph = normalized_adjacency(split.train)
    x = _ego(graph, D_MAX)

    def whole() -> Tensor:
        total = x
        for _ in range(LAYERS):
            total = graph.matmul(total).add_(x)
        return total.div_(LAYERS + 1)

    check_same(whole(), propagate_mean(graph, x, LAYERS))
    blocks = seconds(lambda: propagate_mean(graph, x, LAYERS), repeat)
    return Factor(seconds(whole, repeat), blocks, f"three layers, {D_MAX} columns")


def symmetric_backward(split: Split, repeat: int) -> Factor:
    """One symmetric map with itself as its gradient instead of recorded products."""
    graph = normalized_adjacency(split.train)
    x = _ego(graph, 16).requires_grad_()
    weights = _ego(graph, 16).flip(0)
    csr = _csr(graph)

    def recorded() -> Tensor:
        layers = [x]
        for _ in range(LAYERS):
            layers.append(csr @ layers[-1])
        return torch.autograd.grad((torch.stack(layers).mean(0) * weights).sum(), x)[0]

    def symmetric() -> Tensor:
        return torch.autograd.grad((propagate_mean(graph, x, LAYERS) * weights).sum(), x)[0]

    check_same(recorded(), symmetric())
    return Factor(
        seconds(recorded, repeat),
        seconds(symmetric, repeat),
        "forward and backward, 16 columns, against torch's CSR",
    )


def gathered_rows(split: Split, repeat: int) -> Factor:
    """Adding rows up instead of the backward pass of an embedding."""
    n = sum(split.train.shape)
    x = torch.randn(n, 64, generator=torch_generator(0, "ego")).requires_grad_()
    rows = torch.randint(n, (3 * BATCH,), generator=torch_generator(0, "rows"))
    weights = torch.randn(3 * BATCH, 64, generator=torch_generator(0, "weights"))

    def gradient(take: Callable[[], Tensor]) -> Tensor:
        return torch.autograd.grad((take() * weights).sum(), x)[0]

    def embedding() -> Tensor:
        return gradient(lambda: F.embedding(rows, x))

    def ours() -> Tensor:
        return gradient(lambda: take_rows(x, rows))

    check_same(embedding(), ours())
    return Factor(
        seconds(embedding, repeat),
        seconds(ours, repeat),
        f"{3 * BATCH:,} rows of 64 columns, forward and backward",
    )


def large_batches(split: Split, repeat: int) -> Factor:
    """The same number of triples in fewer, larger steps: a step on the graph costs little more with
    more triples.
    """
    rounds = 9
    before = ten_steps(split, 64, repeat) * rounds * BATCH / (10 * BATCH)
    after = ten_steps(split, 64, repeat, rounds * BATCH) / 10
    return Factor(
        before, after, f"{rounds * BATCH:,} triples, 64 columns, in {rounds} steps or in one"
    )


def two_threads(split: Split, repeat: int) -> Factor:
    """A run that is alone on its machine may use two cores (``--threads 2``)."""
    graph = normalized_adjacency(split.train)
    x = _ego(graph, D_MAX)
    before, alone = ten_steps(split, D_MAX, repeat), propagate_mean(graph, x, LAYERS)
    with fixed_threads(2):
        check_same(alone, propagate_mean(graph, x, LAYERS))
        after = ten_steps(split, D_MAX, repeat)
    return Factor(before, after, f"ten steps, {D_MAX} columns")


def ncf_ranking(split: Split, repeat: int) -> Factor:
    """NCF's hidden layer over all pairs in a compiled loop instead of L1 distances."""
    generator = torch_generator(0, "hidden")
    x, y, a = (
        torch.randn(*shape, generator=generator)
        for shape in ((256, D_MAX), (split.train.shape[1], D_MAX), (D_MAX,))
    )
    distances, loop = by_distances(y, a), compiled(y, a)
    check_same(distances(x), loop(x), 1e-3)
    note = f"256 users, all items, {D_MAX} hidden units"
    return Factor(seconds(lambda: distances(x), repeat), seconds(lambda: loop(x), repeat), note)
