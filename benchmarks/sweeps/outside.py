"""``python -m benchmarks.sweeps.outside``: the file of ``bet table`` beside the ALS of the library
``implicit``, rounded to the same bytes. Prints a table.

Both are fitted to the train part of the split, choose on validation and are scored once on test.
Bytes to serve are the length of a file that gives the scores. *Defaults* are the library's own,
with as many of its 100 factors as fit. *Chosen* are weight and L2, at the width that 4 bits allow.
Bits per number, 8, 4, 2 or 1, are chosen last, in both rows. Files with histories
also say what everybody has seen: those of ``bet table`` do unless it is told not to, and vectors
then have the bytes that are left. What has finished is kept in the cache and not run again.
"""

import argparse
import json
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_array, csr_matrix
from tqdm import tqdm

from bet.actions import parse_bytes
from bet.data import (
    FrequencyOrder,
    Interactions,
    Split,
    keep_rows,
    load_dataset,
    split_interactions,
)
from bet.files import atomic_path
from bet.packed import (
    RecommenderLayout,
    load,
    most_table_bytes,
    vectors_layout,
    write_packed,
)
from bet.paths import cache_dir
from bet.process import fixed_threads
from bet.release.build import build_table
from bet.seeds import derive, numpy_generator
from bet.serving import coded_in_order
from bet.training import evaluate

BUDGETS = ("25.6 B/entity", "51.2 B/entity")
BITS = (8, 4, 2, 1)
GRID_BITS = 4  # whose width the grid is tried at
FLOAT32 = 32
DEFAULT_FACTORS = 100
ALPHAS = (1.0, 10.0, 40.0, 100.0)
L2 = (10.0, 30.0, 100.0, 300.0)
VALIDATED = 4000  # users that choices look at, at most


@dataclass(frozen=True)
class Als:
    """Settings of the library's ALS; without arguments its defaults."""

    factors: int = DEFAULT_FACTORS
    alpha: float = 1.0
    regularization: float = 0.01
    iterations: int = 15


@dataclass(frozen=True)
class Row:
    """What one way gives on test."""

    dataset: str
    limit: str
    what: str
    bytes_per_entity: float
    recall: float
    ndcg: float


Ours = Callable[[Interactions, Split, str, int], Row]


def vectors_bytes(n: int, columns: int, bits: int, n_users: int) -> int:
    """Length of the file of ``n`` equal vectors."""
    return vectors_layout(n, columns, bits, n_users).byte_report().total


def most_columns(n: int, bits: int, n_users: int, limit: int) -> int:
    """The widest equal vectors in a file of at most ``limit`` bytes."""
    widths = range(1, 1025)
    return bisect_right(widths, limit, key=lambda width: vectors_bytes(n, width, bits, n_users))


def fit(train: csr_array, settings: Als, seed: int) -> np.ndarray:
    """Vectors of users, then items, (n, factors) float32."""
    model = AlternatingLeastSquares(
        **asdict(settings), num_threads=1, random_state=derive(seed, "outside") % 2**31
    )
    model.fit(csr_matrix(train, dtype=np.float32), show_progress=False)
    return np.concatenate([model.user_factors, model.item_factors])


def through_file(vectors: np.ndarray, bits: int, n_users: int, folder: Path) -> np.ndarray:
    """``vectors`` (n, d) as a file of so many bits per number gives them back."""
    path = folder / "vectors.safetensors"
    write_packed(path, vectors_layout(*vectors.shape, bits, n_users), vectors[:, None])
    return load(path).rows(np.arange(len(vectors)))[:, 0]


def ranked(vectors: np.ndarray, split: Split, part: str, users: np.ndarray) -> dict[str, float]:
    """Means of metrics of ``users`` (u,) on "validation" or "test"."""
    n_users = split.train.shape[0]
    sides = torch.from_numpy(vectors[:n_users]), torch.from_numpy(vectors[n_users:])
    known = [split.train] if part == "validation" else [split.train, split.validation]
    positives = keep_rows(getattr(split, part), users)
    return evaluate(lambda block: sides[0][block] @ sides[1].T, positives, known).means()


