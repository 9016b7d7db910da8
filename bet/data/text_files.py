"""Text files as they are stored: their encoding, the fields of their lines, the line of a row."""

import codecs
import csv
import io
import itertools
from pathlib import Path

import numpy as np

from bet.arrays import PART
from bet.errors import BetError
from bet.text import printable

_WIDE = {  # the longer marks first: those of UTF-32 begin as those of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_text(path: Path) -> bytes:
    """The content of ``path`` in UTF-8 without a byte order mark, which also tells UTF-16 and
    UTF-32; raises BetError, naming the line, where it is no text.
    """
    with open(path, "rb") as file:
        start = file.read(4)
        encoding = next((name for mark, name in _WIDE.items() if start.startswith(mark)), None)
        file.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)
        if encoding is None:
            content = file.read()
        else:
            decoded = io.BytesIO()
            try:
                for part in codecs.iterdecode(iter(lambda: file.read(PART), b""), encoding):
                    decoded.write(part.encode())
            except UnicodeError as error:
                raise BetError(
                    f"{path}: begins as {encoding} and does not go on so ({error}); save it as "
                    "UTF-8"
                ) from error
            content = decoded.getvalue()
    _check_text(path, content)
    return content


def _check_text(path: Path, content: bytes) -> None:
    """Raise BetError unless ``content`` is UTF-8 without zero bytes."""
    if (at := content.find(b"\0")) >= 0:
        raise BetError(
            f"{path}, line {_line(content, at)}: a zero byte, which text does not have; if it is "
            "UTF-16 without a byte order mark, save it as UTF-8, else remove it"
        )
    decoder, first = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        for first in range(0, len(content), PART):
            decoder.decode(content[first : first + PART], final=first + PART >= len(content))
    except UnicodeDecodeError as error:
        raise BetError(
            f"{path}, line {_line(content, first + error.start)}: not UTF-8 text ({error.reason}); "
            "save it as UTF-8"
        ) from error


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def check_fields(path: Path, content: bytes, separator: str) -> None:
    """Raise BetError unless every line has as many fields as the header: pandas would fill a
    truncated one with missing values.
    """
    expected, separators, start = None, 0, 0  # of the header; and of the line that began at start
    quoted, starts_field = False, True  # before the next byte
    for first in range(0, len(content), PART):
        text = np.frombuffer(content, np.uint8, min(PART, len(content) - first), first)
        ends_line, ends_field = text == ord("\n"), text == ord(separator)
        is_quote = text == ord('"')
        if quoted or is_quote.any():
            inside = np.logical_xor.accumulate(is_quote) ^ quoted
            breaks = np.concatenate([[starts_field], (ends_line | ends_field | is_quote)])
            if (is_quote & inside & ~breaks[:-1]).any():
                return  # a quote within a field is an ordinary character; the parser knows better
            ends_line, ends_field = ends_line & ~inside, ends_field & ~inside
            quoted, starts_field = bool(inside[-1]), bool(breaks[-1])
        else:
            starts_field = bool(ends_line[-1] or ends_field[-1])
        if first + len(text) == len(content):
            ends_line[-1] = True  # also where a quote is never closed
        ends, fields = np.flatnonzero(ends_line), np.flatnonzero(ends_field)
        counts = np.diff(np.searchsorted(fields, ends), prepend=0)  # by line
        if not len(ends):
            separators += len(fields)
            continue
        counts[0] += separators
        expected = int(counts[0]) if expected is None else expected
        if len(wrong := np.flatnonzero(counts != expected)):
            row = int(wrong[0])
            start = first + int(ends[row - 1]) + 1 if row else start
            raise BetError(
                f"{path}, line {_line(content, start)}: {counts[row] + 1} fields, the header has "
                f"{expected + 1}; the line is truncated or malformed, correct or remove it"
            )
        start = first + int(ends[-1]) + 1
        separators = int((fields > ends[-1]).sum())


def header_of(path: Path, content: bytes, separator: str) -> list[str]:
    """The fields of the first line; raises BetError where it has none."""
    try:
        names: list[str] = next(_records(content, separator), [])
    except csv.Error as error:
        raise BetError(f"{path}, line 1: no header ({error}); write the columns' names") from error
    if not any(map(str.strip, names)):
        raise BetError(f"{path}, line 1: is empty; it must have the columns' names, remove it")
    return [name.strip() for name in names]


def line_of_row(content: bytes, separator: str, row: int) -> int:
    """The line on which row ``row`` behind the header begins; a quoted field may have several.

    >>> line_of_row(b'user,item\\n"a\\nb",1\\nc,2\\n', ",", 1)
    4
    """
    records = _records(content, separator)
    try:
        for _ in itertools.islice(records, row + 1):
            pass
    except csv.Error:  # a field that is longer than it takes
        return row + 2
    return records.line_num + 1


def _records(content: bytes, separator: str):
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    return csv.reader(lines, delimiter=separator)


def listed(names: list[str]) -> str:
    """Names of columns for a message, at most twenty.

    >>> listed(["user", "it\\x1b[31mem"])
    'user, it\\\\x1b[31mem'
    """
    more = [f"... ({len(names):,} in all)"] * (len(names) > 20)
    return ", ".join([*(printable(name, 60) for name in names[:20]), *more])
