"""Which reader opens which kind of table file."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.codebook import CodebookFile
from bet.packed.hashed import HashedFile
from bet.packed.pruned import PrunedFile
from bet.packed.ragged import PackedFile
from bet.packed.safetensors_io import Container, open_view
from bet.packed.table_file import TableFile

READERS: dict[str, type[TableFile]] = {
    "table": PackedFile,
    "vectors": PackedFile,
    "coded": CodebookFile,
    "hashed": HashedFile,
    "pruned": PrunedFile,
}


def view_table(
    path: Path,
    content: np.ndarray,
    n_users: int,
    n_items: int,
    *,
    outer: Container | None = None,
    check: bool = True,
) -> TableFile:
    """Open the table of ``n_users`` and ``n_items`` whose file is ``content`` (length,) uint8, of
    which nothing is copied.

    path: of the file that it is in, which is ``outer``. Raises BetError as ``load``, and for a
    table of others.
    """
    inner = replace(open_view(path, content, check), outer=outer)
    if inner.kind not in READERS:
        raise BetError(f"{path}: holds a file of kind {inner.kind!r}; put a table into it")
    # Only a hashed table does not say how many items it has.
    table = READERS[inner.kind](inner, n_items if inner.kind == "hashed" else None)
    if (table.n_users, table.n_items) != (n_users, n_items):
        raise BetError(
            f"{path}: a table of {table.n_users} users and {table.n_items} items for {n_users} and "
            f"{n_items}; save it again with its own table"
        )
    return table
