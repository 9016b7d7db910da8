"""The per-user file of a record: every test user's hits as the bits of one number, from which any
metric up to rank 20 follows.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from bet.errors import BetError
from bet.files import atomic_path
from bet.training import CUTOFFS, RankingMetrics

DEPTH = max(CUTOFFS)
COLUMNS = ["user", "positives", "hits"]


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


def check_columns(frame: pd.DataFrame) -> None:
    """Raise BetError unless ``frame`` has all of ``COLUMNS``."""
    if lacking := [name for name in COLUMNS if name not in frame]:
        raise BetError(
            f"a per-user file lacks {', '.join(lacking)}: another version wrote it; run its cells "
            "again"
        )


def unpack(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the metrics of Eq. 13 that its hits amount to, float64. Raises BetError if it
    lacks a column.
    """
    check_columns(frame)
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