class Outside:
    """ALS of the library on one split; qualities are kept in the cache."""

    def __init__(self, split: Split, seed: int):
        self.split, self.seed = split, seed
        self.n_users, self.n = split.train.shape[0], sum(split.train.shape)
        tested = np.flatnonzero(np.diff(split.validation.indptr))
        generator = numpy_generator(seed, "outside", "users")
        few = min(VALIDATED, len(tested))
        self.validated = np.sort(generator.choice(tested, few, replace=False))

    def qualities(self, settings: Als, bits: Sequence[int]) -> dict[int, float]:
        """Quality on validation by bits."""
        numbers = "-".join(f"{value:g}" for value in asdict(settings).values())
        name = f"outside-{self.split.name}-{self.seed}-{self.split.data_hash[:8]}-{numbers}"
        path = cache_dir() / "sweep" / f"{name}-{'-'.join(map(str, bits))}.json"
        if not path.is_file():
            vectors = fit(self.split.train, settings, self.seed)
            with TemporaryDirectory() as folder:
                reached = {
                    b: self.measure(vectors, b, Path(folder), "validation", self.validated)
                    for b in bits
                }
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps({b: m["quality"] for b, m in reached.items()}))
        return {int(b): quality for b, quality in json.loads(path.read_text()).items()}

    def measure(
        self, vectors: np.ndarray, bits: int, folder: Path, part: str, users: np.ndarray
    ) -> dict[str, float]:
        """Means of metrics of ``vectors`` rounded to ``bits``."""
        stored = vectors
        if bits < FLOAT32:
            stored = through_file(vectors, bits, self.n_users, folder)
        return ranked(stored, self.split, part, users)

    def chosen(self, limit: int) -> Als:
        """The best weight and L2 on validation, at the width that ``GRID_BITS`` allow."""
        factors = max(1, most_columns(self.n, GRID_BITS, self.n_users, limit))
        grid = [Als(factors, alpha, l2) for alpha, l2 in product(ALPHAS, L2)]
        bar = tqdm(grid, desc="alpha and L2", disable=not sys.stderr.isatty())
        quality = [self.qualities(settings, [GRID_BITS])[GRID_BITS] for settings in bar]
        return grid[int(np.argmax(quality))]

    def best_bits(self, settings: Als, limit: int, most: int) -> tuple[Als, int]:
        """The bits that are best on validation, each at the width that fits, at most ``most``."""
        tried = []
        for bits in BITS:
            factors = min(most, most_columns(self.n, bits, self.n_users, limit))
            if factors:
                wide = replace(settings, factors=factors)
                tried.append((self.qualities(wide, [bits])[bits], wide, bits))
        _, wide, bits = max(tried, key=lambda one: one[0])
        return wide, bits

    def row(self, limit: str, what: str, settings: Als, bits: int) -> Row:
        """``settings`` fitted and scored on test."""
        vectors = fit(self.split.train, settings, self.seed)
        users = np.flatnonzero(np.diff(self.split.test.indptr))
        with TemporaryDirectory() as folder:
            means = self.measure(vectors, bits, Path(folder), "test", users)
        length = vectors_bytes(self.n, settings.factors, bits, self.n_users)
        numbers = "float32" if bits == FLOAT32 else f"{bits} bits"
        name = f"implicit's ALS, {what}: {settings.factors} x {numbers}"
        if what == "chosen":
            name += f", alpha {settings.alpha:g}, L2 {settings.regularization:g}"
        return _row(self.split, limit, name, length, means)


def _row(split: Split, limit: str, what: str, length: int, means: Mapping[str, float]) -> Row:
    n = sum(split.train.shape)
    return Row(split.name, limit, what, length / n, means["recall@20"], means["ndcg@20"])


def of_bet(
    data: Interactions, split: Split, limit: str, seed: int, *, minutes: float, history: bool
) -> Row:
    """What ``bet table`` writes, as it scored on test before it was refitted to everything."""
    n, kind = sum(split.train.shape), "with" if history else "no"
    size = limit.replace("/", "-").replace(" ", "")
    name = f"outside-bet-{split.name}-{seed}-{split.data_hash[:8]}-{size}-{minutes:g}-{kind}"
    path = cache_dir() / "sweep" / f"{name}.json"
    if not path.is_file():
        with TemporaryDirectory() as folder:
            file = Path(folder) / "file.safetensors"
            options = {"seed": seed, "minutes": minutes, "history": history}
            release = build_table(data, parse_bytes(limit, n), file, **options, progress=True)
            length = file.stat().st_size
        what = "`bet table`" if history else "`bet table --no-history`"
        row = _row(split, limit, f"{what}: {release.chosen.name}", length, release.test)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(row)))
    return Row(**json.loads(path.read_text()))


def room_beside_histories(data: Interactions, limit: int) -> int:
    """Bytes that vectors may have in a file of at most ``limit`` with what everybody has seen."""
    order = FrequencyOrder.of(data.matrix).entities
    layout = RecommenderLayout(
        backbone="vectors",
        n_users=data.n_users,
        n_items=data.n_items,
        table_bytes=0,
        seen=coded_in_order(data.matrix, order).layout,
    )
    return most_table_bytes(layout, limit)


def compare(
    dataset: str, limits: Sequence[str], seed: int, of_ours: Mapping[bool, Ours]
) -> Iterator[Row]:
    """The library's defaults as they are; then for every limit the defaults rounded to it, and
    chosen settings and what ``of_ours`` gives: False, without histories in the file; True, with.
    """
    data = load_dataset(dataset)
    split = split_interactions(data, seed)
    outside = Outside(split, seed)
    yield outside.row("", "defaults", Als(), FLOAT32)
    for limit in limits:
        length = parse_bytes(limit, outside.n)
        assert length is not None
        yield outside.row(limit, "defaults", *outside.best_bits(Als(), length, DEFAULT_FACTORS))
        for history, ours in of_ours.items():
            room = room_beside_histories(data, length) if history else length
            if most_columns(outside.n, 1, outside.n_users, room):
                wide, bits = outside.best_bits(outside.chosen(room), room, most=room)
                row = outside.row(limit, "chosen", wide, bits)
                around = (length - room) / outside.n
                yield replace(
                    row,
                    what=row.what + ", and histories" * history,
                    bytes_per_entity=row.bytes_per_entity + around,
                )
            yield ours(data, split, limit, seed)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    head = ["dataset", "at most", "what", "bytes to serve per entity", "Recall@20", "NDCG@20"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        numbers = f"{row.bytes_per_entity:.1f} | {row.recall:.4f} | {row.ndcg:.4f}"
        lines.append(f"| {row.dataset} | {row.limit} | {row.what} | {numbers} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.outside", description=__doc__
    )
    parser.add_argument("--datasets", nargs="+", default=["movielens-100k", "gowalla"])
    parser.add_argument("--budgets", nargs="+", default=BUDGETS, help="bytes to serve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0, help="of every `bet table`")
    options = parser.parse_args(arguments)
    rows, minutes = [], options.minutes
    of_ours = {
        history: partial(of_bet, minutes=minutes, history=history) for history in (False, True)
    }
    with fixed_threads():
        for dataset in options.datasets:
            rows += compare(dataset, options.budgets, options.seed, of_ours)
    print(f"seed {options.seed}, clean, one thread\n\n{table(rows)}")


if __name__ == "__main__":
    main()
