"""Numbers from the records of a study of streams: by segment, by user, and what they say of the
papers' claims.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bet.analysis.paired import Paired, paired
from bet.study.bundle import Bundle
from bet.study.per_user import unpack
from bet.study.stream_record import StreamRecord

METRIC = "ndcg@20"
PLAIN = ("stream-uniform", "stream-powerlaw")  # rules without a search in later segments


@dataclass(frozen=True, eq=False)
class StreamResults:
    """``records`` of a profile's finished cells, in its order; ``per_user``: cell_id, segment, user
    and test metrics.
    """

    profile: str
    records: tuple[StreamRecord, ...]
    per_user: pd.DataFrame

    @cached_property
    def segments(self) -> pd.DataFrame:
        """A row per cell and segment: dataset, backbone, method, seed, and the segment's fields;
        ``METRIC`` on test; ``cost``: seconds of sizing and training over those of training.
        """
        rows = []
        for record in self.records:
            cell, seconds = record.cell, record.run.seconds
            names = {
                name: getattr(cell, name) for name in ("dataset", "backbone", "method", "seed")
            }
            for part in record.segments:
                size, train = seconds.size[part.number], seconds.train[part.number]
                row = {name: getattr(part, name) for name in _FIELDS}
                row |= {METRIC: part.metrics.ndcg_at_20, "cost": 1 + size / max(train, 1e-9)}
                rows.append({"cell_id": record.cell_id, **names, **row})
        columns = ["cell_id", "dataset", "backbone", "method", "seed", *_FIELDS, METRIC, "cost"]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def groups(self) -> list[tuple[str, str]]:
        """(dataset, backbone) in the profile's order."""
        cells = [record.cell for record in self.records]
        return list(dict.fromkeys((cell.dataset, cell.backbone) for cell in cells))

    def of(self, dataset: str, backbone: str) -> pd.DataFrame:
        """The segments of a group."""
        table = self.segments
        return table[(table["dataset"] == dataset) & (table["backbone"] == backbone)]

    def of_users(self, cell_id: str) -> pd.Series:
        """By user, numbers whose mean over users is the mean of ``METRIC`` over segments: what a
        user has in a segment counts by one over the segment's users.
        """
        rows = self.per_user[self.per_user["cell_id"] == cell_id]
        users_of = rows.groupby("segment")["user"].transform("size")
        weight = rows["user"].nunique() / (rows["segment"].nunique() * users_of)
        return (rows[METRIC] * weight).groupby(rows["user"]).sum()


_FIELDS = (
    "number",
    "users",
    "items",
    "test",
    "unknown",
    "limit_bytes",
    "bytes",
    "user_share",
    "short_trainings",
    "quality",
    "wasted",
)


def stream_results_of(bundle: Bundle) -> StreamResults:
    """With every user's metrics."""
    records = tuple(record for record in bundle.records if isinstance(record, StreamRecord))
    per_user = unpack(bundle.per_user) if len(bundle.per_user) else bundle.per_user
    return StreamResults(bundle.profile, records, per_user)


def averages(results: StreamResults) -> pd.DataFrame:
    """A row per dataset, backbone and method, the best last: ``METRIC`` averaged over segments,
    ``mean`` and ``std`` of that over seeds, the last segment's ``bytes``, validation quality, and
    the median ``cost`` of the segments but the first.
    """
    keys = ["dataset", "backbone", "method"]
    table = results.segments
    of_cell = table.groupby([*keys, "seed"], sort=False).agg(
        score=(METRIC, "mean"), validation=("quality", "mean"), bytes=("bytes", "last")
    )
    by_method = of_cell.groupby(keys, sort=False).agg(
        mean=("score", "mean"),
        std=("score", "std"),
        seeds=("score", "size"),
        validation=("validation", "mean"),
        bytes=("bytes", "max"),
    )
    later = table[table["number"] > 0]
    return by_method.assign(cost=later.groupby(keys)["cost"].median()).reset_index()


def compare(
    results: StreamResults, group: tuple[str, str], method: str, opponent: str
) -> Paired | None:
    """``method`` minus ``opponent`` in the mean of ``METRIC`` over segments, seeds and users
    resampled; None where no seed of both has finished.
    """
    cells = results.of(*group)[["cell_id", "method", "seed"]].drop_duplicates()
    ours, theirs = (
        cells[cells["method"] == name].set_index("seed")["cell_id"] for name in (method, opponent)
    )
    seeds = [seed for seed in ours.index if seed in theirs.index]
    if not seeds:
        return None
    rows = [results.of_users(ours[seed]) - results.of_users(theirs[seed]) for seed in seeds]
    return paired(pd.DataFrame(rows).dropna(axis=1).to_numpy(dtype=np.float64))


def best_capped(results: StreamResults, group: tuple[str, str], among: Sequence[str] = ()) -> str:
    """The method under the cap with the best validation quality, of ``among`` or of all."""
    table = results.of(*group)
    table = table[table["limit_bytes"].notna()]
    if among:
        table = table[table["method"].isin(among)]
    return str(table.groupby("method", sort=False)["quality"].mean().idxmax())
