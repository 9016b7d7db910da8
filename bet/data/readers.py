"""Read interactions from your own files: CSV, TSV, Parquet, RecBole ``.inter``, LightGCN text,
scipy CSR ``.npz``.
"""

import dataclasses
import io
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from bet.data.interactions import Interactions, binary_matrix, from_pairs
from bet.errors import BetError

log = logging.getLogger(__name__)

_DEFAULTS = {"user": "user", "item": "item", "rating": "rating", "timestamp": "timestamp"}


def read_interactions(
    path: str | Path | Sequence[str | Path],
    *,
    user: str = "user",
    item: str = "item",
    rating: str = "rating",
    timestamp: str = "timestamp",
    minimum_rating: float | None = None,
    k_core: int = 0,
    name: str | None = None,
) -> Interactions:
    """Interactions of one file or, united, of several; the extension decides how they are read.

    * ``.csv``, ``.tsv``, ``.parquet``: columns ``user`` and ``item``, possibly ``rating`` and
      ``timestamp``; ids of any type.
    * ``.inter`` (RecBole): tab-separated, a header like ``user_id:token``; the default names stand
      for RecBole's.
    * ``.txt`` (LightGCN): a line per user, ``user item item ...``, integer ids from 0.
    * ``.npz`` (scipy): a users x items matrix; stored values are ratings.

    minimum_rating: keep ratings of at least this. k_core: then keep, repeatedly, users and items
    with at least this many interactions. Pairs that occur twice count once (logged). The timestamp
    is only checked: the split does not use it. Ids of text are compared as written (``01`` is not
    ``1``) and become integers when all are plain ones. Ids 0..n-1 without gaps of ``.txt`` and
    ``.npz`` are the indices, without a mapping. Raises BetError, naming file, line or column, and
    remedy, on anything that cannot be read.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not paths:
        raise BetError("no file to read; give at least one path")
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    frame = _united([_read(part, columns, minimum_rating is not None) for part in paths])
    name, where = name or paths[0].stem, ", ".join(map(str, paths))
    if not len(frame):
        raise BetError(
            f"{where}: no interactions; every user or stored value is empty, at least one is needed"
        )
    kinds = {part.suffix.lower() for part in paths}
    if kinds <= {".txt", ".npz"} and minimum_rating is None and not k_core and _without_gaps(frame):
        return _numbered(name, frame)
    data = from_pairs(
        name, frame["user"], frame["item"], frame.get("rating"), minimum_rating, k_core, where
    )
    if kinds & {".csv", ".tsv", ".inter"}:
        data = dataclasses.replace(
            data, user_ids=_plain_integers(data.user_ids), item_ids=_plain_integers(data.item_ids)
        )
    return data


def _read(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    """Columns user, item and, where needed, rating of one file."""
    reader = _READERS.get(path.suffix.lower())
    if not path.is_file():
        raise BetError(f"{path}: no such file; check the path")
    if reader is None:
        raise BetError(
            f"{path}: unknown extension {path.suffix!r}; known are {', '.join(_READERS)}"
        )
    if not path.stat().st_size:
        raise BetError(f"{path}: the file is empty; it needs at least one interaction")
    return reader(path, columns, need_rating)


def _united(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """One frame; an id that is a number in one part and text in another is the same id."""
    for role in ("user", "item"):
        if len({pd.api.types.is_numeric_dtype(part[role]) for part in parts}) > 1:
            parts = [part.assign(**{role: part[role].astype(str)}) for part in parts]
    return pd.concat(parts, ignore_index=True)


def _without_gaps(frame: pd.DataFrame) -> bool:
    """Whether both columns hold every integer from 0 to their largest."""
    for role in ("user", "item"):
        ids = frame[role].to_numpy()
        # The first test keeps bincount from allocating an array as long as an id is large.
        if ids.max() >= len(ids) or not np.bincount(ids).all():
            return False
    return True


def _numbered(name: str, frame: pd.DataFrame) -> Interactions:
    """Ids that are indices already keep their meaning: no mapping."""
    users, items = frame["user"].to_numpy(), frame["item"].to_numpy()
    matrix = binary_matrix(users, items, (int(users.max()) + 1, int(items.max()) + 1))
    if matrix.nnz < len(frame):
        log.warning("%s: dropped %d duplicate interactions", name, len(frame) - matrix.nnz)
    return Interactions(name, matrix)


def _plain_integers(ids: np.ndarray | None) -> np.ndarray | None:
    """int64 ids (n,) when all are integers written the usual way, else the ids as they are."""
    texts = (
        [] if ids is None else [str(one) for one in ids]
    )  # a loop over entities, not interactions
    plain = re.compile("0|[1-9][0-9]{0,17}").fullmatch  # up to 18 digits: fits int64
    return np.array(texts, dtype=np.int64) if texts and all(map(plain, texts)) else ids


def _check_columns(
    path: Path,
    frame: pd.DataFrame,
    columns: dict[str, str],
    need_rating: bool,
    first_line: int | None,
) -> pd.DataFrame:
    """Rename to user, item[, rating] and check every value; ``first_line``: of the data, None where
    rows have no lines.
    """
    needed = ["user", "item"] + ["rating"] * need_rating
    named = [role for role in ("rating", "timestamp") if columns[role] != _DEFAULTS[role]]
    for role in dict.fromkeys(needed + named):
        if columns[role] not in frame:
            present = ", ".join(map(str, frame.columns))
            raise BetError(
                f"{path}: no column {columns[role]!r}; it has {present}; say which one holds the {role}"
            )
        if list(frame.columns).count(columns[role]) > 1:
            raise BetError(
                f"{path}: two columns are called {columns[role]!r}; rename the one that is not the {role}"
            )
    if columns["user"] == columns["item"]:
        raise BetError(
            f"{path}: column {columns['user']!r} cannot hold both the user and the item; name two columns"
        )
    if not len(frame):
        raise BetError(f"{path}: a header but no rows; it needs at least one interaction")

    def where(bad: np.ndarray) -> str:
        row = int(np.flatnonzero(bad)[0])
        return f"row {row + 1}" if first_line is None else f"line {row + first_line}"

    checked = {}
    for role in ("user", "item"):
        ids = _scalars(path, frame[columns[role]])
        if pd.api.types.is_string_dtype(ids.dtype):
            ids = ids.str.strip()
        if (bad := (ids.isna() | (ids == "")).to_numpy(dtype=bool)).any():
            remedy = "fill it in or remove the row"
            raise BetError(
                f"{path}, {where(bad)}: column {columns[role]!r} is missing (empty, NA, NaN or null); {remedy}"
            )
        if (bad := _negative(ids)).any():
            raise BetError(
                f"{path}, {where(bad)}: column {columns[role]!r} is negative; ids must not be, correct the row"
            )
        checked[role] = ids
    for role in ("rating", "timestamp"):
        column = columns[role]
        if column in frame and (role == "timestamp" or need_rating):
            numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
            bad = ~np.isfinite(numbers.to_numpy())
            if role == "timestamp" and bad.any():  # dates are welcome, broken ones are not
                with warnings.catch_warnings():  # whether the day comes first does not matter here
                    warnings.simplefilter("ignore")
                    bad = (
                        bad
                        & pd.to_datetime(frame[column], errors="coerce", format="mixed")
                        .isna()
                        .to_numpy()
                    )
            if bad.any():
                value = str(frame[column].iloc[int(np.flatnonzero(bad)[0])])
                raise BetError(
                    f"{path}, {where(bad)}: column {column!r} holds {value!r}, not a {role}; correct or remove the row"
                )
            if role == "rating":
                checked[role] = numbers
    return pd.DataFrame(checked)


def _scalars(path: Path, ids: pd.Series) -> pd.Series:
    """Ids that Parquet keeps as bytes, decimals or other Python objects, as text; other columns as
    they are.
    """
    if ids.dtype != object:
        return ids
    kinds = {type(one) for one in ids}
    if nested := kinds & {list, tuple, dict, np.ndarray}:
        kind = nested.pop().__name__
        raise BetError(
            f"{path}: column {ids.name!r} holds a {kind} in each row, not one id; write text or numbers"
        )
    try:
        return ids.map(
            lambda one: one.decode() if isinstance(one, bytes) else str(one), na_action="ignore"
        )
    except UnicodeDecodeError as error:
        raise BetError(
            f"{path}: column {ids.name!r} holds bytes that are not UTF-8 text ({error}); write text"
        ) from error


def _negative(ids: pd.Series) -> np.ndarray:
    """Which ids (k,) are below zero; none where some are no numbers, since a text may start with a
    minus.
    """
    if pd.api.types.is_bool_dtype(ids.dtype) or not (
        pd.api.types.is_numeric_dtype(ids.dtype)
        or (pd.api.types.is_string_dtype(ids.dtype) and ids.str.startswith("-").any())
    ):
        return np.zeros(len(ids), dtype=bool)
    numbers = pd.to_numeric(ids, errors="coerce")
    return (
        np.zeros(len(ids), dtype=bool)
        if numbers.isna().any()
        else (numbers < 0).to_numpy(dtype=bool)
    )


def _read_delimited(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    content = path.read_bytes().rstrip(b"\r\n") + b"\n"  # blank lines at the end do no harm
    _check_fields(path, content, separator)
    try:
        header = [
            str(column).strip()
            for column in pd.read_csv(io.BytesIO(content), sep=separator, nrows=0).columns
        ]
        if path.suffix.lower() == ".inter":
            header = [column.split(":")[0] for column in header]
            columns = {
                role: _recbole_name(role, column, header) for role, column in columns.items()
            }
        # Ids as written: parsed as numbers, 01 and 1, or 1e5 and 100000, would become one user.
        text = {columns[role]: str for role in ("user", "item") if columns[role] in header}
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=0,
            names=header,
            dtype=text,
            index_col=False,
            skip_blank_lines=False,  # every line counts in the line numbers of errors
            low_memory=False,
        )
    except UnicodeDecodeError as error:
        raise BetError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    except ValueError as error:  # pandas' parser errors are of this kind
        raise BetError(
            f"{path}: not readable as {path.suffix[1:]} ({str(error).strip()}); correct that line"
        ) from error
    return _check_columns(path, frame, columns, need_rating, first_line=2)


def _recbole_name(role: str, column: str, header: list[str]) -> str:
    """RecBole calls users and items ``user_id`` and ``item_id``; another name given by the caller
    stays.
    """
    adapt = column == _DEFAULTS[role] and column not in header and role in ("user", "item")
    return f"{role}_id" if adapt else column


def _check_fields(path: Path, content: bytes, separator: str) -> None:
    """Every line must have as many fields as the header: pandas would fill a truncated one with
    missing values.
    """
    text = np.frombuffer(content, dtype=np.uint8)
    line_end, field_end = text == ord("\n"), text == ord(separator)
    if b'"' in content:
        quote = text == ord('"')
        inside = np.logical_xor.accumulate(quote)
        starts = np.concatenate([[True], (line_end | field_end | quote)[:-1]])
        if (
            quote & inside & ~starts
        ).any():  # a quote within a field is an ordinary character; the parser knows better
            return
        line_end, field_end = line_end & ~inside, field_end & ~inside
        line_end[-1] = True  # also where a quote is never closed
    ends = np.flatnonzero(line_end)
    counts = np.diff(np.searchsorted(np.flatnonzero(field_end), ends), prepend=0)
    wrong = np.flatnonzero(counts != counts[0])
    if len(wrong):
        row = int(wrong[0])
        line = content.count(b"\n", 0, int(ends[row - 1]) + 1) + 1
        raise BetError(
            f"{path}, line {line}: {counts[row] + 1} fields, the header has {counts[0] + 1}; "
            "the line is truncated or malformed, correct or remove it"
        )


def _read_parquet(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise BetError(
            f"{path}: not a readable Parquet file ({error}); fetch or write it again"
        ) from error
    return _check_columns(path, frame, columns, need_rating, first_line=None)


def _read_lightgcn(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    if need_rating:
        raise BetError(f"{path}: LightGCN text has no ratings; leave out the minimum rating")
    content = path.read_bytes()

    def line(position: int) -> str:
        number = content.count(b"\n", 0, position) + 1
        return f"{path}, line {number}"

    if wrong := re.search(rb"[^0-9 \t\r\n-]|-(?![0-9])|(?<=[0-9])-", content):
        text = wrong[0].decode(errors="replace")
        raise BetError(
            f"{line(wrong.start())}: {text!r} is not part of an integer id; correct the line"
        )
    if b"-" in content:
        raise BetError(
            f"{line(content.index(b'-'))}: a negative id; ids start at 0, correct the line"
        )
    if wrong := re.search(rb"[0-9]{19,}", content):
        raise BetError(
            f"{line(wrong.start())}: id {wrong[0].decode()} has more than 18 digits; number the ids from 0"
        )
    # Python's loop is over lines (users), numpy's over numbers (interactions).
    rows = [
        np.fromstring(row, dtype=np.int64, sep=" ")
        for row in content.decode().splitlines()
        if row.strip()
    ]
    if not rows:
        raise BetError(f"{path}: no lines; it needs at least one interaction")
    counts = np.array([len(row) - 1 for row in rows])
    numbers = np.concatenate(rows)
    first = np.cumsum(counts + 1) - (counts + 1)
    return pd.DataFrame(
        {"user": np.repeat(numbers[first], counts), "item": np.delete(numbers, first)}
    )


def _read_npz(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    try:
        with open(path, "rb") as handle:
            matrix = scipy.sparse.load_npz(handle).tocoo()
        users, items = (np.asarray(index, dtype=np.int64) for index in matrix.coords)
        values = np.asarray(matrix.data, dtype=float)
    except Exception as error:  # zipfile, zlib, numpy and scipy raise many kinds for damaged files
        raise BetError(
            f"{path}: not a readable scipy users x items matrix ({error}); fetch or write it again"
        ) from error
    if (bad := ~np.isfinite(values) | (values < 0)).any():
        at = int(np.flatnonzero(bad)[0])
        place = f"row {users[at]}, column {items[at]}"
        raise BetError(
            f"{path}, {place}: {values[at]:g} is no count or rating; values must be finite and not negative, correct it"
        )
    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    return frame if need_rating else frame[values > 0].drop(columns="rating")


_READERS: dict[str, Callable[[Path, dict[str, str], bool], pd.DataFrame]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".inter": _read_delimited,
    ".parquet": _read_parquet,
    ".txt": _read_lightgcn,
    ".npz": _read_npz,
}
