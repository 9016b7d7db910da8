"""Write the file that serves a model."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from scipy.sparse import csr_array

from bet.backbones import Recommender
from bet.errors import BetError
from bet.files import atomic_path
from bet.packed import (
    Fact,
    Ids,
    float32_layout,
    id_layout,
    vectors_layout,
    write_packed,
    write_pruned,
    write_recommender,
)
from bet.serving.layouts import ServedFile, served_file, stored_weights
from bet.tables import MaskedTable, PrunedTable, VectorTable


@torch.no_grad()
def write_served(
    path: Path,
    model: Recommender,
    interactions: csr_array,
    *,
    with_seen: bool = False,
    ids: Ids | None = None,
    facts: Mapping[str, Fact] | None = None,
) -> ServedFile:
    """Write the shortest file from which the scores of ``model`` can be computed again; it was
    fitted to ``interactions`` (|U|, |V|) binary CSR.

    with_seen: also which items every user has seen, where the interactions are not in the file
    anyway. ids: of users and of items, by number, kept in the file. facts: further words and
    finite numbers; with ``unobserved_weight``, ``l2`` and ``exponent``, by which vectors were
    fitted, a reader gives new users theirs (``bet.recommend``). All of them count. Raises BetError
    where a number is not finite, and for a fact that the model states itself.
    """
    file = served_file(model, interactions)
    further = dict(facts or {})
    for name in further.keys() & file.layout.facts.keys():
        raise BetError(f"the model itself says what {name} is; leave it out of facts")
    coded, in_order = file.coded, None if ids is None else file.in_order(ids)
    layout = replace(
        file.layout,
        facts={**file.layout.facts, **further},
        seen=coded.layout if with_seen and not file.layout.interactions else None,
        ids=id_layout(in_order) if in_order else (),
    )
    with TemporaryDirectory() as folder:
        table = Path(folder) / "table"
        if layout.table_bytes is not None:
            _write_table(table, model, file)
        if file.is_table and layout == file.layout:
            with atomic_path(path) as temporary:
                shutil.copyfile(table, temporary)
            return file
        write_recommender(
            path,
            layout.backbone,
            layout.facts,
            n_users=layout.n_users,
            n_items=layout.n_items,
            table=table if layout.table_bytes is not None else None,
            interactions=coded if layout.interactions else None,
            seen=coded if layout.seen else None,
            weights=stored_weights(model, file.order) if layout.weights else None,
            ids=in_order,
        )
    return replace(file, layout=layout, is_table=False)


def _write_table(path: Path, model: Recommender, file: ServedFile) -> None:
    """The table of ``file``, or the final vectors, rows in its order."""
    table, n_users, order = model.table, model.n_users, file.order
    if file.is_table and not isinstance(table, VectorTable):
        vectors = model.represent(table()).cpu().numpy()[order]  # (n, D)
        layout = vectors_layout(len(vectors), vectors.shape[1], 32, n_users)
        write_packed(path, layout, vectors[:, None])
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
