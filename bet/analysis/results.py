"""A profile's records as data frames."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bet.actions import PER_ENTITY, bounds_serving
from bet.backbones import NO_BACKBONE
from bet.study.bundle import Bundle
from bet.study.cell import file_name_of
from bet.study.columns import columns, scalars
from bet.study.per_user import unpack
from bet.study.profiles import PROFILES
from bet.study.record import Record
from bet.study.unreached import Unreached

METRICS = ("recall@5", "ndcg@5", "recall@20", "ndcg@20")  # as in the paper; records hold more
METRIC = "ndcg@20"  # of tests, ranks, shares and figures
NAMES = ("dataset", "backbone", "budget", "method", "seed", "protocol", "iterations", "actions")
# What tells the runs of one setting apart. None: as the seed of the split.
RUN = ["seed", "init_seed", "search_seed"]
NO_BUDGET = "none"  # label of a table without a budget, so that it groups like one
REFERENCE = "references"  # label of the backbone of what has none
TO_SERVE = "bytes to serve per entity"
TABLE_BYTES = "table bytes per entity"
_DERIVED = ("validation", "entities", TO_SERVE, TABLE_BYTES, "candidates")
_OPTIONAL = ["iterations", "actions", "pretrain_seconds", "search_seconds", "retrain_seconds"]
_OPTIONAL += RUN[1:]


@dataclass(frozen=True)
class Group:
    """Cells that can be compared: the same data under the same protocol."""

    dataset: str
    protocol: str
    suffix: str = ""  # of file names, where a profile has several groups

    def __str__(self) -> str:
        return f"{self.dataset}, protocol {self.protocol}"

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of this group."""
        return frame[(frame["dataset"] == self.dataset) & (frame["protocol"] == self.protocol)]


@dataclass(frozen=True, eq=False)  # compared by identity, so that functions of it can be cached
class Results:
    """``records`` of a profile's finished cells in the profile's order; ``per_user``: cell_id,
    user, hits and test metrics; ``unreached``: cells that ended above their budget.
    """

    profile: str
    records: tuple[Record, ...]
    per_user: pd.DataFrame
    unreached: tuple[Unreached, ...] = ()

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per cell of the profile, finished or not (``finished`` False, numbers NaN),
        references last; index: cell id.

        ``budget`` is ``NO_BUDGET`` without one, ``backbone`` of a reference ``REFERENCE``; NaN
        ``iterations`` or ``actions``: the profile's; NaN ``init_seed`` or ``search_seed``: as the
        seed. ``candidates``: of how many trained tables the validation quality is the highest.
        """
        rows = []
        for cell in sorted(PROFILES[self.profile].cells, key=lambda c: c.backbone == NO_BACKBONE):
            record = self.record(cell.id)
            numbers = {} if record is None else scalars(record) | _derived(record)
            names = {name: getattr(cell, name) for name in (*NAMES, *RUN)}
            names |= {"budget": cell.budget or NO_BUDGET}
            names |= {"backbone": REFERENCE} if cell.backbone == NO_BACKBONE else {}
            rows.append(numbers | names | {"cell_id": cell.id, "finished": record is not None})
        known = dict.fromkeys(["cell_id", *NAMES, *RUN, "finished", *columns(), *_DERIVED])
        frame = pd.DataFrame(rows, columns=list(known)).set_index("cell_id")
        return frame.astype(dict.fromkeys(_OPTIONAL, float))  # None is NaN, where all are, too

    @cached_property
    def main(self) -> pd.DataFrame:
        """The cells with the profile's own T and m and one seed for all, under a budget of
        parameters or none.
        """
        return self._usual[~_in_bytes(self._usual["budget"])]

    @cached_property
    def by_bytes(self) -> pd.DataFrame:
        """The finished cells with the profile's own T and m and one seed for all, whatever their
        budget is of.
        """
        return self._usual[self._usual["finished"]]

    def tested(self, *, in_bytes: bool) -> pd.DataFrame:
        """The finished cells with the profile's own T and m that tests compare, under a budget of
        parameters or else of bytes: those with seeds of their own for start and search, too.
        """
        cells = self._with_own_numbers
        cells = cells[cells["finished"] & (cells["budget"] != NO_BUDGET)]
        return cells[_in_bytes(cells["budget"]) == in_bytes]

    def of_users(self, cell_id: str, metric: str) -> pd.Series:
        """What every test user of a finished cell has of ``metric``, by user; empty if unknown."""
        rows = self._rows_of_users.get(cell_id, [])
        values, users = (self.per_user[name].to_numpy()[rows] for name in (metric, "user"))
        return pd.Series(values.astype(float), index=users)

    @cached_property
    def _rows_of_users(self) -> dict:
        return self.per_user.groupby("cell_id", observed=True).indices

    @cached_property
    def _usual(self) -> pd.DataFrame:
        cells = self._with_own_numbers
        return cells[cells[RUN[1:]].isna().all(axis=1)]

    @cached_property
    def _with_own_numbers(self) -> pd.DataFrame:
        return self.cells[self.cells[["iterations", "actions"]].isna().all(axis=1)]

    @cached_property
    def groups(self) -> list[Group]:
        """Those with a finished cell, or all while there is none."""
        cells = self._usual
        pairs = list(dict.fromkeys(zip(cells["dataset"], cells["protocol"], strict=True)))
        parts = [f"_{file_name_of(dataset)}_{protocol}" for dataset, protocol in pairs]
        suffixes = parts if len(pairs) > 1 else [""] * len(pairs)
        groups = [Group(*pair, suffix) for pair, suffix in zip(pairs, suffixes, strict=True)]
        return [group for group in groups if len(group.of(self.by_bytes))] or groups

    @property
    def missing(self) -> list[str]:
        """Ids of the cells without a record."""
        return list(self.cells.index[~self.cells["finished"]])

    def record(self, cell_id: str) -> Record | None:
        """The record of a cell, None when it is missing."""
        return self._by_id.get(cell_id)

    @cached_property
    def _by_id(self) -> dict[str, Record]:
        return {record.cell_id: record for record in self.records}


def results_of(bundle: Bundle) -> Results:
    """With every user's metrics."""
    per_user = unpack(bundle.per_user).astype({"cell_id": "category"})
    records = tuple(record for record in bundle.records if isinstance(record, Record))
    return Results(bundle.profile, records, per_user, bundle.unreached)


def _in_bytes(budgets: pd.Series) -> pd.Series:
    """Whether each budget is one of bytes."""
    return budgets.str.endswith(PER_ENTITY) | budgets.map(bounds_serving).astype(bool)


def _derived(record: Record) -> dict[str, float]:
    quality, entities = record.metrics.validation.quality, record.data.users + record.data.items
    to_serve, table_bytes = record.serving.bytes / entities, record.size.bytes / entities
    tried = record.search.retrained if record.search else record.trials
    derived = (quality, entities, to_serve, table_bytes, max(1, len(tried)))
    return dict(zip(_DERIVED, derived, strict=True))
