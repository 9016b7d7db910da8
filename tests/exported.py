"""A file of vectors with ids, to export."""

import numpy as np

from bet.packed import layout_of, load, write_packed
from bet.packed.layout import Layout

N_USERS, N_ITEMS, D = 30, 50, 11
IDS = [f"ü\n{i}" for i in range(N_USERS)], [*range(N_ITEMS)]


def write_vectors(path, bits=(4,), by_id=False, kind="vectors", sizes=None):
    """Vectors of ``bits`` by rank, the same share of rows each."""
    values = np.random.default_rng(0).standard_normal((N_USERS + N_ITEMS, 1, D)).astype("f4")
    row_bits = np.concatenate([np.sort(np.resize(bits, n))[::-1] for n in (N_USERS, N_ITEMS)])
    if by_id:
        row_bits = np.resize(bits, N_USERS + N_ITEMS)
    sizes = np.full(len(values), D) if sizes is None else sizes
    layout = layout_of(sizes, row_bits, N_USERS, by_rank=not by_id)
    layout = Layout(layout.kinds, layout.counts, layout.kinds_by_id, file_kind=kind)
    write_packed(path, layout, values, IDS)
    return load(path).rows(range(N_USERS + N_ITEMS))[:, 0]
