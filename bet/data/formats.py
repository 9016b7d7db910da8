"""One reader per file format: from a path to columns user, item and, where needed, rating."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from bet.data.columns import Columns, Place, check_columns
from bet.errors import BetError


def read_delimited(path: Path, columns: Columns, need_rating: bool) -> pd.DataFrame:
    """CSV, TSV and RecBole ``.inter``, UTF-8, with a header."""
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    content = path.read_bytes().rstrip(b"\r\n") + b"\n"  # blank lines at the end do no harm
    _check_fields(path, content, separator)
    try:
        first = pd.read_csv(io.BytesIO(content), sep=separator, nrows=0)
        header = [str(column).strip() for column in first.columns]
        if path.suffix.lower() == ".inter":
            header = [column.split(":")[0] for column in header]  # user_id:token -> user_id
            columns = _with_recbole_names(columns, header)
        # Ids as written: parsed as numbers, 01 and 1, or 1e5 and 100000, would become one user.
        ids = {name: str for name in (columns.user, columns.item) if name in header}
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=0,
            names=header,
            dtype=ids,
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
    return check_columns(frame, columns, need_rating, Place(path, first_line=2))


def _with_recbole_names(columns: Columns, header: list[str]) -> Columns:
    """RecBole calls users and items ``user_id`` and ``item_id``; another name given by the caller
    stays.
    """
    for role in ("user", "item"):
        if not columns.is_renamed(role) and role not in header:
            columns = replace(columns, **{role: f"{role}_id"})
    return columns


def _check_fields(path: Path, content: bytes, separator: str) -> None:
    """Raise BetError unless every line has as many fields as the header: pandas would fill a
    truncated one with missing values.
    """
    text = np.frombuffer(content, dtype=np.uint8)
    ends_line, ends_field = text == ord("\n"), text == ord(separator)
    if b'"' in content:
        is_quote = text == ord('"')
        is_quoted = np.logical_xor.accumulate(is_quote)
        starts_field = np.concatenate([[True], (ends_line | ends_field | is_quote)[:-1]])
        if (is_quote & is_quoted & ~starts_field).any():
            return  # a quote within a field is an ordinary character; the parser knows better
        ends_line, ends_field = ends_line & ~is_quoted, ends_field & ~is_quoted
        ends_line[-1] = True  # also where a quote is never closed
    ends = np.flatnonzero(ends_line)
    separators = np.diff(np.searchsorted(np.flatnonzero(ends_field), ends), prepend=0)  # by line
    wrong = np.flatnonzero(separators != separators[0])
    if len(wrong):
        row = int(wrong[0])
        line = content.count(b"\n", 0, int(ends[row - 1]) + 1) + 1  # quoted line ends count, too
        raise BetError(
            f"{path}, line {line}: {separators[row] + 1} fields, the header has "
            f"{separators[0] + 1}; the line is truncated or malformed, correct or remove it"
        )


def read_parquet(path: Path, columns: Columns, need_rating: bool) -> pd.DataFrame:
    """Parquet, ids of any type."""
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise BetError(
            f"{path}: not a readable Parquet file ({error}); fetch or write it again"
        ) from error
    return check_columns(frame, columns, need_rating, Place(path))


def read_lightgcn_text(path: Path, columns: Columns, need_rating: bool) -> pd.DataFrame:
    """Lines of ``user item item ...``, integer ids; ``columns`` play no part."""
    if need_rating:
        raise BetError(f"{path}: LightGCN text has no ratings; leave out the minimum rating")
    content = path.read_bytes()
    _check_integers(path, content)
    # Python's loop is over lines (users), numpy's over numbers (interactions).
    lines = [line for line in content.decode().splitlines() if line.strip()]
    if not lines:
        raise BetError(f"{path}: no lines; it needs at least one interaction")
    by_line = [np.fromstring(line, dtype=np.int64, sep=" ") for line in lines]
    counts = np.array([len(user_and_items) - 1 for user_and_items in by_line])
    numbers = np.concatenate(by_line)
    first = np.cumsum(counts + 1) - (counts + 1)  # where each user's id stands
    return pd.DataFrame(
        {"user": np.repeat(numbers[first], counts), "item": np.delete(numbers, first)}
    )


def _check_integers(path: Path, content: bytes) -> None:
    """Raise BetError on anything but non-negative integers that fit int64."""

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
            f"{line(wrong.start())}: id {wrong[0].decode()} has more than 18 digits; "
            "number the ids from 0"
        )


def read_npz(path: Path, columns: Columns, need_rating: bool) -> pd.DataFrame:
    """A sparse users x items matrix that scipy saved; ``columns`` play no part."""
    try:
        with open(path, "rb") as file:
            matrix = scipy.sparse.load_npz(file).tocoo()
        users, items = (np.asarray(index, dtype=np.int64) for index in matrix.coords)
        values = np.asarray(matrix.data, dtype=float)
    except Exception as error:  # zipfile, zlib, numpy and scipy raise many kinds for damaged files
        raise BetError(
            f"{path}: not a readable scipy users x items matrix ({error}); fetch or write it again"
        ) from error
    if (is_bad := ~np.isfinite(values) | (values < 0)).any():
        at = int(np.flatnonzero(is_bad)[0])
        raise BetError(
            f"{path}, row {users[at]}, column {items[at]}: {values[at]:g} is no count or rating; "
            "values must be finite and not negative, correct it"
        )
    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    return frame if need_rating else frame[values > 0].drop(columns="rating")


READERS: dict[str, Callable[[Path, Columns, bool], pd.DataFrame]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".inter": read_delimited,
    ".parquet": read_parquet,
    ".txt": read_lightgcn_text,
    ".npz": read_npz,
}
