"""The single values of a record as columns of a data frame, taken from the record's own fields."""

from collections.abc import Iterator
from functools import cache, reduce
from typing import Any

import msgspec

from bet.study.part import Part
from bet.study.record import Record

# A column is named as its field, but where two parts have fields of the same name.
NAMES = {
    "data": "data {}",
    "metrics.validation": "validation {}",
    "serving": "serving {}",
    "run.seconds": "{}_seconds",
}


@cache
def columns() -> dict[str, tuple[str, ...]]:
    """Path of attributes by column: ``{"bytes": ("size", "bytes"), ...}``."""
    return dict(_scalar_fields(Record, ()))


def scalars(record: Record) -> dict[str, Any]:
    """The single values of ``record`` by column."""
    return {column: reduce(getattr, path, record) for column, path in columns().items()}


def _scalar_fields(
    part: type[Part], path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    template = NAMES.get(".".join(path), "{}")
    for field in msgspec.structs.fields(part):
        if isinstance(field.type, type) and issubclass(field.type, Part):
            yield from _scalar_fields(field.type, (*path, field.name))
        elif not _holds_many(field.type):
            yield template.format(field.encode_name), (*path, field.name)


def _holds_many(field_type: Any) -> bool:
    info = msgspec.inspect.type_info(field_type)
    many = (msgspec.inspect.StructType, msgspec.inspect.DictType, msgspec.inspect.VarTupleType)
    alternatives = getattr(info, "types", (info,))  # of a union
    return any(isinstance(alternative, many) for alternative in alternatives)
