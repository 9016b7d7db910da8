"""Which cells have a record of today's settings, and which must run, the first time or again."""

import msgspec

from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import record_path


class _Keyed(msgspec.Struct):
    """The one part of a record that says whether it is of today's settings."""

    key: str = ""


def is_finished(cell: Cell) -> bool:
    """Whether ``cell`` has a record, and not one of other settings than its profile's now. A record
    that cannot be read counts: whoever reads it says so.
    """
    return _has_record(cell) and not is_stale(cell)


def is_stale(cell: Cell) -> bool:
    """Whether the record of ``cell`` is of other settings, or of an earlier version of its
    method: it is shown until the cell has run again.
    """
    if not _has_record(cell):
        return False
    try:
        key = msgspec.json.decode(record_path(cell).read_bytes(), type=_Keyed).key
    except (OSError, msgspec.DecodeError):
        return False
    return bool(key) and key != PROFILES[cell.profile].key(cell)


def _has_record(cell: Cell) -> bool:
    return record_path(cell).is_file()
