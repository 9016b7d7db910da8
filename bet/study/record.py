"""The form of a record: one JSON Schema, checked wherever a record is written or read."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from bet.errors import BetError, BudgetNotMet
from bet.files import atomic_path
from bet.paths import results_dir
from bet.study.cell import Cell
from bet.study.per_user import write_rows

SCHEMA_FILE = Path(__file__).with_name("record.schema.json")


def record_path(cell: Cell) -> Path:
    """Where the record of ``cell`` is or will be: ``results/<profile>/<id>.json``."""
    return results_dir() / cell.profile / f"{cell.id}.json"


def read_record(cell: Cell) -> dict:
    """The finished cell's record; raises BetError when there is none or it is damaged."""
    path = record_path(cell)
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BetError(
            f"{path}: no readable record ({error}); delete it if it is there and run the cell"
        ) from error
    check_record(record)
    return record


def write_record(path: Path, record: dict, rows: pd.DataFrame) -> None:
    """Write the per-user ``rows`` beside ``path`` and, last, the record itself; both whole or not
    at all.
    """
    write_rows(rows, path.with_name(record["per_user"]))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def unreached_path(cell: Cell) -> Path:
    """Where it is written that ``cell`` ended above its budget."""
    return record_path(cell).with_suffix(".unreached")


def write_unreached(cell: Cell, key: str, commit: str | None, error: BudgetNotMet) -> None:
    """Record a result that is not a table: what was to be reached, what was, and why no more."""
    plain = {
        "cell_id": cell.id,
        "key": key,
        "commit": commit,
        "target": error.target,
        "reached": error.reached,
        "why": str(error),
    }
    with atomic_path(unreached_path(cell)) as temporary:
        temporary.write_text(json.dumps(plain, indent=1) + "\n")


def check_record(record: dict) -> None:
    """Raise BetError unless ``record`` has the form of ``record.schema.json``; does nothing where
    jsonschema is not installed.
    """
    if find_spec("jsonschema") is None:
        return
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(record))
    if error is not None:
        place = "/".join(map(str, error.absolute_path)) or "the record"
        raise BetError(
            f"{record.get('cell_id', 'record')}: {place}: {error.message[:300]}; run the cell again"
        )


@cache
def _validator():
    # Made once: jsonschema.validate would check the schema itself for every record, which takes
    # most of its time.
    from jsonschema.validators import validator_for

    schema = json.loads(SCHEMA_FILE.read_text())
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)
