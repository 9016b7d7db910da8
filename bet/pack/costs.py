"""What packing costs: the packed vectors beside the float32 ones, on a sample of users."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from bet.pack.plan import CUTOFFS, overlap
from bet.pack.sources import Vectors
from bet.pack.write import Side
from bet.packed import PackedFile, TableFile
from bet.packed.safetensors_io import open_safetensors
from bet.packed.table_kinds import view_table
from bet.progress import progress_bar
from bet.recommend.ranking import Histories, RankedRows
from bet.recommend.top import RunningTop

SCORES = 2**22  # that are computed at once
RANKED = 20  # items of a list that is compared with interactions


@dataclass(frozen=True)
class Ranked:
    """Mean Recall@20 and NDCG@20 of some users' lists."""

    recall: float
    ndcg: float


@dataclass(frozen=True)
class Costs:
    """``overlaps``: the share of the float32 vectors' top 10 and top 100 items that the packed
    ones' have, on ``n_users`` users and all items; ``squared_error``: of the scores, mean, and
    ``variance`` of the float32 ones. ``exact`` and ``packed``: how well both rank interactions,
    None without any.
    """

    n_users: int
    overlaps: tuple[float, ...]
    squared_error: float
    variance: float
    exact: Ranked | None = None
    packed: Ranked | None = None


@dataclass(frozen=True)
class Wanted:
    """``positives`` (n_users, n_items) binary CSR, interactions to find, and ``seen``, those to
    leave out of the lists, or None; by row of the vectors as they stand in their files.
    """

    positives: csr_array = field(repr=False)
    seen: csr_array | None = field(repr=False)


def measure_costs(
    path: Path,
    sides: tuple[Side, Side],
    users: np.ndarray,
    wanted: Wanted | None = None,
    *,
    progress: bool = False,
) -> Costs:
    """Compare the file at ``path`` with the vectors of users and of items that it was made of, for
    ``users`` (u,), numbers in their own file in rising order.
    """
    items, n_users = sides[1].vectors, sides[0].vectors.n
    exact_users = rows_at(sides[0].vectors, users)  # (u, d)
    packed_users = packed_rows(path, sides[0].places_of(users))  # (u, columns)
    # Of the float32 vectors and of the packed ones.
    tops = [RunningTop(len(users), items.n, min(max(CUTOFFS), items.n)) for _ in range(2)]
    seen = None if wanted is None or wanted.seen is None else _histories(wanted.seen[users])
    lists = [RunningTop(len(users), items.n, min(RANKED, items.n), seen) for _ in range(2)]
    sums, error = np.zeros(2), 0.0  # of scores and of their squares; of squared differences
    bar = progress_bar(label="compare", total=items.n, shown=progress)
    with bar:
        for first, values in _pieces(items, max(1, SCORES // len(users))):
            numbers = first + np.arange(len(values))
            decoded = packed_rows(path, n_users + sides[1].places_of(numbers))
            scores = exact_users @ values.T, packed_users @ decoded.T  # (u, m) each
            sums += scores[0].sum(dtype=np.float64), np.square(scores[0]).sum(dtype=np.float64)
            error += float(np.square(scores[1] - scores[0]).sum(dtype=np.float64))
            for top, of_items in zip(tops, scores, strict=True):
                top.add(of_items, first)
            if wanted is not None:
                for ranked, of_items in zip(lists, scores, strict=True):
                    ranked.add(of_items, first)
            bar.update(len(values))
    pairs = len(users) * items.n
    mean = sums / pairs
    best = [top.ranked().items for top in tops]
    shared = [overlap(best[0][:, :k], best[1][:, :k]) for k in CUTOFFS]
    qualities: list[Ranked | None] = [None, None]
    if wanted is not None:
        qualities = [_ranked(ranked.ranked(), wanted.positives[users]) for ranked in lists]
    return Costs(
        len(users),
        overlaps=tuple(shared),
        squared_error=error / pairs,
        variance=float(mean[1] - mean[0] ** 2),
        exact=qualities[0],
        packed=qualities[1],
    )


def _pieces(items: Vectors, most: int) -> Iterator[tuple[int, np.ndarray]]:
    """First number and values of consecutive rows, at most so many."""
    for block in items.blocks():
        for start in range(0, len(block.values), most):
            yield block.first + start, block.values[start : start + most]


def _histories(seen: csr_array) -> Histories:
    """The items of every row."""
    seen.sort_indices()
    return Histories(seen.indptr, seen.indices)


def _ranked(best: RankedRows, positives: csr_array) -> Ranked:
    """How well the lists of users find their ``positives`` (u, n_items)."""
    # Torch, which this needs, is not imported to pack vectors without interactions.
    from bet.training.ranking import RankingMetrics

    n_items = positives.shape[1]
    users = np.arange(len(best.items))
    keys = np.repeat(users, np.diff(positives.indptr)) * n_items + positives.indices
    hits = np.isin(users[:, None] * n_items + best.items, keys) & (best.scores > -np.inf)
    n_positives = np.diff(positives.indptr)
    means = RankingMetrics(users, n_positives, hits, cutoffs=(RANKED,)).means()
    return Ranked(means[f"recall@{RANKED}"], means[f"ndcg@{RANKED}"])


def rows_at(vectors: Vectors, numbers: np.ndarray) -> np.ndarray:
    """Rows ``numbers`` (s,), in rising order, as they stand in their file: (s, d) float32."""
    return np.concatenate([block.among(numbers) for block in vectors.blocks()])


def packed_rows(path: Path, rows: np.ndarray) -> np.ndarray:
    """``rows`` (m,) of the file at ``path``: (m, columns) float32.

    Opened for every call: what was read does not stay with the process.
    """
    container = open_safetensors(path, check=False)
    if container.kind == "recommender":
        sides = int(container.facts["users"]), int(container.facts["items"])
        table: TableFile = view_table(path, container.tensors["table"], *sides, check=False)
    else:
        table = PackedFile(container)
    return table.rows(rows)[:, 0]


def costs_text(costs: Costs) -> str:
    """The costs in three lines or fewer."""
    share = costs.squared_error / costs.variance if costs.variance > 0 else 0.0
    both = " and ".join(
        f"{share_of:.1%} of the top {k}"
        for share_of, k in zip(costs.overlaps, CUTOFFS, strict=True)
    )
    lines = [
        f"against float32, {costs.n_users:,} users and all items: {both} are the same;",
        f"  mean squared error of scores {costs.squared_error:.3g}, {share:.2%} of their variance",
    ]
    if costs.exact and costs.packed:
        lines.append(
            f"  Recall@{RANKED} {costs.packed.recall:.4f} of {costs.exact.recall:.4f}, "
            f"NDCG@{RANKED} {costs.packed.ndcg:.4f} of {costs.exact.ndcg:.4f}"
        )
    return "\n".join(lines)
