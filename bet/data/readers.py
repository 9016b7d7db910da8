"""Read interactions from your files: CSV, TSV, Parquet, RecBole ``.inter``, LightGCN text,
scipy CSR ``.npz``.
"""

import dataclasses
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bet.data.columns import Columns, Pairs
from bet.data.formats import READERS
from bet.data.interactions import Interactions, binary_matrix, from_pairs
from bet.data.memory import check_memory
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
    k_core: int | None = None,
    name: str | None = None,
) -> Interactions:
    """Interactions of one file or of several together; the extension decides how they are read.

    * ``.csv``, ``.tsv``, ``.parquet``: columns ``user`` and ``item``, possibly ``rating`` and
      ``timestamp``; ids of any type.
    * ``.inter`` (RecBole): tab-separated, a header like ``user_id:token``; the default names stand
      for RecBole's.
    * ``.txt`` (LightGCN): a line per user, ``user item item ...``, integer ids from 0.
    * ``.npz`` (scipy): a users x items matrix; stored values are ratings.

    minimum_rating: keep ratings of at least this. k_core: then keep, repeatedly, users and items
    with at least this many interactions. Pairs that occur twice count once (logged). The timestamp
    is only checked: the split does not use it. Ids of text are compared as written, without spaces
    around them (``01`` is not ``1``, ``NA`` is an id), and become integers when all are integers
    written the usual way. Ids 0..n-1 without gaps of ``.txt`` and ``.npz`` are the indices, without
    a mapping. Text is UTF-8, or UTF-16 or UTF-32 with a byte order mark. What was read is summed up
    in one line of the log. Raises BetError, naming file, line or column, and remedy, on anything
    that cannot be read, or that does not fit into memory.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not paths:
        raise BetError("no file to read; give at least one path")
    check_memory(paths)
    columns = Columns(user, item, rating, timestamp)
    further = [] if minimum_rating is None else ["rating"]
    parts = [read_pairs(file, columns, further) for file in paths]
    pairs = _concatenate([part.frame for part in parts])
    name, where = name or paths[0].stem, ", ".join(map(str, paths))
    if not len(pairs):
        raise BetError(
            f"{where}: no interactions; every user or stored value is empty, at least one is needed"
        )
    extensions = {file.suffix.lower() for file in paths}
    unfiltered = minimum_rating is None and k_core is None
    if extensions <= {".txt", ".npz"} and unfiltered and _has_no_gaps(pairs):
        data = _from_indices(name, pairs)
    else:
        data = from_pairs(
            name,
            pairs["user"],
            pairs["item"],
            ratings=pairs.get("rating"),
            minimum_rating=minimum_rating,
            k_core=k_core,
            where=where,
        )
    log.info("%s: %s", where, _summary(data, parts, unfiltered))
    if extensions & {".csv", ".tsv", ".inter"}:  # their ids were read as text
        data = dataclasses.replace(
            data, user_ids=_to_integers(data.user_ids), item_ids=_to_integers(data.item_ids)
        )
    return data


def _summary(data: Interactions, parts: list[Pairs], unfiltered: bool) -> str:
    """What was read, in a line."""
    dropped = sum(len(part.frame) for part in parts) - len(data)
    why = "repeated" if unfiltered else "repeated, rated lower or outside the k-core"
    said = [
        f"{data.n_users:,} users, {data.n_items:,} items, {len(data):,} interactions",
        f"{dropped:,} dropped ({why})" if dropped else "none dropped",
    ]
    for what in ("ratings", "times"):
        ends = [getattr(part, what) for part in parts]
        if len(set(ends)) == 1 and ends[0] is not None:
            said.append(f"{what} {' to '.join(dict.fromkeys(ends[0]))}")
    return "; ".join(said)


def read_pairs(path: Path, columns: Columns, further: Sequence[str]) -> Pairs:
    """Columns user, item and ``further`` ones (rating, timestamp) of one file; those without names
    of columns have no timestamp. Raises BetError, with the remedy, on one that cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    if not path.is_file():
        raise BetError(f"{path}: no such file; check the path")
    if reader is None:
        raise BetError(f"{path}: unknown extension {path.suffix!r}; known are {', '.join(READERS)}")
    if not path.stat().st_size:
        raise BetError(f"{path}: the file is empty; it needs at least one interaction")
    return reader(path, columns, further)


def _concatenate(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """All parts as a frame; an id that is a number in one part and text in another is the same."""
    for role in ("user", "item"):
        if len({pd.api.types.is_numeric_dtype(part[role]) for part in parts}) > 1:
            parts = [part.assign(**{role: part[role].astype(str)}) for part in parts]
    return pd.concat(parts, ignore_index=True)


def _has_no_gaps(pairs: pd.DataFrame) -> bool:
    """Whether both columns hold every integer from 0 to their largest."""
    for role in ("user", "item"):
        ids = pairs[role].to_numpy()
        # The first test keeps bincount from allocating an array as long as an id is large.
        if ids.max() >= len(ids) or not np.bincount(ids).all():
            return False
    return True


def _from_indices(name: str, pairs: pd.DataFrame) -> Interactions:
    """Interactions whose ids are indices already and stay so: no mapping."""
    users, items = pairs["user"].to_numpy(), pairs["item"].to_numpy()
    matrix = binary_matrix(users, items, (int(users.max()) + 1, int(items.max()) + 1))
    if matrix.nnz < len(pairs):
        log.warning("%s: dropped %d duplicate interactions", name, len(pairs) - matrix.nnz)
    return Interactions(name, matrix)


def _to_integers(ids: np.ndarray | None) -> np.ndarray | None:
    """int64 ids (n,) when all are integers written the usual way, else the ids as they are."""
    if ids is None or not len(ids):
        return ids
    texts = [str(text) for text in ids]  # a loop over entities, not interactions
    is_integer = re.compile("0|[1-9][0-9]{0,17}").fullmatch  # up to 18 digits: fits int64
    return np.array(texts, dtype=np.int64) if all(map(is_integer, texts)) else ids
