"""Vectors and a number of bytes in, a file that serves them out."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from bet.actions import parse_bytes
from bet.data import FrequencyOrder, Interactions
from bet.errors import BetError
from bet.files import atomic_files, check_writable, private_folder
from bet.pack.axes import maps_of, principal_axes
from bet.pack.costs import Costs, Wanted, measure_costs
from bet.pack.known import numbered
from bet.pack.plan import Plan, Room, Sample, best_plan, plans
from bet.pack.sources import Vectors
from bet.pack.survey import Names, Survey, names_tensor, survey
from bet.pack.write import Side, write_vectors
from bet.packed import (
    ByteReport,
    CodedInteractions,
    RecommenderLayout,
    code_interactions,
    ids_path,
    most_table_bytes,
)
from bet.packed.ids import SUFFIX, TENSORS, write_id_tensors
from bet.packed.streamed import streamed_safetensors
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
    progress: bool = False

    def __post_init__(self):
        if self.data is None and (self.test is not None or self.with_seen):
            raise BetError(
                "seen items and test interactions need the data that the vectors are of; name it "
                "by --data"
            )


@dataclass(frozen=True)
class Packed:
    """A file that was written, and what packing cost; ``first_user``: the id of its first row."""

    path: Path
    limit: int
    plan: Plan
    report: ByteReport
    costs: Costs
    n_items: int
    first_user: str


@dataclass(frozen=True)
class _Rows:
    """What stands where: ``names`` of rows as they stand in their own file, and their ``place`` in
    the packed one, of users and of items; None: the same places.
    """

    names: tuple[Names, Names] = field(repr=False)
    places: tuple[np.ndarray | None, np.ndarray | None] = field(repr=False)
    matrix: csr_array | None = field(repr=False)  # of the data, by own row

    def ids(self) -> dict[str, np.ndarray]:
        """Tensors of the ids, in the packed order."""
        return {
            TENSORS[side]: names_tensor(_in_order(names, place), side)
            for side, (names, place) in enumerate(zip(self.names, self.places, strict=True))
        }

    @property
    def first_user(self) -> str:
        """Id of the first row of the file."""
        names, place = self.names[0], self.places[0]
        return str(names[0 if place is None else np.argmin(place)])

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

    Vectors are read block by block, three times, and are never in memory together; only ids and
    frequencies are. Raises BetError for vectors of different lengths, a number
    that is not finite, an id that stands twice, a budget below one bit per number, and an ``out``
    that cannot be written or holds one of the vectors; nothing is left then.
    """
    options = options or Options()
    inputs = {users.path: "the users' vectors", items.path: "the items' vectors"}
    check_writable(out, "the packed file", beside=(SUFFIX,), inputs=inputs)
    limit = _limit(users, items, budget)
    room = Room(users.n, items.n, users.d, limit)
    room.check(budget)
    tried = _sampled(users.n, TRIED_USERS, "users"), _sampled(items.n, TRIED_ITEMS, "items")
    surveys = [
        survey(vectors, rows, label=label, progress=options.progress)
        for vectors, rows, label in zip((users, items), tried, ("users", "items"), strict=True)
    ]
    rows = _rows(surveys, options.data)
    ids, coded = rows.ids(), rows.coded() if options.with_seen else None
    inside = ids if options.with_ids else {}
    around = None if coded is None else _around(users.n, items.n, coded, inside)
    table_limit = limit if around is None else most_table_bytes(around, limit)
    in_table = () if around else tuple((name, "U8", len(part)) for name, part in inside.items())
    room = Room(users.n, items.n, users.d, table_limit, in_table)
    room.check(budget)
    plan, principal = _chosen(room, surveys, rows, tried)
    maps = maps_of(plan.axes, plan.columns, principal)
    sides = Side(users, maps[0], rows.places[0]), Side(items, maps[1], rows.places[1])
    seen = {} if coded is None else {f"seen.{name}": part for name, part in coded.tensors.items()}
    with atomic_files(out.parent) as private:
        file = private / out.name
        report = _write(file, plan, sides, inside | seen, around, progress=options.progress)
        if not options.with_ids:
            write_id_tensors(file, ids, users.n, items.n)
        # Now, so that an earlier file keeps its ids until it goes, and none has another's.
        ids_path(out).unlink(missing_ok=True)
    costs = _costs(out, sides, rows, options)
    return Packed(
        out, limit, plan, report, costs=costs, n_items=items.n, first_user=rows.first_user
    )


