"""Small data and untrained models for tests of least squares, and what is trained otherwise."""

import numpy as np

from bet.actions import Allocation
from bet.backbones import BACKBONES, IALS, new_recommender, normalized_adjacency
from bet.data.interactions import binary_matrix
from bet.seeds import torch_generator

# Backbones that run every method.
BY_GRADIENT = [name for name, backbone in BACKBONES.items() if not backbone.least_squares]


def random_matrix(n_users, n_items, seed, share=0.3):
    dense = np.random.default_rng(seed).random((n_users, n_items)) < share
    return binary_matrix(*np.nonzero(dense), dense.shape)


def fresh(train, sizes, table=None, d_max=None, init_std=None):
    graph = normalized_adjacency(train)
    sizes = np.broadcast_to(np.asarray(sizes, dtype=np.int16), graph.n)
    return new_recommender(
        IALS,
        graph,
        sizes if isinstance(sizes, Allocation) else Allocation.from_sizes(sizes.copy()),
        n_users=train.shape[0],
        d_max=d_max or int(sizes.max()),
        generator=torch_generator(0, "init"),
        init_std=init_std,
        table=table,
    )


def ever_better():
    """A validation that keeps the last weights."""
    quality = iter(range(1000))
    return lambda model: float(next(quality))
