"""One reader per file format: from a path to columns user, item and ``further`` ones: rating,
timestamp.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bet.arrays import PART
from bet.data.columns import Columns, Pairs, Place, Range, check_parts, used_columns
from bet.data.matrix_files import read_matrix
from bet.data.memory import check_room
from bet.data.text_files import check_fields, header_of, line_of_row, read_text
from bet.errors import BetError
from bet.text import printable, quoted


def read_delimited(path: Path, columns: Columns, further: Sequence[str]) -> Pairs:
    """CSV, TSV and RecBole ``.inter`` with a header."""
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    content = read_text(path).rstrip(b"\r\n") + b"\n"  # blank lines at the end do no harm
    check_fields(path, content, separator)
    header = header_of(path, content, separator)
    if path.suffix.lower() == ".inter":
        header = [column.split(":")[0] for column in header]  # user_id:token -> user_id
        columns = _with_recbole_names(columns, header)
    used = used_columns(header, columns, further, path)
    numbers = sorted(header.index(name) for name in used)
    in_order = [header[number] for number in numbers]
    try:
        # Everything as written: parsed as numbers, ids 01 and 1, or 1e5 and 100000, would be one.
        parts = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=0,
            names=range(len(header)),
            usecols=numbers,
            dtype=str,
            na_filter=False,
            index_col=False,
            skip_blank_lines=False,  # every row has its line in errors
            chunksize=PART,
        )
        named = (part.set_axis(in_order, axis=1) for part in parts)
        place = Place(path, partial(line_of_row, content, separator))
        return check_parts(named, columns, further, place)
    except BetError:
        raise
    except ValueError as error:  # pandas' parser errors are of this kind
        raise BetError(
            f"{path}: not readable as {path.suffix[1:]} ({str(error).strip()}); correct that line"
        ) from error


def _with_recbole_names(columns: Columns, header: list[str]) -> Columns:
    """RecBole calls users and items ``user_id`` and ``item_id``; another name given by the caller
    stays.
    """
    for role in ("user", "item"):
        if not columns.is_renamed(role) and role not in header:
            columns = replace(columns, **{role: f"{role}_id"})
    return columns


def read_parquet(path: Path, columns: Columns, further: Sequence[str]) -> Pairs:
    """Parquet, ids of any type."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            used = used_columns(file.schema_arrow.names, columns, further, path)
            check_room([path], _ROW_BYTES * file.metadata.num_rows)
            batches = file.iter_batches(PART, columns=used, use_threads=False)
            return check_parts(_frames(path, batches), columns, further, Place(path))
    except BetError:
        raise
    # pyarrow raises many kinds for damaged files
    except (pa.ArrowException, OSError, MemoryError, ValueError, KeyError, TypeError) as error:
        raise BetError(
            f"{path}: not a readable Parquet file ({error}); fetch or write it again"
        ) from error


_ROW_BYTES = 64  # of memory, at least


def _frames(path: Path, batches: Iterator) -> Iterator[pd.DataFrame]:
    """Batches of Parquet as frames; raises BetError where text is none."""
    import pyarrow as pa

    first = 0
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                raise BetError(
                    f"{path}, rows {first + 1} to {first + len(batch)}: column {quoted(name)} "
                    f"holds text that is not UTF-8 ({error}); write it again"
                ) from error
        first += len(batch)
        decoded = [
            column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            for column in batch.columns
        ]
        table = pa.Table.from_arrays(decoded, names=batch.schema.names)
        yield table.to_pandas(ignore_metadata=True)


def read_lightgcn_text(path: Path, columns: Columns, further: Sequence[str]) -> Pairs:
    """Lines of ``user item item ...``, integer ids; ``columns`` play no part."""
    if "rating" in further:
        raise BetError(f"{path}: LightGCN text has no ratings; leave out the minimum rating")
    content = read_text(path)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    _check_integers(path, content)
    if not content.strip():
        raise BetError(f"{path}: no lines; it needs at least one interaction")
    parts, first = [], 0
    while first < len(content):
        # Whole lines: up to the last end within a part, or the first one behind it.
        end = content.rfind(b"\n", first, first + PART) + 1 or content.find(b"\n", first) + 1
        parts.append(_lightgcn_pairs(content[first : end or len(content)]))
        first = end or len(content)
    users, items = (np.concatenate(side) for side in zip(*parts, strict=True))
    return Pairs(pd.DataFrame({"user": users, "item": items}))


def _lightgcn_pairs(lines: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Users and items, (k,) int64 each, of whole ``lines`` without a wrong character."""
    text = np.frombuffer(lines, dtype=np.uint8)
    is_digit = text >= ord("0")
    begins = np.flatnonzero(is_digit & ~np.concatenate([[False], is_digit[:-1]]))  # numbers
    line = np.searchsorted(np.flatnonzero(text == ord("\n")), begins)  # of each number
    numbers = np.fromstring(lines, dtype=np.int64, sep=" ") if len(begins) else begins
    is_user = np.diff(line, prepend=-1) > 0  # the first number of a line
    users = numbers[is_user][np.cumsum(is_user) - 1]
    return users[~is_user], numbers[~is_user]


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
            f"{line(wrong.start())}: id {printable(wrong[0].decode(), 40)} has more than 18 "
            "digits; number the ids from 0"
        )


def read_npz(path: Path, columns: Columns, further: Sequence[str]) -> Pairs:
    """A sparse users x items matrix that scipy saved; ``columns`` play no part."""
    try:
        users, items, values = read_matrix(path)
    except BetError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for damaged files
        raise BetError(
            f"{path}: not a readable scipy users x items matrix ({error}); fetch or write it again"
        ) from error
    if (is_bad := ~np.isfinite(values) | (values < 0)).any():
        at = int(np.flatnonzero(is_bad)[0])
        raise BetError(
            f"{path}, row {users[at]}, column {items[at]}: {values[at]:g} is no count or rating; "
            "values must be finite and not negative, correct it"
        )
    ratings = Range()
    ratings.add(values)
    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    kept = frame if "rating" in further else frame[values > 0].drop(columns="rating")
    return Pairs(kept, ratings.as_text())


READERS: dict[str, Callable[[Path, Columns, Sequence[str]], Pairs]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".inter": read_delimited,
    ".parquet": read_parquet,
    ".txt": read_lightgcn_text,
    ".npz": read_npz,
}
