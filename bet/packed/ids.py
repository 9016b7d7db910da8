"""Your ids of a table's rows: inside its file, or in a file beside it, ``FILE.ids``.

Each side is one tensor of bytes, which begins with its form: integers, of equally many bits and
counted from the smallest, or text, compressed in sorted order (LZMA), and the place of every row's
id in that order. The shorter one is taken; neither's length depends on the order of the ids. The
file beside a table states that table's checksum, so that ids of another one are refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.id_side import pack_side, unpack_side
from bet.packed.layout import IdLayout
from bet.packed.safetensors_io import (
    Container,
    Shapes,
    metadata_for,
    open_safetensors,
    refusing_malformed,
    write_safetensors,
)

Ids = tuple[Sequence[object], Sequence[object]]
"""Of the users' and of the items' rows."""
SUFFIX = ".ids"
TENSORS = ("user_ids", "item_ids")


def ids_path(table: Path) -> Path:
    """Where the ids of a table without ids inside are.

    >>> ids_path(Path("out/table.safetensors")).name
    'table.safetensors.ids'
    """
    return table.with_name(table.name + SUFFIX)


def id_layout(ids: Ids) -> IdLayout:
    """How a file lays out ``ids``, for ``Layout.ids``; their order does not matter.

    Two integers from 7 on, of three bits each, take a byte behind ten that say so:

    >>> id_layout((["7", "12"], []))
    (('user_ids', 'U8', 11), ('item_ids', 'U8', 0))
    """
    return tuple((name, "U8", len(content)) for name, content in id_tensors(ids).items())


def id_tensors(ids: Ids) -> dict[str, np.ndarray]:
    """``user_ids`` and ``item_ids``, (bytes,) uint8 each; raises BetError where two ids of a side
    are the same text, or cannot be written.

    >>> id_tensors((["7", "12"], []))["user_ids"].tolist()  # 000 and 101 behind the smallest
    [0, 3, 7, 0, 0, 0, 0, 0, 0, 0, 20]
    """
    for side in ids:
        counts = Counter(str(name) for name in side)
        if len(counts) < len(side):
            raise BetError(
                f"two ids are both {counts.most_common(1)[0][0]!r} as text; give different ones"
            )
    return {name: pack_side([*map(str, side)]) for name, side in zip(TENSORS, ids, strict=True)}


@dataclass(frozen=True)
class IdMap:
    """Row of every id of a file: users' rows are 0 to n_users - 1, items' the next."""

    user_rows: Mapping[str, int]
    item_rows: Mapping[str, int]


def id_map(tensors: Mapping[str, np.ndarray], n_users: int, n_items: int) -> IdMap:
    """From the two tensors of a file; raises ValueError when they do not hold so many different
    ids, before more memory is taken than three times their bytes.

    >>> id_map(id_tensors((["ann", "bob"], ["17"])), n_users=2, n_items=1)
    IdMap(user_rows={'ann': 0, 'bob': 1}, item_rows={'17': 2})
    """
    user_ids, item_ids = (tensors[name] for name in TENSORS)
    users = {name: row for row, name in enumerate(unpack_side(user_ids, n_users))}
    items = {name: row for row, name in enumerate(unpack_side(item_ids, n_items), start=n_users)}
    return IdMap(users, items)


def stated_id_layout(container: Container) -> IdLayout:
    """The layout of the ids inside a file, empty without; raises ValueError where it is none."""
    shapes = container.shapes
    ids = tuple((name, *shapes[name]) for name in TENSORS if name in shapes)
    if any(form != "U8" or len(shape) != 1 for _, form, shape in ids) or len(ids) == 1:
        raise ValueError("ids of another shape")
    return tuple((name, dtype, length) for name, dtype, (length,) in ids)


def ids_inside(container: Container, n_users: int, n_items: int) -> IdMap:
    """Whose rows are whose, from inside a file with ids whose layout was checked.

    Raises BetError where they are not those of so many users and items.
    """
    with refusing_malformed(container.path):
        return id_map(container.tensors, n_users, n_items)


def write_ids(table: Path, ids: Ids) -> Path:
    """Write the ids of the rows of the file ``table``, in the order of its rows, beside it; their
    path. ``bet.load`` finds them.
    """
    return write_id_tensors(table, id_tensors(ids), *map(len, ids))


def write_id_tensors(
    table: Path, tensors: Mapping[str, np.ndarray], n_users: int, n_items: int
) -> Path:
    """Write ids of so many rows, as ``id_tensors`` makes them, beside the file ``table``; their
    path.
    """
    path = ids_path(table)
    facts = {
        "users": n_users,
        "items": n_items,
        # Not "crc": the first "crc" of a header is the file's checksum.
        "table": open_safetensors(table, check=False).checksum,
    }
    write_safetensors(path, tensors, metadata_for("ids", facts))
    return path


def read_ids(table: Path, checksum: int) -> IdMap | None:
    """Whose rows are whose, from the file beside ``table``, whose ``checksum`` is given; None if
    there is none.

    Raises BetError when it is damaged or belongs to another table.
    """
    path = ids_path(table)
    if not path.exists():
        return None
    opened = open_safetensors(path)
    if opened.kind != "ids":
        raise BetError(f"{path}: not the ids of a table but one of kind {opened.kind!r}; remove it")
    with refusing_malformed(path):
        users, items, belongs = (int(opened.facts[name]) for name in ("users", "items", "table"))
        tensors: Shapes = {name: ("U8", (length,)) for name, _, length in stated_id_layout(opened)}
        facts = {"users": users, "items": items, "table": belongs}
        opened.check_layout(tensors, metadata_for("ids", facts))
    if belongs != checksum:
        raise BetError(
            f"{path}: these are the ids of another table than {table.name}; "
            "restore the file that was saved with it, or save the table again"
        )
    with refusing_malformed(path):
        return id_map(opened.tensors, users, items)
