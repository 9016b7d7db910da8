"""Columns of a table of interactions: their names, and the check of every value in them."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bet.errors import BetError


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
    """Where values come from, for errors; ``first_line``: of the data, None where rows have no
    lines.
    """

    path: Path
    first_line: int | None = None

    def first(self, is_bad: np.ndarray) -> str:
        """File and line or row of the first of the (k,) rows that ``is_bad`` marks."""
        row = int(np.flatnonzero(is_bad)[0])
        if self.first_line is None:
            return f"{self.path}, row {row + 1}"
        return f"{self.path}, line {row + self.first_line}"


def check_columns(
    frame: pd.DataFrame, columns: Columns, need_rating: bool, place: Place
) -> pd.DataFrame:
    """The columns user, item and, where needed, rating of ``frame``, under these names, and its
    timestamp, float64, where there is one: seconds of a date, else the number.

    Raises BetError on a column that is missing or there twice, on a missing or negative id, on a
    rating that is no number and on a timestamp that is neither a number nor a date.
    """
    _check_names(frame, columns, need_rating, place.path)
    checked = {
        "user": _check_ids(frame[columns.user], place),
        "item": _check_ids(frame[columns.item], place),
    }
    if need_rating:
        checked["rating"] = _check_ratings(frame[columns.rating], place)
    if columns.timestamp in frame:
        checked["timestamp"] = _check_timestamps(frame[columns.timestamp], place)
    return pd.DataFrame(checked)


def _check_names(frame: pd.DataFrame, columns: Columns, need_rating: bool, path: Path) -> None:
    needed = ["user", "item"] + ["rating"] * need_rating
    needed += [role for role in ("rating", "timestamp") if columns.is_renamed(role)]
    for role in dict.fromkeys(needed):
        name = getattr(columns, role)
        if name not in frame:
            present = ", ".join(map(str, frame.columns))
            raise BetError(
                f"{path}: no column {name!r}; it has {present}; say which one holds the {role}"
            )
        if list(frame.columns).count(name) > 1:
            raise BetError(
                f"{path}: two columns are called {name!r}; rename the one that is not the {role}"
            )
    if columns.user == columns.item:
        raise BetError(
            f"{path}: column {columns.user!r} cannot hold both the user and the item; "
            "name two columns"
        )
    if not len(frame):
        raise BetError(f"{path}: a header but no rows; it needs at least one interaction")


def _check_ids(ids: pd.Series, place: Place) -> pd.Series:
    """The ids (k,) without spaces around them."""
    ids = _to_scalars(ids, place.path)
    if pd.api.types.is_string_dtype(ids.dtype):
        ids = ids.str.strip()
    if (is_missing := (ids.isna() | (ids == "")).to_numpy(dtype=bool)).any():
        raise BetError(
            f"{place.first(is_missing)}: column {ids.name!r} is missing (empty, NA, NaN or null); "
            "fill it in or remove the row"
        )
    if (is_negative := _are_negative(ids)).any():
        raise BetError(
            f"{place.first(is_negative)}: column {ids.name!r} is negative; "
            "ids must not be, correct the row"
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
            f"{path}: column {ids.name!r} holds a {containers.pop().__name__} in each row, "
            "not one id; write text or numbers"
        )
    try:
        return ids.map(
            lambda value: value.decode() if isinstance(value, bytes) else str(value),
            na_action="ignore",
        )
    except UnicodeDecodeError as error:
        raise BetError(
            f"{path}: column {ids.name!r} holds bytes that are not UTF-8 text ({error}); write text"
        ) from error


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
    numbers = pd.to_numeric(ids, errors="coerce")
    return nobody if numbers.isna().any() else (numbers < 0).to_numpy(dtype=bool)


def _check_ratings(values: pd.Series, place: Place) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    _refuse(values, ~np.isfinite(numbers.to_numpy()), "rating", place)
    return numbers


def _check_timestamps(values: pd.Series, place: Place) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        numbers = pd.Series(np.nan, index=values.index)
    else:
        numbers = pd.to_numeric(values, errors="coerce").astype(float)
    is_bad = ~np.isfinite(numbers.to_numpy())
    if is_bad.any():  # dates are welcome, broken ones are not
        with warnings.catch_warnings():  # whether the day comes first does not matter here
            warnings.simplefilter("ignore")
            dates = pd.to_datetime(values[is_bad], errors="coerce", format="mixed", utc=True)
        since = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        is_bad[is_bad] = dates.isna().to_numpy()
        _refuse(values, is_bad, "timestamp", place)
        numbers = numbers.fillna(since)
    return numbers


def _refuse(values: pd.Series, is_bad: np.ndarray, role: str, place: Place) -> None:
    """Raise BetError with the first bad value, if any is bad."""
    if is_bad.any():
        value = str(values.iloc[int(np.flatnonzero(is_bad)[0])])
        raise BetError(
            f"{place.first(is_bad)}: column {values.name!r} holds {value!r}, not a {role}; "
            "correct or remove the row"
        )
