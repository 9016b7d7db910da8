"""Write the file that serves a model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.backbones import Recommender
from bet.packed import float32_layout, layout_of, write_packed, write_pruned, write_recommender
from bet.serving.layouts import ServedFile, coded_in_order, row_order, served_file, stored_weights
from bet.tables import MaskedTable, PrunedTable, VectorTable

Names = tuple[Sequence[object], Sequence[object]]
"""Ids of users and of items, by number."""


@torch.no_grad()
def write_served(
    path: Path,
    model: Recommender,
    interactions: csr_array,
    *,
    with_seen: bool = False,
    ids: Names | None = None,
) -> ServedFile:
    """Write the shortest file from which the scores of ``model`` can be computed again; it was
    fitted to ``interactions`` (|U|, |V|) binary CSR.

    with_seen: also which items every user has seen, where the interactions are not in the file
    anyway. ids: kept in the file. Both count. Raises BetError where a number is not finite.
    """
    file, order = served_file(model, interactions), row_order(model, interactions)
    coded = coded_in_order(interactions, order)
    layout = file.layout
    with TemporaryDirectory() as folder:
        table = Path(folder) / "table"
        if layout.table_bytes is not None:
            _write_table(table, model, file, order)
        if file.is_table and not with_seen and ids is None:
            path.write_bytes(table.read_bytes())
            return file
        write_recommender(
            path,
            layout.backbone,
            layout.facts,
            n_users=layout.n_users,
            n_items=layout.n_items,
            table=table if layout.table_bytes is not None else None,
            interactions=coded if layout.interactions else None,
            seen=coded if with_seen and not layout.interactions else None,
            weights=stored_weights(model) if layout.weights else None,
            ids=_in_order(ids, order) if ids else None,
        )
    return replace(file, is_table=False)


def _write_table(path: Path, model: Recommender, file: ServedFile, order: np.ndarray) -> None:
    """The table of ``file``, or the final vectors, rows in ``order``."""
    table, n_users = model.table, model.n_users
    if file.is_table and not isinstance(table, VectorTable):
        vectors = model.represent(table()).cpu().numpy()[order]  # (n, D)
        layout = layout_of(np.full(len(order), vectors.shape[1]), 32, n_users, by_rank=True)
        write_packed(path, replace(layout, file_kind="vectors"), vectors[:, None])
    elif isinstance(table, PrunedTable):
        mask, values = table.mask.cpu().numpy()[order], table.weight.cpu().numpy()[order]
        write_pruned(path, mask, values, n_users=n_users, copies=table.copies)
    elif isinstance(table, MaskedTable) and table.fixed_order is None:
        sizes, copies = table.sizes[order], table.copies
        rows = table.weight.cpu().numpy()[order].reshape(len(order), copies, -1)
        layout = float32_layout(sizes, n_users=n_users, copies=copies, d_max=table.d_max)
        write_packed(path, layout, rows)
    else:
        model.save_table(path)
