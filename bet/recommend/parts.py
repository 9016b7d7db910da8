"""What a way to score takes from a file; a file without it, or with another shape, is refused."""

from collections.abc import Sequence

import numpy as np

from bet.errors import BetError
from bet.packed import ItemLists, RecommenderFile, TableFile


def cannot_score(file: RecommenderFile, why: str) -> BetError:
    """The error of a ``file`` that says it scores in a way for which it lacks something."""
    return BetError(
        f"{file.path}: cannot score as {file.backbone!r}: {why}; write the file again with "
        "bet.serving.write_served"
    )


def take_number(file: RecommenderFile, name: str) -> float:
    """The fact ``name``, a finite number."""
    value = file.facts.get(name)
    if not isinstance(value, int | float) or not np.isfinite(value):
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


def take_weight(file: RecommenderFile, name: str, shape: Sequence[int]) -> np.ndarray:
    """The array ``name`` of ``shape``, -1 where any length will do."""
    value = file.weights.get(name)
    if value is None:
        raise cannot_score(file, f"it has no weights {name!r}")
    fits = len(value.shape) == len(shape) and all(
        expected in (-1, length) for expected, length in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise cannot_score(file, f"weights {name!r} of shape {value.shape}, not {tuple(shape)}")
    return value
