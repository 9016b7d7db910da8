"""Your ids of a table's rows: inside its file, or in a file beside it, ``FILE.ids``.

Ids are UTF-8 text, one after the other in the order of the rows, users first, and where each ends.
The file beside a table states that table's checksum, so that ids of another one are refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.layout import IdLayout
from bet.packed.safetensors_io import (
    Container,
    metadata_for,
    open_safetensors,
    refusing_malformed,
    write_safetensors,
)

Ids = tuple[Sequence[object], Sequence[object]]
"""Of the users' and of the items' rows."""
SUFFIX = ".ids"


def ids_path(table: Path) -> Path:
    """Where the ids of a table without ids inside are.

    >>> ids_path(Path("out/table.safetensors")).name
    'table.safetensors.ids'
    """
    return table.with_name(table.name + SUFFIX)


def id_layout(ids: Ids) -> IdLayout:
    """How a file lays out ``ids``, for ``Layout.ids``; their order does not matter.

    >>> id_layout((["ann", "bob"], ["tea"]))
    (('id_ends', 'U32', 3), ('id_text', 'U8', 9))
    """
    tensors = id_tensors(ids)
    return (("id_ends", "U32", len(tensors["id_ends"])), ("id_text", "U8", len(tensors["id_text"])))


def id_tensors(ids: Ids) -> dict[str, np.ndarray]:
    """``id_ends`` (n,) uint32 and ``id_text`` uint8; raises BetError where two ids of a side are
    the same text, or cannot be written.

    >>> tensors = id_tensors((["ann", "bob"], ["tea"]))
    >>> tensors["id_ends"].tolist(), tensors["id_text"].tobytes()
    ([3, 6, 9], b'annbobtea')
    """
    for side in ids:
        counts = Counter(str(name) for name in side)
        if len(counts) < len(side):
            raise BetError(
                f"two ids are both {counts.most_common(1)[0][0]!r} as text; give different ones"
            )
    try:
        texts = [str(name).encode() for name in chain(*ids)]
    except UnicodeEncodeError as error:
        raise BetError(f"an id cannot be written as UTF-8 ({error}); give another one") from error
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    if len(ends) and ends[-1] >= 2**32:
        raise BetError(
            f"ids of {ends[-1]:,} bytes; at most {2**32 - 1:,} can be kept, shorten them"
        )
    text = np.frombuffer(b"".join(texts), dtype=np.uint8)
    return {"id_ends": ends.astype(np.uint32), "id_text": text}


@dataclass(frozen=True)
class IdMap:
    """Row of every id of a file: users' rows are 0 to n_users - 1, items' the next."""

    user_rows: Mapping[str, int]
    item_rows: Mapping[str, int]


def id_map(ends: np.ndarray, text: np.ndarray, n_users: int) -> IdMap:
    """From the two tensors of a file; raises ValueError when they do not fit together.

    >>> text = np.frombuffer(b"annbobtea", dtype=np.uint8)
    >>> id_map(np.array([3, 6, 9]), text, n_users=2)
    IdMap(user_rows={'ann': 0, 'bob': 1}, item_rows={'tea': 2})
    """
    stated = ends.astype(np.int64)
    if (np.diff(stated, prepend=0, append=len(text)) < 0).any() or stated[-1:].sum() != len(text):
        raise ValueError("its ids do not end where their text does")
    whole, last = text.tobytes(), stated.tolist()
    names = [whole[start:end].decode() for start, end in zip([0, *last], last, strict=False)]
    users = {name: row for row, name in enumerate(names[:n_users])}
    items = {name: row for row, name in enumerate(names[n_users:], start=n_users)}
    if len(users) + len(items) != len(names):
        raise ValueError("an id stands twice in it")
    return IdMap(users, items)


def stated_id_layout(container: Container, n_users: int, n_items: int) -> IdLayout:
    """The layout of the ids inside a file, empty without; raises ValueError unless they are those
    of so many users and items.
    """
    shapes = container.shapes
    ids = tuple((name, *shapes[name]) for name in ("id_ends", "id_text") if name in shapes)
    if any(len(shape) != 1 for _, _, shape in ids):
        raise ValueError("ids of another shape")
    if ids and ids[0][2] != (n_users + n_items,):
        raise ValueError(f"{ids[0][2][0]} ids for {n_users + n_items} rows")
    return tuple((name, dtype, length) for name, dtype, (length,) in ids)


def ids_inside(container: Container, n_users: int) -> IdMap | None:
    """Whose rows are whose, from inside a file whose layout was checked; None without ids.

    Raises BetError where the tensors contradict each other.
    """
    if "id_text" not in container.tensors:
        return None
    with refusing_malformed(container.path):
        return id_map(container.tensors["id_ends"], container.tensors["id_text"], n_users)


def write_ids(table: Path, ids: Ids) -> Path:
    """Write the ids of the rows of the file ``table``, in the order of its rows, beside it; their
    path. ``bet.load`` finds them.
    """
    path = ids_path(table)
    facts = {
        "users": len(ids[0]),
        "items": len(ids[1]),
        # Not "crc": the first "crc" of a header is the file's checksum.
        "table": open_safetensors(table, check=False).checksum,
    }
    write_safetensors(path, id_tensors(ids), metadata_for("ids", facts))
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
        tensors = {
            "id_ends": ("U32", (users + items,)),
            "id_text": ("U8", opened.tensors["id_text"].shape),
        }
        facts = {"users": users, "items": items, "table": belongs}
        opened.check_layout(tensors, metadata_for("ids", facts))
    if belongs != checksum:
        raise BetError(
            f"{path}: these are the ids of another table than {table.name}; "
            "restore the file that was saved with it, or save the table again"
        )
    with refusing_malformed(path):
        return id_map(opened.tensors["id_ends"], opened.tensors["id_text"], users)
