"""Vectors and a number of bytes in, a file that serves them out."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.sparse import csr_array

from bet.actions import parse_bytes
from bet.data import FrequencyOrder, Interactions
from bet.errors import BetError
from bet.pack.axes import maps_of, principal_axes
from bet.pack.costs import Costs, Wanted, measure_costs, rows_at
from bet.pack.known import numbered
from bet.pack.plan import Plan, Room, Sample, best_plan, plans
from bet.pack.sources import Vectors
from bet.pack.survey import Names, Survey, names_tensor, survey
from bet.pack.write import Side, write_vectors
from bet.packed import (
    ByteReport,
    CodedInteractions,
    RecommenderLayout,
    TableFile,
    code_interactions,
    ids_path,
    load,
    most_table_bytes,
    write_recommender,
)
from bet.packed.ids import TENSORS, write_id_tensors
from bet.seeds import numpy_generator

BACKBONE = "vectors"  # of a file that has more than vectors in it: inner products are the scores
TRIED_USERS, TRIED_ITEMS = 400, 10_000  # on which plans are compared
MEASURED_PAIRS, MEASURED_USERS = 3e8, (50, 1000)  # scores, and users, least and most


@dataclass(frozen=True)
class Options:
    """What else may be given: ``data``, interactions, for frequencies, Recall and NDCG; ``test``,
    interactions to find instead, those of ``data`` left out.

    with_ids: keep ids in the file, where they count, not beside it. with_seen: keep every user's
    items of ``data``, people's histories, in the file, where they count.
    """

    data: Interactions | None = None
    test: Interactions | None = None
    with_ids: bool = False
    with_seen: bool = False
    seed: int = 0
    progress: bool = False

    def __post_init__(self):
        if self.data is None and (self.test is not None or self.with_seen):
            raise BetError("seen items and test interactions need the data that vectors are of")


@dataclass(frozen=True)
class Packed:
    """A file that was written, and what packing cost."""

    path: Path
    limit: int
    plan: Plan
    report: ByteReport
    costs: Costs
    has_ids: bool


@dataclass(frozen=True)
class _Rows:
    """What stands where: ``names`` of rows as they stand in their own file, and their ``place`` in
    the packed one, of users and of items; None: row numbers, and the same places.
    """

    names: tuple[Names | None, Names | None] = field(repr=False)
    places: tuple[np.ndarray | None, np.ndarray | None] = field(repr=False)
    matrix: csr_array | None = field(repr=False)  # of the data, by own row

    def ids(self) -> dict[str, np.ndarray]:
        """Tensors of the ids, in the packed order; none without names."""
        tensors = {}
        for side, (names, place) in enumerate(zip(self.names, self.places, strict=True)):
            if names is None:
                return {}
            tensors[TENSORS[side]] = names_tensor(_in_order(names, place), side)
        return tensors

    def coded(self) -> CodedInteractions | None:
        """The interactions of the data in the packed order."""
        if self.matrix is None:
            return None
        matrix = _in_order(self.matrix, self.places[0])
        items = matrix.indices if self.places[1] is None else self.places[1][matrix.indices]
        return code_interactions(matrix.indptr, items, matrix.shape[1])


def pack_vectors(
    users: Vectors, items: Vectors, budget: str, out: Path, options: Options | None = None
) -> Packed:
    """Write ``users`` and ``items`` (n, d) each, whose inner products are scores, to a file of at
    most ``budget`` ("2 GB", "25.6 B/entity"), and measure what that costs.

    All vectors are read block by block, three times, and are never in memory together; what grows
    with their number are 8 bytes for an integer id, about 100 for one of text, and 16 for a
    frequency. Raises BetError for vectors of different lengths, a number that is not finite, an id
    that stands twice, and a budget below one bit per number.
    """
    options = options or Options()
    limit = _limit(users, items, budget)
    room = Room(users.n, items.n, users.d, limit)
    room.check(budget)
    measured = _sample_sizes(users.n, items.n)
    tried = _sampled(users.n, TRIED_USERS, options.seed), _sampled(items.n, TRIED_ITEMS, 1)
    surveys = [
        survey(vectors, rows, label=label, progress=options.progress)
        for vectors, rows, label in zip((users, items), tried, ("users", "items"), strict=True)
    ]
    rows = _rows(surveys, users.n, items.n, options.data)
    ids, coded = rows.ids(), rows.coded() if options.with_seen else None
    inside = ids if options.with_ids else {}
    around = None if coded is None else _around(users.n, items.n, coded, inside)
    table_limit = limit if around is None else most_table_bytes(around, limit)
    in_table = () if around else tuple((name, "U8", len(part)) for name, part in inside.items())
    room = Room(users.n, items.n, users.d, table_limit, in_table)
    room.check(budget)
    plan, principal = _chosen(room, surveys, rows, tried)
    maps = maps_of(plan.axes, plan.columns, principal)
    parts = (users, maps[0], rows.places[0]), (items, maps[1], rows.places[1])
    sides = Side(*parts[0]), Side(*parts[1])
    # An earlier file's ids must go first: interrupted, none are left rather than another file's.
    ids_path(out).unlink(missing_ok=True)
    if around is None:
        report: ByteReport = write_vectors(
            out, plan, sides, inside, progress=options.progress
        )
    else:
        report = _write_with_seen(out, plan, sides, around, coded, inside, options.progress)
    if ids and not options.with_ids:
        write_id_tensors(out, ids, users.n, items.n)
    costs = _costs(out, sides, rows, measured, options)
    return Packed(out, limit, plan, report, costs, has_ids=bool(ids))
