"""``python -m benchmarks.sweeps.new_users``: what somebody new gets, beside what the same people
get where they were trained. Prints a table.

A tenth of the users is left out of training, every file is written and opened, and these users are
folded in from their train items (*new*). *Trained* is the file of all users, asked for the same
ones. Both rank all items but the train items; hits are items of ``--part``: validation, on which
the ways to fold in were chosen, or test. Files are kept in the cache and not made again.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

import bet
from bet.data import Split, evaluable_split, keep_rows, load_dataset
from bet.methods import METHODS
from bet.paths import cache_dir
from bet.process import fixed_threads
from bet.progress import progress_bar
from bet.recommend import FileRecommender
from bet.recommend.ranking import Histories
from bet.seeds import numpy_generator
from bet.serving import write_served
from bet.study.cell import Cell
from bet.study.setup import cell_context
from bet.training import AlsSettings

SHARE = 0.1  # of the users with something to test
K = 20
BYTES = "25.6 B/entity"
CASES = (
    ("none", "popularity", None),
    ("none", "graph-filter", None),
    ("none", "item-knn", None),
    ("none", "ease", None),
    ("ials", "full", None),
    ("ials", "uniform-int4", BYTES),
    ("lightgcn", "vectors-int4", BYTES),
    ("lightgcn", "uniform-int2", BYTES),
    ("ngcf", "uniform-int2", BYTES),
    ("ncf", "uniform-int4", BYTES),
    ("ials", "blend", BYTES),
    ("lightgcn", "blend", BYTES),
)


Case = tuple[str, str, str | None]
"""Backbone, method and budget."""
Compare = Callable[[str, Sequence[Case], str, str, int], str]
"""The table of a dataset: of which cases, hits in which part, with whose settings, seed."""


@dataclass(frozen=True)
class Quality:
    """Means over users."""

    recall: float
    ndcg: float


def left_out(split: Split, share: float) -> np.ndarray:
    """A random ``share`` of the users who have items in every part, ascending."""
    parts = (split.train, split.validation, split.test)
    whole = np.flatnonzero(np.min([np.diff(part.indptr) for part in parts], axis=0))
    generator = numpy_generator(split.seed, "new users")
    return np.sort(generator.permutation(whole)[: max(1, round(share * len(whole)))])


def without(matrix: csr_array, users: np.ndarray) -> csr_array:
    """``matrix`` in which ``users`` have nothing."""
    return keep_rows(matrix, np.setdiff1d(np.arange(matrix.shape[0]), users))


def write(
    case: Case,
    split: Split,
    path: Path,
    profile: str,
    items: np.ndarray | None = None,
) -> None:
    """Fit ``case`` to the train part and write the file that serves it; ids are the numbers, of
    items those in ``items`` where the split has not all of the data's.
    """
    backbone, method, budget = case
    cell = Cell(split.name, backbone, budget or "none", method, seed=split.seed, profile=profile)
    context = cell_context(cell, split).in_folder(path.with_suffix(".work"))
    model = METHODS[method](context).trained.model
    settings, facts = context.settings.training, {}
    if isinstance(settings, AlsSettings):
        names = ("unobserved_weight", "l2", "exponent")
        facts = {name: getattr(settings, name) for name in names}
    n_users, n_items = split.train.shape
    numbers = np.arange(n_items) if items is None else items
    ids = [str(user) for user in range(n_users)], [str(item) for item in numbers]
    write_served(path, model, split.train, with_seen=True, ids=ids, facts=facts)


def cached_model(
    case: Case,
    split: Split,
    profile: str,
    what: str,
    items: np.ndarray | None = None,
) -> FileRecommender:
    """The opened file of ``write``, which is written once; ``what`` was left out of the split:
    "new-users/rest".
    """
    key = hashlib.sha256(repr((profile, case, split.seed)).encode()).hexdigest()[:8]
    group, name = what.split("/")
    folder = cache_dir() / group / f"{split.name}-{case[0]}-{case[1]}-{key}"
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        write(case, split, path, profile, items)
    model = bet.load(path)
    assert isinstance(model, FileRecommender)
    return model


def measure(ranked: np.ndarray, positives: csr_array) -> Quality:
    """Of the items ``ranked`` (u, K) for the users of ``positives`` (u, |V|)."""
    gains = 1 / np.log2(np.arange(2, K + 2))
    recalls, ndcgs = [], []
    for row, items in enumerate(ranked):
        wanted = positives.indices[positives.indptr[row] : positives.indptr[row + 1]]
        hits = np.isin(items, wanted)
        recalls.append(hits.sum() / len(wanted))
        ndcgs.append((hits * gains).sum() / gains[: len(wanted)].sum())
    return Quality(float(np.mean(recalls)), float(np.mean(ndcgs)))


def numbered(model: FileRecommender, items: np.ndarray) -> np.ndarray:
    """``items`` of the file by their numbers in the data."""
    names = np.array([int(name) for name in model.file.ids.item_rows])
    return names[items]


def trained_items(model: FileRecommender, users: np.ndarray) -> np.ndarray:
    """The K best items of known ``users`` (u,): (u, K)."""
    return numbered(model, model.recommend_rows(model.file.user_rows(users.tolist()), K).items)


def new_items(model: FileRecommender, train: csr_array) -> np.ndarray:
    """The K best items of new users who have the rows of ``train`` (u, |V|): (u, K)."""
    names = np.array([int(name) for name in model.file.ids.item_rows])
    ordered = csr_array(train[:, names])
    ordered.sort_indices()
    histories = Histories(ordered.indptr.astype(np.int64), ordered.indices)
    best = model.scorer.top(model.scorer.fold_in(histories), K, histories)
    return numbered(model, best.items)


def compare(dataset: str, cases: Sequence[Case], part: str, profile: str, seed: int) -> str:
    """The table, in Markdown."""
    split = evaluable_split(load_dataset(dataset), seed)
    users = left_out(split, SHARE)
    rest = replace(
        split, train=without(split.train, users), validation=without(split.validation, users)
    )
    positives = csr_array(getattr(split, part)[users])
    lines = [
        "| backbone | method | new: Recall@20 | NDCG@20 | trained: Recall@20 | NDCG@20 | kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in progress_bar(cases, label="files"):
        files = [
            cached_model(case, data, profile, f"new-users/{name}")
            for name, data in (("all", split), ("rest", rest))
        ]
        trained = measure(trained_items(files[0], users), positives)
        new = measure(new_items(files[1], csr_array(split.train[users])), positives)
        lines.append(
            f"| {case[0]} | {case[1]} | {new.recall:.4f} | {new.ndcg:.4f} | {trained.recall:.4f} "
            f"| {trained.ndcg:.4f} | {new.ndcg / trained.ndcg:.1%} |"
        )
    head = f"{dataset}, {len(users):,} of {split.train.shape[0]:,} users left out, hits on {part}"
    return "\n".join([head, "", *lines])


def command_line(
    name: str,
    description: str | None,
    cases: Sequence[Case],
    compare: Compare,
    *,
    part: str,
    arguments: list[str] | None,
) -> None:
    """Print the table of ``compare`` for those of ``cases`` that are asked for; ``part``: whose
    items are hits unless something else is said.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.sweeps.{name}", description=description
    )
    parser.add_argument("--dataset", default="movielens-100k")
    parser.add_argument("--part", choices=("validation", "test"), default=part)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="backbone/method or method (default: all)"
    )
    parser.add_argument("--profile", default="scratch", help="whose settings")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    wanted = set(options.only or ())
    chosen = [case for case in cases if not wanted or {case[1], "/".join(case[:2])} & wanted]
    if not chosen:
        parser.error(f"none of {', '.join(sorted(wanted))} is a case")
    with fixed_threads():
        print(compare(options.dataset, chosen, options.part, options.profile, options.seed))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    command_line("new_users", __doc__, CASES, compare, part="test", arguments=arguments)


if __name__ == "__main__":
    main()
