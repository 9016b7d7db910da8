"""``python -m benchmarks.speed.serving_speed``: answers from a packed file of vectors, against the
same vectors in float32, which are kept in memory.

Vectors and seen items are made up. The roads of a work take turns; a factor is the median of those
of the rounds. "float32" is torch's product and top k, without leaving items out; "the same loop" is
the package's, which reads float32 rows instead of packed ones. A user alone is asked of
``bet.load``, which decodes the items of a file of moderate length once, and of the rows as they are
stored. A first answer is that of a fresh process, from its start to its end. ``--once`` answers
many users a single time, since that takes minutes, and says what all users would take at that cost.
The last table is about processes that serve from one file at the same time; a process that takes
more than ``serving_memory.MOST_MEMORY`` beside its file is an error.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.measuring import ITEMS, USERS, alternating, machine
from benchmarks.speed.serving_memory import check_memory, memory_of_workers, workers_table
from benchmarks.speed.serving_worker import BATCH
from bet.packed import load, vectors_layout, write_packed
from bet.packed.ragged import LOOPS as look_up_loops
from bet.packed.ragged import PackedFile
from bet.process import fixed_threads
from bet.recommend import FileRecommender
from bet.recommend.ranking import Histories
from bet.recommend.top import LOOPS as top_loops
from bet.recommend.top_vectors import top_items, top_products

K = 20
SCORES = 2**25  # of a dense product, which is of as many users as fit
ROWS, LOOK_UPS = 4096, 32  # rows of a look-up, look-ups that are timed together
ALONE = 50  # users that are answered one after the other
SEEN = 25  # items of every user that are left out
WORKERS = 4

Roads = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Timed:
    """``seconds`` of the work, the median; ``factor``: to the first road's, in the same round.
    ``users``: that are answered together; None where users are not.
    """

    work: str
    road: str
    seconds: float
    factor: float
    users: int | None = None


@dataclass(frozen=True, eq=False)
class Vectors:
    """A packed file and what it is compared with: ``users`` (n, d) and ``items`` (m, d) float32;
    ``transposed`` (d, m), as a product wants them.
    """

    table: PackedFile
    users: np.ndarray
    items: np.ndarray
    transposed: torch.Tensor


def make_vectors(n_users: int, n_items: int, columns: int, bits: int, path: Path) -> Vectors:
    """Write random vectors to ``path`` and open them."""
    generator = np.random.default_rng(0)
    values = generator.standard_normal((n_users + n_items, 1, columns), dtype=np.float32)
    write_packed(path, vectors_layout(len(values), columns, bits, n_users), values)
    table = load(path)
    assert isinstance(table, PackedFile)
    users, items = values[:n_users, 0], values[n_users:, 0]
    return Vectors(table, users, items, torch.from_numpy(np.ascontiguousarray(items.T)))


def all_users(vectors: Vectors, asked: int) -> Roads:
    """The best items of the first ``asked`` users, a batch at a time."""
    table, n_items = vectors.table, len(vectors.items)
    users = torch.from_numpy(vectors.users[:asked])
    drawn = np.random.default_rng(1).integers(0, n_items, (BATCH, SEEN))
    sorted_lists = [np.unique(row) for row in drawn]
    indptr = np.cumsum([0, *map(len, sorted_lists)])
    seen = Histories(indptr, np.concatenate(sorted_lists))
    block = max(1, SCORES // n_items)
    batches = [slice(first, min(first + BATCH, asked)) for first in range(0, asked, BATCH)]

    def dense() -> None:
        for first in range(0, asked, block):
            torch.topk(users[first : first + block] @ vectors.transposed, K)

    def rows(first: int, end: int) -> np.ndarray:
        return vectors.items[first:end]

    def seen_by(batch: slice) -> Histories:
        return seen.part(0, batch.stop - batch.start)

    def same_loop() -> None:
        for batch in batches:
            top_products(vectors.users[batch], rows, n_items, K, seen_by(batch))

    def packed() -> None:
        for batch in batches:
            some = table.rows(np.arange(batch.start, batch.stop))[:, 0]
            top_items(some, table, table.n_users, K, seen_by(batch))

    return {"float32": dense, "float32, the same loop": same_loop, "packed": packed}


def one_user(vectors: Vectors) -> Roads:
    """The best items of some users, one after the other."""
    table, users = vectors.table, vectors.users[:ALONE]
    each = [torch.from_numpy(user[None]) for user in users]
    numbers = [np.array([number]) for number in range(len(users))]

    def dense() -> None:
        for user in each:
            torch.topk(user @ vectors.transposed, K)

    model = FileRecommender(table)

    def packed() -> None:
        for number in numbers:
            model.recommend_rows(number, K, exclude_seen=False)

    def as_stored() -> None:
        for number in numbers:
            top_items(table.rows(number)[:, 0], table, table.n_users, K)

    roads: Roads = {"float32": dense, "packed": packed, "packed, as stored": as_stored}
    if find_spec("faiss") is not None:
        roads |= faiss_roads(vectors, users)
    return roads


def faiss_roads(vectors: Vectors, users: np.ndarray) -> Roads:
    """The same users with FAISS: all inner products in float32, or of numbers of four bits."""
    import faiss

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(vectors.items.shape[1])
    four_bits = faiss.IndexScalarQuantizer(
        vectors.items.shape[1], faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT
    )
    for index in (flat, four_bits):
        index.train(vectors.items)
        index.add(vectors.items)

    def search(index) -> None:
        for user in users:
            index.search(user[None], K)

    return {"FAISS, flat": partial(search, flat), "FAISS, SQ4": partial(search, four_bits)}


def look_ups(vectors: Vectors) -> Roads:
    """Rows at random, a batch at a time."""
    n = len(vectors.table)
    batches = [np.random.default_rng(i).integers(0, n, ROWS) for i in range(LOOK_UPS)]
    weight = torch.from_numpy(np.concatenate([vectors.users, vectors.items]))
    embedding = torch.nn.Embedding.from_pretrained(weight)
    numbers = [torch.from_numpy(batch) for batch in batches]

    def dense() -> None:
        for batch in numbers:
            embedding(batch)

    def packed() -> None:
        for batch in batches:
            vectors.table.rows(batch)

    return {"nn.Embedding, float32": dense, "packed": packed}


FIRST = """
import sys, bet
path, n_users, k = sys.argv[1:]
bet.load(path).recommend_rows(range(int(n_users)), int(k), exclude_seen=False)
"""


def first_answers(vectors: Vectors, asked: int) -> Roads:
    """A fresh process: nothing but numpy, the best items of a user, and of a batch."""

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, "-c", *arguments], check=True)

    def ask(users: int) -> Callable[[], object]:
        return partial(run, FIRST, str(vectors.table.path), str(users), str(K))

    many = min(asked, BATCH)
    return {
        "import numpy": partial(run, "import numpy"),
        "packed, a user": ask(1),
        f"packed, {many:,} users": ask(many),
    }


def measure(vectors: Vectors, asked: int, repeat: int, once: int | None = None) -> list[Timed]:
    """Every road of every work, first answers apart in a process that has answered many; ``once``:
    users that are answered a single time, after a few.
    """
    for loops in (look_up_loops, top_loops):
        loops.pay(loops.worth)
    together = all_users(vectors, asked)
    timed = _timed(f"top {K} of {asked:,} users", together, repeat, users=asked)
    if once is not None:
        many, few = all_users(vectors, once), all_users(vectors, min(once, BATCH))
        timed += _timed(f"top {K} of {once:,} users", many, 1, warm_up=few, users=once)
    timed += _timed(f"top {K} of a user", one_user(vectors), repeat, times=ALONE)
    timed += _timed(f"look up {ROWS:,} rows", look_ups(vectors), repeat, times=LOOK_UPS)
    return timed + _timed("first answer", first_answers(vectors, asked), repeat)


def _timed(
    work: str,
    roads: Roads,
    repeat: int,
    *,
    times: int = 1,
    warm_up: Roads | None = None,
    users: int | None = None,
) -> list[Timed]:
    """``roads`` do the work ``times`` times."""
    taken = alternating(roads, repeat, warm_up)
    first = next(iter(taken.values()))
    return [
        Timed(work, road, float(np.median(each)) / times, float(np.median(each / first)), users)
        for road, each in taken.items()
    ]


def table(timed: list[Timed]) -> str:
    """Markdown, one line per road."""
    lines = ["| work | road | time | factor |", "|---|---|---|---|"]
    for row in timed:
        time = f"{1e3 * row.seconds:,.2f} ms"
        lines.append(f"| {row.work} | {row.road} | {time} | {row.factor:.2f} |")
    return "\n".join(lines)


def all_at_that_cost(timed: list[Timed], n_users: int) -> str:
    """A line per road: what a user takes where few and where many are answered together, and what
    all would take at the cost of many.
    """
    roads: dict[str, list[tuple[int, float]]] = {}
    for row in timed:
        if row.users is not None:
            roads.setdefault(row.road, []).append((row.users, row.seconds / row.users))
    lines = []
    for road, costs in roads.items():
        each = ", ".join(f"{1e3 * cost:.2f} ms of {users:,}" for users, cost in costs)
        total = n_users * costs[-1][1]
        lines.append(f"- {road}: a user takes {each}; all {n_users:,}: {total:,.0f} s")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.serving_speed", description=__doc__
    )
    parser.add_argument("--users", type=int, default=USERS, help="rows of users; Gowalla's")
    parser.add_argument("--items", type=int, default=ITEMS, help="rows of items; Gowalla's")
    parser.add_argument("--asked", type=int, help="users that are answered; default: all")
    parser.add_argument("--once", type=int, help="users that are answered once; default: nobody")
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--bits", type=int, default=4, choices=(1, 2, 4, 8))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    asked = min(options.asked or options.users, options.users)
    once = min(options.once, options.users) if options.once else None
    served = [(min(asked, BATCH), 1), (min(asked, BATCH), WORKERS)]
    served += [(once, 1)] if once else []
    with fixed_threads(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vectors")
        vectors = make_vectors(options.users, options.items, options.columns, options.bits, path)
        timed = measure(vectors, asked, options.repeat, once)
        size = path.stat().st_size / 1e6
        memory = [memory_of_workers(path, K, users, count) for users, count in served]
    shape = f"{options.users:,} users, {options.items:,} items, {options.columns} columns"
    print(f"{machine()}; {shape}, {options.bits} bits, median of {options.repeat}\n")
    print(f"{table(timed)}\n")
    if once:
        print(f"{all_at_that_cost(timed, options.users)}\n")
    print(f"The file has {size:,.1f} MB:\n\n{workers_table(memory)}")
    check_memory(size, memory)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":  # numpy looks at it once, when it is imported
        os.environ["OMP_NUM_THREADS"] = "1"
        command = [sys.executable, "-m", "benchmarks.speed.serving_speed", *sys.argv[1:]]
        os.execv(command[0], command)
    main(sys.argv[1:])
