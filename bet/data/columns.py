"""Columns of a table of interactions: their names, and the check of every value in them."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bet.data.text_files import listed
from bet.errors import BetError
from bet.text import quoted

SIDES = ("user", "item")


@dataclass(frozen=True)
class Columns:
    """Which column of a file holds what."""

    user: str = "user"
    item: str = "item"
    rating: str = "rating"
    timestamp: str = "timestamp"

    def is_renamed(self, role: str) -> bool:
        """Whether the column of ``role`` was named by the caller."""
        return getattr(self, role) != getattr(Columns, role)


@dataclass(frozen=True)
class Place:
    """Where values come from, for errors; ``line``: of a row, None where rows have no lines."""

    path: Path
    line: Callable[[int], int] | None = None

    def of(self, row: int) -> str:
        """File and line or row, counted from 1, of row ``row``, counted from 0."""
        if self.line is None:
            return f"{self.path}, row {row + 1}"
        return f"{self.path}, line {self.line(row)}"


@dataclass(frozen=True, eq=False)
class Pairs:
    """What a file holds: ``frame`` with columns user, item and, where asked for, rating and
    timestamp, both float64, the latter in seconds since 1970 where it is a date.

    ``ratings`` and ``times``: the smallest and the largest, as text; None where the file has none.
    """

    frame: pd.DataFrame
    ratings: tuple[str, str] | None = None
    times: tuple[str, str] | None = None


def used_columns(
    names: list[str], columns: Columns, further: Sequence[str], path: Path
) -> list[str]:
    """Those of a file's columns ``names`` that are read; raises BetError on one that is missing or
    there twice. ``further``: roles that are asked for beside user and item.
    """
    needed = [*SIDES, *further]
    needed += [role for role in ("rating", "timestamp") if columns.is_renamed(role)]
    used = []
    for role in ("user", "item", "rating", "timestamp"):
        name = getattr(columns, role)
        if name not in names and role in needed:
            raise BetError(
                f"{path}: no column {quoted(name)}; it has {listed(names)}; say which one "
                f"holds the {role}"
            )
        if names.count(name) > 1:
            raise BetError(
                f"{path}: two columns are called {quoted(name)}; rename the one that is not "
                f"the {role}"
            )
        used += [name] * (name in names)
    if columns.user == columns.item:
        raise BetError(
            f"{path}: column {columns.user!r} cannot hold both the user and the item; "
            "name two columns"
        )
    return list(dict.fromkeys(used))


def check_parts(
    parts: Iterable[pd.DataFrame], columns: Columns, further: Sequence[str], place: Place
) -> Pairs:
    """The interactions of consecutive ``parts`` of a file, with its own names of columns.

    Raises BetError on a missing or negative id, on a rating that is needed and no number, and on a
    timestamp that is neither a number nor a date.
    """
    checked, first = [], 0
    ratings, times = Range(), Range()
    for part in parts:
        kept = {side: _check_ids(part[getattr(columns, side)], place, first) for side in SIDES}
        if columns.rating in part:
            numbers = to_floats(part[columns.rating])
            if "rating" in further:
                _refuse(part[columns.rating], ~np.isfinite(numbers), "rating", place, first)
                kept["rating"] = pd.Series(numbers, index=part.index)
            ratings.add(numbers[np.isfinite(numbers)])
        if columns.timestamp in part:
            seconds, are_dates = _check_timestamps(part[columns.timestamp], place, first)
            times.add(seconds[~are_dates])
            times.add(np.floor(seconds[are_dates]).astype(np.int64).astype("datetime64[s]"))
            if "timestamp" in further:
                kept["timestamp"] = pd.Series(seconds, index=part.index)
        checked.append(pd.DataFrame(kept))
        first += len(part)
    if not first:
        raise BetError(f"{place.path}: a header but no rows; it needs at least one interaction")
    frame = pd.concat(checked, ignore_index=True)
    for side in SIDES:
        if (is_negative := _are_negative(frame[side])).any():
            raise BetError(
                f"{place.of(int(np.flatnonzero(is_negative)[0]))}: column "
                f"{quoted(getattr(columns, side))} is negative; ids must not be, correct the "
                "row"
            )
    return Pairs(frame, ratings.as_text(), times.as_text())


class Range:
    """The smallest and the largest of what is added: numbers or dates."""

    def __init__(self):
        self._ends: dict[str, tuple] = {}  # by the kind of the values

    def add(self, values: np.ndarray) -> None:
        """Take ``values`` (k,) float64 or datetime64 into account."""
        if len(values):
            low, high = self._ends.get(values.dtype.kind, (values[0], values[0]))
            self._ends[values.dtype.kind] = (min(low, values.min()), max(high, values.max()))

    def as_text(self) -> tuple[str, str] | None:
        """Both ends; None where nothing was added, or numbers and dates, which have no order."""
        if len(self._ends) != 1:
            return None
        ((kind, (low, high)),) = self._ends.items()
        return (str(low), str(high)) if kind == "M" else (f"{low:.15g}", f"{high:.15g}")


def _check_ids(ids: pd.Series, place: Place, first: int) -> pd.Series:
    """The ids (k,) without spaces around them."""
    ids = _to_scalars(ids, place.path)
    if pd.api.types.is_string_dtype(ids.dtype):
        ids = ids.str.strip(" \t")
    if (is_missing := (ids.isna() | (ids == "")).to_numpy(dtype=bool)).any():
        raise BetError(
            f"{place.of(first + int(np.flatnonzero(is_missing)[0]))}: column "
            f"{quoted(ids.name)} is missing; fill it in or remove the row"
        )
    return ids


def _to_scalars(ids: pd.Series, path: Path) -> pd.Series:
    """Ids that Parquet keeps as bytes, decimals or other Python objects, as text; other columns as
    they are.
    """
    if ids.dtype != object:
        return ids
    if containers := {type(value) for value in ids} & {list, tuple, dict, np.ndarray}:
        raise BetError(
            f"{path}: column {quoted(ids.name)} holds a {containers.pop().__name__} in each "
            "row, not one id; write text or numbers"
        )
    try:
        return ids.map(
            lambda value: value.decode() if isinstance(value, bytes) else str(value),
            na_action="ignore",
        )
    except UnicodeDecodeError as error:
        raise BetError(
            f"{path}: column {quoted(ids.name)} holds bytes that are not UTF-8 text "
            f"({error}); write text"
        ) from error


def to_floats(values: pd.Series) -> np.ndarray:
    """``values`` (k,) as float64: NaN for what is no number, infinite for what is too large."""
    try:
        return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    except (OverflowError, TypeError, ValueError):  # whole numbers of hundreds of digits
        texts = values.map(lambda value: str(value)[:400], na_action="ignore")
        return pd.to_numeric(texts, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def _are_negative(ids: pd.Series) -> np.ndarray:
    """Which ids (k,) are below zero; none where some are no numbers, since a text may start with a
    minus.
    """
    nobody, dtype = np.zeros(len(ids), dtype=bool), ids.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return nobody
    if not pd.api.types.is_numeric_dtype(dtype):
        # Most columns of text have no minus at all, which is faster to see than to convert.
        if not pd.api.types.is_string_dtype(dtype) or not ids.str.startswith("-").any():
            return nobody
    numbers = to_floats(ids)
    return nobody if np.isnan(numbers).any() else numbers < 0


def _check_timestamps(values: pd.Series, place: Place, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, and of dates the seconds since 1970, (k,) float64; which of them are dates, (k,)."""
    is_date = pd.api.types.is_datetime64_any_dtype(values.dtype)
    seconds = np.full(len(values), np.nan) if is_date else to_floats(values)
    are_dates = ~np.isfinite(seconds)
    if are_dates.any():
        with warnings.catch_warnings():  # which of day and month comes first may be a guess
            warnings.simplefilter("ignore")
            dates = pd.to_datetime(values[are_dates], errors="coerce", format="mixed", utc=True)
        seconds = seconds.copy()
        seconds[are_dates] = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        _refuse(values, ~np.isfinite(seconds), "timestamp", place, first)
    return seconds, are_dates


def _refuse(values: pd.Series, is_bad: np.ndarray, role: str, place: Place, first: int) -> None:
    """Raise BetError with the first bad value, if any is bad."""
    if is_bad.any():
        row = int(np.flatnonzero(is_bad)[0])
        value = quoted(values.iloc[row])
        raise BetError(
            f"{place.of(first + row)}: column {quoted(values.name)} holds {value}, not a "
            f"{role}; correct or remove the row"
        )
