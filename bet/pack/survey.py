"""What has to be known of one side's vectors before any is rounded: one pass over all of them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bet.errors import BetError
from bet.pack.sources import Vectors
from bet.packed.id_side import integer_id_tensor
from bet.packed.ids import id_tensors
from bet.progress import progress_bar

Names = np.ndarray
"""(n,) ids of a side: int64, or text as objects."""


@dataclass(frozen=True)
class Survey:
    """``gram`` (d, d) float64, the sum of all outer products; ``sample`` (s, d) float32, rows to
    try roundings on; ``ids`` (n,), and ``frequency`` (n,) where the file has it.
    """

    gram: np.ndarray = field(repr=False)
    sample: np.ndarray = field(repr=False)
    ids: Names = field(repr=False)
    frequency: np.ndarray | None = field(repr=False)


def survey(vectors: Vectors, sampled: np.ndarray, *, label: str, progress: bool) -> Survey:
    """Read all rows once; ``sampled`` (s,) are the numbers of those to keep, in rising order.

    Raises BetError where a number is not finite, a row is of another length, an id is missing or
    stands twice.
    """
    gram = np.zeros((vectors.d, vectors.d))
    kept: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    frequencies: list[np.ndarray] = []
    with progress_bar(label=f"read {label}", total=vectors.n, shown=progress) as bar:
        for block in vectors.blocks(with_ids=True):
            gram += block.values.T @ block.values
            kept.append(block.among(sampled))
            if block.ids is not None:
                ids.append(block.ids)
            if block.frequency is not None:
                frequencies.append(block.frequency)
            bar.update(len(block.values))
    return Survey(
        gram,
        np.concatenate(kept),
        ids=_different(vectors, np.concatenate(ids)),
        frequency=np.concatenate(frequencies) if frequencies else None,
    )


def _different(vectors: Vectors, ids: Names) -> Names:
    """``ids`` (n,); raises BetError where one stands twice."""
    if ids.dtype == np.int64:
        order = np.argsort(ids, kind="stable")
        is_repeated = np.diff(ids[order]) == 0
        repeated = order[1:][is_repeated]  # (r,), in the order of the ids
        if not len(repeated):
            return ids
        row = int(repeated.min())
    elif len(set(ids)) == len(ids):
        return ids
    else:
        row = int(np.flatnonzero(pd.Index(ids).duplicated())[0])
    first = int(np.flatnonzero(ids == ids[row])[0])
    (name,) = ids[row : row + 1].tolist()
    raise BetError(
        f"{vectors.path}: id {name!r} stands in rows {first} and {row} (from 0); every vector "
        "needs its own id, remove one"
    )


def names_tensor(names: Names, side: int) -> np.ndarray:
    """How a file holds the ids ``names`` (n,) of side 0, users, or 1, items: (bytes,) uint8.

    >>> names_tensor(np.array([7, 12]), side=0).tolist()
    [0, 3, 7, 0, 0, 0, 0, 0, 0, 0, 20]
    """
    if names.dtype == np.int64:
        tensor = integer_id_tensor(names)
        if tensor is not None:
            return tensor
    both = ([*names.tolist()], []) if side == 0 else ([], [*names.tolist()])
    return [*id_tensors(both).values()][side]
