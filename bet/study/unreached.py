"""Runs that ended above their budget, which is a result, too."""

from pathlib import Path

import msgspec

from bet.errors import BudgetNotMet
from bet.files import atomic_path
from bet.study.cell import Cell
from bet.study.record import Part, encode, record_path


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
    with atomic_path(unreached_path(cell)) as temporary:
        temporary.write_text(encode(msgspec.convert(fields, Unreached), indent=1) + "\n")
