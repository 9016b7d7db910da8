"""The table that a run leaves behind: where it may be written, and what is written beside it."""

from pathlib import Path

import torch

from bet import files
from bet.backbones import Recommender
from bet.data import Interactions
from bet.files import atomic_path
from bet.packed import write_ids
from bet.tables import QuantizedTable, VectorTable

SIDE_FILES = (".ids", ".backbone.pt", ".html")  # of a table, behind its name


def check_writable(path: Path, source: Path | str | None = None) -> None:
    """Raise BetError, before any work, unless a table can be written to ``path`` and what belongs
    to it beside it.

    source: the file that the interactions came from, which must not be overwritten.
    """
    inputs = {} if source is None else {Path(source): "the interactions"}
    files.check_writable(path, "the table", beside=SIDE_FILES, inputs=inputs)


def ids_of(interactions: Interactions) -> tuple[list[str], list[str]]:
    """The ids of users and items as text, in the order of their numbers; the numbers where there
    are none.
    """
    users, items = interactions.user_ids, interactions.item_ids
    return (
        [str(i) for i in (range(interactions.n_users) if users is None else users)],
        [str(i) for i in (range(interactions.n_items) if items is None else items)],
    )


def save_table(path: Path, model: Recommender, interactions: Interactions) -> None:
    """Write the model's table and, beside it, the ids of its rows and the backbone's own weights,
    if it has any and they are needed: final vectors need none.

    A table that was made for a file with ids takes them into it instead.
    """
    users, items = ids_of(interactions)
    names = [*users, *items]
    in_order = [names[entity] for entity in model.table.file_order]
    ids = in_order[: len(users)], in_order[len(users) :]
    ids_file, weights_file, _ = (path.with_name(path.name + suffix) for suffix in SIDE_FILES)
    # An earlier table's must go first: interrupted, a table without ids is left, not one with
    # another table's.
    for side_file in (ids_file, weights_file):
        side_file.unlink(missing_ok=True)
    table = model.table
    if isinstance(table, QuantizedTable | VectorTable) and table.spec.ids:
        model.save_table(path, ids)
    else:
        model.save_table(path)
        write_ids(path, ids)
    if model.backbone.n_parameters() and not isinstance(table, VectorTable):
        with atomic_path(weights_file) as temporary:
            torch.save(model.backbone.state_dict(), temporary)
