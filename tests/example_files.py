"""A small table file of every kind, for the tests that read them."""

import numpy as np
import torch

from bet.actions import Allocation
from bet.packed import CodebookLayout, layout_of, write_packed, write_pruned
from bet.tables import CodebookSpec, HashedSpec

KINDS = ("packed", "float32", "pruned", "codebook", "hashed")
USERS, ITEMS = ["ann", "bob", "ü"], ["tea", "ale"]
CODEBOOK = CodebookLayout(
    columns=4,
    copies=1,
    subspaces=2,
    code_bits=1,
    users=3,
    items=2,
    user_uncompressed=1,
    item_uncompressed=0,
)


def write_example(kind, path):
    """A file of 3 users and 2 items, 1 x 4 columns."""
    values = np.random.default_rng(0).standard_normal((5, 1, 4)).astype(np.float32)
    sizes = np.array([4, 2, 1, 3, 1])
    if kind == "packed":
        write_packed(path, layout_of(sizes, 4, 3), values)
    elif kind == "float32":
        write_packed(path, layout_of(sizes, 32, 3), values)
    elif kind == "pruned":
        write_pruned(path, values[:, 0] > 0, values[:, 0], n_users=3)
    elif kind == "codebook":
        order = np.arange(5)
        codes = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
        spec = CodebookSpec(CODEBOOK, codes, order, np.ones((5, 4), np.float32))
        spec.table(Allocation.uniform(5, 4), d_max=4, copies=1).save(path)
    else:
        spec = HashedSpec(
            size=4, rows=4, user_rows=2, weights=0, k=2, k_weights=0, n_users=3, seed=0
        )
        generator = torch.Generator().manual_seed(0)
        table = spec.table(
            Allocation.uniform(5, 4), d_max=4, copies=1, std=1.0, generator=generator
        )
        table.save(path)
