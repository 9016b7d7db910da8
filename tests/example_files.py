"""A small file of every kind, for the tests that read them."""

from dataclasses import replace

import numpy as np
import torch

from bet.actions import Allocation
from bet.packed import (
    CodebookLayout,
    code_interactions,
    layout_of,
    write_packed,
    write_pruned,
    write_recommender,
)
from bet.tables import CodebookSpec, HashedSpec

KINDS = ("packed", "vectors", "float32", "pruned", "codebook", "hashed")
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
    elif kind == "vectors":
        write_packed(path, replace(layout_of(sizes, 4, 3), file_kind="vectors"), values)
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
            size=4, rows=4, user_rows=2, weights=3, k=2, k_weights=1, n_users=3, seed=0
        )
        generator = torch.Generator().manual_seed(0)
        table = spec.table(
            Allocation.uniform(5, 4), d_max=4, copies=1, std=1.0, generator=generator
        )
        table.save(path)


def example_lists():
    """Items of the 3 users, coded: 0 and 1, 1, none."""
    return code_interactions(np.array([0, 2, 3, 3]), np.array([1, 0, 1]), n_items=2)


def write_example_recommender(kind, path, **parts):
    """A recommender of 3 users and 2 items, with a table of ``kind`` unless it is None."""
    table = path.with_name("inside") if kind else None
    if table:
        write_example(kind, table)
    parts = {"interactions": example_lists(), "weights": {"w.0": np.ones((2, 2), "f4")}} | parts
    facts = {"layers": 3, "a": 0.5}
    report = write_recommender(path, "ngcf", facts, n_users=3, n_items=2, table=table, **parts)
    if table:
        table.unlink()
    return report
