"""Read interactions from your own files: CSV, TSV, Parquet, RecBole ``.inter``, LightGCN text, scipy CSR ``.npz``."""

import logging
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from bet.data.interactions import Interactions, binary_matrix, from_pairs
from bet.errors import BetError

log = logging.getLogger(__name__)


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
    """Interactions of one file or, united, of several of the same kind; the extension decides how they are read.

    * ``.csv``, ``.tsv``, ``.parquet``: columns ``user`` and ``item``, possibly ``rating`` and ``timestamp``; ids of any type.
    * ``.inter`` (RecBole): tab-separated, a header like ``user_id:token``; the default names stand for RecBole's.
    * ``.txt`` (LightGCN): a line per user, ``user item item ...``, integer ids from 0.
    * ``.npz`` (scipy): a users x items matrix; stored values are ratings.

    minimum_rating: keep ratings of at least this. k_core: then keep, repeatedly, users and items with at least this many
    interactions. Pairs that occur twice count once (logged). The timestamp is only checked: the split does not use it.
    Raises BetError, naming file, line or column, and remedy, on anything that cannot be read.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not paths:
        raise BetError("no file to read; give at least one path")
    name = name or paths[0].stem
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    parts = []
    for part in paths:
        if not part.is_file():
            raise BetError(f"{part}: no such file; check the path")
        if not part.stat().st_size:
            raise BetError(f"{part}: the file is empty; it needs at least one interaction")
        if part.suffix not in _READERS:
            raise BetError(f"{part}: unknown extension {part.suffix!r}; known are {', '.join(_READERS)}")
        parts.append(_READERS[part.suffix](part, columns, minimum_rating is not None))
    frame = pd.concat(parts, ignore_index=True)
    if {path.suffix for path in paths} <= {".txt", ".npz"} and minimum_rating is None and not k_core:
        return _numbered(name, frame)
    return from_pairs(name, frame["user"], frame["item"], frame.get("rating"), minimum_rating, k_core)


def _numbered(name: str, frame: pd.DataFrame) -> Interactions:
    """Ids that are indices already keep their meaning: no mapping, and the matrix reaches to the largest of them."""
    users, items = frame["user"].to_numpy(), frame["item"].to_numpy()
    matrix = binary_matrix(users, items, (int(users.max(initial=-1)) + 1, int(items.max(initial=-1)) + 1))
    if matrix.nnz < len(frame):
        log.warning("%s: dropped %d duplicate interactions", name, len(frame) - matrix.nnz)
    return Interactions(name, matrix)


def _check_columns(
    path: Path, frame: pd.DataFrame, columns: dict[str, str], need_rating: bool, first_line: int | None
) -> pd.DataFrame:
    """Rename to user, item[, rating] and check every value; ``first_line``: of the data, None where rows have no lines."""
    needed = ["user", "item"] + ["rating"] * need_rating
    for role in needed:
        if columns[role] not in frame:
            present = ", ".join(map(str, frame.columns))
            raise BetError(f"{path}: no column {columns[role]!r}; it has {present}; say which one holds the {role}")
    if not len(frame):
        raise BetError(f"{path}: a header but no rows; it needs at least one interaction")

    def where(bad: np.ndarray) -> str:
        row = int(np.flatnonzero(bad)[0])
        return f"row {row + 1}" if first_line is None else f"line {row + first_line}"

    for role in ("user", "item"):
        column = frame[columns[role]]
        if (bad := (column.isna() | (column.astype(str).str.strip() == "")).to_numpy()).any():
            raise BetError(f"{path}, {where(bad)}: column {columns[role]!r} is empty; fill it in or remove the row")
        if pd.api.types.is_numeric_dtype(column) and (bad := (column < 0).to_numpy()).any():
            raise BetError(f"{path}, {where(bad)}: column {columns[role]!r} is negative; ids must not be")
    for role in ("rating", "timestamp"):
        if columns[role] in frame and (role == "timestamp" or need_rating):
            numbers = pd.to_numeric(frame[columns[role]], errors="coerce")
            bad = numbers.isna().to_numpy()
            if role == "timestamp" and bad.any():  # dates are welcome, broken ones are not
                bad = bad & pd.to_datetime(frame[columns[role]], errors="coerce", format="mixed").isna().to_numpy()
            if bad.any():
                value = frame[columns[role]].iloc[int(np.flatnonzero(bad)[0])]
                column = columns[role]
                raise BetError(f"{path}, {where(bad)}: column {column!r} holds {value!r}, not a {role}; correct or remove the row")
    return pd.DataFrame({role: frame[columns[role]] for role in needed})


def _read_delimited(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    separator = "," if path.suffix == ".csv" else "\t"
    _check_fields(path, separator)
    try:
        frame = pd.read_csv(path, sep=separator, skip_blank_lines=False, low_memory=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BetError(f"{path}: not readable as {path.suffix[1:]} ({str(error).strip()}); correct that line") from error
    if path.suffix == ".inter":
        frame.columns = [str(column).split(":")[0] for column in frame.columns]
        columns = {role: f"{name}_id" if name == role and role in ("user", "item") else name for role, name in columns.items()}
    return _check_columns(path, frame, columns, need_rating, first_line=2)


def _check_fields(path: Path, separator: str) -> None:
    """Every line must have as many fields as the header: pandas would fill a truncated one with missing values."""
    lines = path.read_bytes()
    if b'"' in lines:  # separators and line ends may be quoted; leave those files to the parser
        return
    ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n"))
    if not lines.endswith(b"\n"):
        ends = np.append(ends, len(lines))
    at = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord(separator))
    counts = np.diff(np.searchsorted(at, ends), prepend=0)
    wrong = np.flatnonzero(counts != counts[0])
    if len(wrong):
        line = int(wrong[0])
        raise BetError(
            f"{path}, line {line + 1}: {counts[line] + 1} fields, the header has {counts[0] + 1}; "
            "the line is truncated or malformed, correct or remove it"
        )


def _read_parquet(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise BetError(f"{path}: not a readable Parquet file ({error}); write it again") from error
    return _check_columns(path, frame, columns, need_rating, first_line=None)


def _read_lightgcn(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    if need_rating:
        raise BetError(f"{path}: LightGCN text has no ratings; leave out the minimum rating")
    content = path.read_bytes()
    wrong = re.search(rb"[^0-9 \t\r\n-]|-(?![0-9])|(?<=[0-9])-", content)
    if wrong:
        line = content.count(b"\n", 0, wrong.start()) + 1
        raise BetError(f"{path}, line {line}: {wrong[0].decode(errors='replace')!r} is not part of an integer id; correct the line")
    if b"-" in content:
        line = content.count(b"\n", 0, content.index(b"-")) + 1
        raise BetError(f"{path}, line {line}: a negative id; ids start at 0")
    # Python's loop is over lines (users), numpy's over numbers (interactions).
    rows = [np.fromstring(line, dtype=np.int64, sep=" ") for line in content.decode().splitlines() if line.strip()]
    if not rows:
        raise BetError(f"{path}: no lines; it needs at least one interaction")
    counts = np.array([len(row) - 1 for row in rows])
    numbers = np.concatenate(rows)
    first = np.cumsum(counts + 1) - (counts + 1)
    items = np.delete(numbers, first)
    return pd.DataFrame({"user": np.repeat(numbers[first], counts), "item": items})


def _read_npz(path: Path, columns: dict[str, str], need_rating: bool) -> pd.DataFrame:
    try:
        with open(path, "rb") as handle:
            matrix = scipy.sparse.load_npz(handle).tocoo()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise BetError(f"{path}: not a readable scipy matrix ({error}); fetch or write it again") from error
    if (matrix.data < 0).any() or not np.isfinite(matrix.data).all():
        raise BetError(f"{path}: values must be finite counts or ratings, not negative; smallest is {matrix.data.min()}")
    users, items = (np.asarray(index, dtype=np.int64) for index in (matrix.row, matrix.col))
    frame = pd.DataFrame({"user": users, "item": items, "rating": matrix.data})
    return frame if need_rating else frame[frame["rating"] > 0].drop(columns="rating")


_READERS: dict[str, Callable[[Path, dict[str, str], bool], pd.DataFrame]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".inter": _read_delimited,
    ".parquet": _read_parquet,
    ".txt": _read_lightgcn,
    ".npz": _read_npz,
}
