"""What a way to score takes from a file; a file without it, or with another shape, is refused."""

import math
from collections.abc import Sequence

import numpy as np

from bet.errors import BetError
from bet.packed import ItemLists, OpenFile, RecommenderFile, TableFile

# Numbers that scoring may hold for a file of no bytes, and for each of its bytes.
LEAST, RATIO = 2**22, 2**10


def cannot_score(file: RecommenderFile, why: str) -> BetError:
    """The error of a ``file`` that says it scores in a way for which it lacks something."""
    return BetError(
        f"{file.path}: cannot score as {file.backbone!r}: {why}; write the file again with "
        "bet.serving.write_served"
    )


def take_number(file: RecommenderFile, name: str) -> float:
    """The fact ``name``, a finite number."""
    value = file.facts.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise cannot_score(file, f"{name} must be a finite number, it is {value!r}")
    return value


def take_lists(file: RecommenderFile) -> ItemLists:
    """The interactions that it scores with."""
    if file.interactions is None:
        raise cannot_score(file, "it has no interactions")
    return file.interactions


def take_table(file: RecommenderFile, copies: int) -> TableFile:
    """The table, of so many ``copies``."""
    if file.table is None:
        raise cannot_score(file, "it has no table")
    if file.table.copies != copies:
        raise cannot_score(file, f"its table has {file.table.copies} copies, not {copies}")
    return file.table


def take_weight(
    file: RecommenderFile, name: str, shape: Sequence[int], kind: str = "f"
) -> np.ndarray:
    """The array ``name`` of ``shape``, -1 where any length will do; ``kind`` of its numbers as
    numpy has it: f, or u for whole ones.
    """
    value = file.weights.get(name)
    if value is None:
        raise cannot_score(file, f"it has no weights {name!r}")
    fits = len(value.shape) == len(shape) and all(
        expected in (-1, length) for expected, length in zip(shape, value.shape, strict=True)
    )
    if not fits or value.dtype.kind != kind:
        raise cannot_score(
            file,
            f"weights {name!r} are {value.dtype} of shape {value.shape}, expected are {kind!r} of "
            f"{tuple(shape)}",
        )
    return value


def check_room(file: OpenFile, numbers: int) -> None:
    """Raise BetError if scoring holds so many ``numbers`` that no honest file of this length needs
    them: a short file must not take all memory.
    """
    most = LEAST + RATIO * file.byte_report().total
    if numbers > most:
        raise BetError(
            f"{file.path}: announces {file.n_users:,} users and {file.n_items:,} items, which "
            f"takes {numbers:,} numbers to score, more than {most:,} for a file of this length; "
            "it is damaged, or write it without those that never occur"
        )