def _limit(users: Vectors, items: Vectors, budget: str) -> int:
    """The bytes that ``budget`` states; raises BetError where it states none, or sides differ."""
    if users.d != items.d:
        raise BetError(
            f"{users.path} has vectors of {users.d} numbers, {items.path} of {items.d}; only "
            "vectors of equal length have inner products"
        )
    try:
        limit = parse_bytes(budget, users.n + items.n)
    except BetError:  # offers sparsities, which packing has not
        limit = None
    if limit is None:
        raise BetError(
            f"packing needs a budget in bytes, got {budget!r}; for example '2 GB' or "
            "'25.6 B/entity'"
        )
    return limit


def _sampled(n: int, most: int, name: str) -> np.ndarray:
    """At most ``most`` of ``n`` numbers, in rising order."""
    if n <= most:
        return np.arange(n)
    generator = numpy_generator(0, "pack", name)
    return np.sort(generator.choice(n, most, replace=False, shuffle=False))


def _rows(surveys: list[Survey], data: Interactions | None) -> _Rows:
    """Rows by frequency where both sides' are known, from the data or from the files."""
    names, matrix = (surveys[0].ids, surveys[1].ids), None
    frequencies = surveys[0].frequency, surveys[1].frequency
    if data is not None:
        matrix = numbered(data, names)
        order = FrequencyOrder.of(matrix)
        frequencies = order.user_frequency, order.item_frequency
    places: list[np.ndarray | None] = [None, None]
    if frequencies[0] is not None and frequencies[1] is not None:
        places = [_places(-frequency) for frequency in frequencies if frequency is not None]
    return _Rows(names, (places[0], places[1]), matrix)


def _places(keys: np.ndarray) -> np.ndarray:
    """The place of every row (n,) when rows stand by ``keys``, equal ones as before."""
    places = np.empty(len(keys), dtype=np.int64)
    places[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return places


def _in_order(rows, place: np.ndarray | None):
    """``rows`` (n, ...) in the order of their ``place`` (n,)."""
    return rows if place is None else rows[np.argsort(place)]


def _around(
    n_users: int, n_items: int, coded: CodedInteractions, ids: dict[str, np.ndarray]
) -> RecommenderLayout:
    """The file around the vectors of one with histories."""
    return RecommenderLayout(
        backbone=BACKBONE,
        n_users=n_users,
        n_items=n_items,
        table_bytes=0,
        seen=coded.layout,
        ids=tuple((name, "U8", len(content)) for name, content in ids.items()),
    )


def _write(
    path: Path,
    plan: Plan,
    sides: tuple[Side, Side],
    further: dict[str, np.ndarray],
    around: RecommenderLayout | None,
    *,
    progress: bool,
) -> ByteReport:
    """Write the vectors and ``further`` tensors, into a file ``around`` them where there is one;
    the bytes by part.
    """
    if around is None:
        return write_vectors(path, plan, sides, further, progress=progress)
    with private_folder(path.parent) as folder:  # as large as the file itself
        table = folder / path.name
        report = write_vectors(table, plan, sides, progress=progress)
        layout = replace(around, table_bytes=report.total)
        with streamed_safetensors(path, layout.tensors, layout.metadata) as file:
            file.mapped("table")[:] = np.memmap(table, dtype=np.uint8, mode="r")
            for name, content in further.items():
                file.mapped(name)[...] = content
    return layout.byte_report()


def _chosen(
    room: Room, surveys: list[Survey], rows: _Rows, tried: tuple[np.ndarray, np.ndarray]
) -> tuple[Plan, tuple[np.ndarray, np.ndarray]]:
    """The plan that loses least on the rows ``tried``, and both sides' principal axes."""
    principal = principal_axes(surveys[0].gram, surveys[1].gram)
    candidates = plans(room, by_frequency=rows.places[0] is not None)
    if len(candidates) == 1:
        return candidates[0], principal
    ranks = [
        np.zeros(len(chosen)) if place is None else place[chosen] / len(place)
        for chosen, place in zip(tried, rows.places, strict=True)
    ]
    sample = Sample(surveys[0].sample, surveys[1].sample, *ranks)
    return best_plan(candidates, sample, principal), principal


def _costs(path: Path, sides: tuple[Side, Side], rows: _Rows, options: Options) -> Costs:
    """What was lost, on users who have something to find where there are interactions."""
    n_users, n_items = sides[0].vectors.n, sides[1].vectors.n
    wanted = None
    if options.test is not None:
        positives = numbered(options.test, rows.names)
        wanted = Wanted(positives, seen=rows.matrix)
    elif rows.matrix is not None:
        wanted = Wanted(rows.matrix, seen=None)
    count = int(np.clip(MEASURED_PAIRS / n_items, *MEASURED_USERS))
    if wanted is None:
        users = _sampled(n_users, count, "measured")
    else:
        candidates = np.flatnonzero(np.diff(wanted.positives.indptr))
        users = candidates[_sampled(len(candidates), count, "measured")]
    return measure_costs(path, sides, users, wanted, progress=options.progress)
