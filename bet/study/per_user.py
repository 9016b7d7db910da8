"""The per-user file of a record: every test user's hits as the bits of one number, from which any
metric up to rank 20 follows.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd

from bet.errors import BetError
from bet.files import atomic_path
from bet.training import CUTOFFS, RankingMetrics

DEPTH = max(CUTOFFS)
COLUMNS = ["user", "positives", "hits"]
SEGMENT = "segment"  # the column of a stream, where a user has a row in every segment


def pack(ranked: RankingMetrics) -> pd.DataFrame:
    """A row per user, int32: ``user``, ``positives`` (how many) and ``hits``, whose bit r says if
    the item at rank r + 1 is one.
    """
    depth = min(DEPTH, ranked.hits.shape[1])
    bits = ranked.hits[:, :depth] @ (1 << np.arange(depth))
    columns = (ranked.users, ranked.n_positives, bits)
    return pd.DataFrame(
        {name: column.astype(np.int32) for name, column in zip(COLUMNS, columns, strict=True)}
    )


def read_rows(content: bytes, source: str, remedy: str) -> pd.DataFrame:
    """What ``write_rows`` wrote. Raises BetError, which names ``source`` and the ``remedy``, unless
    ``content`` is a Parquet file with all of ``columns_of`` it, int32.
    """
    try:
        frame = pd.read_parquet(io.BytesIO(content))
        frame.get("cell_id", pd.Series()).to_numpy()  # text that is not UTF-8 shows only now
    except Exception as error:  # a damaged file can raise almost anything
        reason = str(error).partition("\n")[0]
        raise BetError(f"{source}: no readable Parquet file ({reason}); {remedy}") from error
    lacking = [
        name for name in columns_of(frame) if name not in frame or frame[name].dtype != np.int32
    ]
    if lacking:
        raise BetError(
            f"{source}: lacks {', '.join(lacking)}: damaged or of another version; {remedy}"
        )
    return frame


def columns_of(frame: pd.DataFrame) -> list[str]:
    """``COLUMNS``, and ``SEGMENT`` before them where ``frame`` has it."""
    return [SEGMENT] * (SEGMENT in frame) + COLUMNS


def rows_digest(frame: pd.DataFrame) -> str:
    """sha256 of the columns ``columns_of(frame)``, int32, of one cell's rows."""
    digest = hashlib.sha256()
    for name in columns_of(frame):
        digest.update(np.asarray(frame[name], dtype="<i4").tobytes())
    return digest.hexdigest()


def unpack(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the metrics of Eq. 13 that its hits amount to, float64."""
    hits = (frame["hits"].to_numpy()[:, None] >> np.arange(DEPTH)) & 1 == 1  # (u, DEPTH)
    ranked = RankingMetrics(frame["user"].to_numpy(), frame["positives"].to_numpy(), hits)
    return frame.assign(**ranked.values)


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Parquet of a packed ``frame``, with or without a ``cell_id`` column: whole or not at all."""
    # Users come in order, so their differences take a fraction of the space that the numbers do.
    others = [name for name in frame if name != "user"]
    options = {
        "use_dictionary": others,
        "column_encoding": {"user": "DELTA_BINARY_PACKED"},
        "compression": "zstd",
    }
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False, **options)
