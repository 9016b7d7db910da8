"""MovieLens-latest-small of 2016, out of the data files of the R package dslabs."""

import gzip
import warnings
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from bet.errors import BetError
from bet.paths import data_dir
from bet.stream.events import Events, arrange

NAME = "ml-latest-small"
COUNTS = (671, 9_066, 100_004)  # users, items, interactions
MOST = 2**26  # bytes that a part may have when it is unpacked
FILES = ("Rdata.rdx", "Rdata.rdb")  # an index, and all data sets of the package


def latest_small(folder: Path | None = None) -> Events:
    """All ratings, read from ``folder``, ``$BET_DATA/ml-latest-small/``. Raises BetError where the
    files, or the package that reads them, are absent, and on other files.
    """
    data = data_dir()
    if folder is None and data is not None:
        folder = data / NAME
    if folder is None or not all((folder / file).is_file() for file in FILES):
        raise BetError(
            f"{NAME}: no {' and '.join(FILES)} in $BET_DATA/{NAME}/; they are the folder data of "
            "the R package dslabs (Debian: r-cran-dslabs), docs/own_data.md says how to get them"
        )
    try:
        import rdata
    except ImportError as error:
        raise BetError(
            f"{folder}: R's data files need rdata; install it: pip install 'bet[latest-small]'"
        ) from error

    def parse(content: bytes) -> Any:
        with warnings.catch_warnings():  # of a file without a header of its own
            warnings.simplefilter("ignore")
            return rdata.conversion.convert(rdata.parser.parse_data(content))

    try:
        index = parse(_at_most(gzip.open(folder / FILES[0]).read(MOST)))
        start, length = (int(number) for number in index["variables"]["movielens"])
        with open(folder / FILES[1], "rb") as file:
            file.seek(start)
            packed = file.read(min(length, MOST))
        # A part is preceded by its length, four bytes.
        content = zlib.decompressobj().decompress(packed[4:], MOST)
        frame = parse(_at_most(content))
        columns = [pd.Series(frame[each]) for each in ("userId", "movieId", "timestamp")]
    except Exception as error:  # damaged files can raise almost anything
        raise BetError(
            f"{folder}: not dslabs' data set 'movielens' ({error}); get the package's files again"
        ) from error
    events = arrange(NAME, *columns)
    counts = (len(events.user_ids), len(events.item_ids), len(events))
    if counts != COUNTS:
        raise BetError(
            f"{folder}: {counts} users, items and interactions instead of {COUNTS}; get the "
            "files of dslabs again"
        )
    return events


def _at_most(content: bytes) -> bytes:
    if len(content) >= MOST:
        raise BetError(f"a part has {MOST:,} bytes or more")
    return content
