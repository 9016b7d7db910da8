"""Runs that ended above their budget, which is a result, too."""

from pathlib import Path

import msgspec

from bet.errors import BudgetNotMet
from bet.files import write_whole
from bet.study.cell import Cell
from bet.study.part import Part, encode
from bet.study.record import record_path


class Unreached(Part, frozen=True):
    """What was to be reached, what was, and why no more; all in parameters."""

    cell_id: str
    key: str
    commit: str | None
    target: int
    reached: int
    why: str


def unreached_path(cell: Cell) -> Path:
    """Where it is written that ``cell`` ended above its budget."""
    return record_path(cell).with_suffix(".unreached")


def write_unreached(cell: Cell, key: str, commit: str | None, error: BudgetNotMet) -> None:
    """Record a result that is not a table: what was to be reached, what was, and why no more."""
    names = {"cell_id": cell.id, "key": key, "commit": commit}
    fields = names | {"target": error.target, "reached": error.reached, "why": str(error)}
    write_whole(unreached_path(cell), text_of(msgspec.convert(fields, Unreached)))


def text_of(unreached: Unreached) -> bytes:
    """What stands in its file."""
    return (encode(unreached, indent=1) + "\n").encode()
