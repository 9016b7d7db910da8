"""``python -m benchmarks.sweeps.new_items``: how well new items are ranked, beside the same items
where they were trained. Prints a table.

A tenth of the items is left out of training, every file is written and opened, and these items are
folded in from the users who have them in train (*new*). *Trained* is the file of all items. Both
rank all items but a user's train items, new ones among the others by their scores, for the users
with hits on new items. *New items* counts only these hits, *all items* all hits of the same users:
scores of new items that are too high push out others. Files are kept in the cache and not made
again.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from benchmarks.sweeps.new_users import (
    BYTES,
    SHARE,
    Case,
    K,
    cached_model,
    command_line,
    measure,
    numbered,
    without,
)
from bet.data import Split, evaluable_split, load_dataset
from bet.progress import progress_bar
from bet.recommend import FileRecommender
from bet.recommend.ranking import Histories
from bet.recommend.top import top_k
from bet.seeds import numpy_generator

CASES = (
    ("none", "graph-filter", None),
    ("ials", "full", None),
    ("ials", "uniform-int4", BYTES),
    ("lightgcn", "vectors-int4", BYTES),
    ("lightgcn", "uniform-int2", BYTES),
    ("ngcf", "uniform-int2", BYTES),
    ("ials", "blend", BYTES),
)


def left_out(split: Split, share: float) -> np.ndarray:
    """A random ``share`` of the items that occur in every part, ascending."""
    parts = (split.train, split.validation, split.test)
    counts = [np.bincount(part.indices, minlength=part.shape[1]) for part in parts]
    whole = np.flatnonzero(np.min(counts, axis=0))
    generator = numpy_generator(split.seed, "new items")
    return np.sort(generator.permutation(whole)[: max(1, round(share * len(whole)))])


def of_items(split: Split, items: np.ndarray) -> Split:
    """The split of nothing but ``items``, ascending, numbered from 0."""
    parts = {
        part: csr_array(getattr(split, part)[:, items]) for part in ("train", "validation", "test")
    }
    return replace(split, **parts)


def best_items(
    model: FileRecommender, users: np.ndarray, train: csr_array, new: np.ndarray
) -> np.ndarray:
    """The K best items (u, K) for ``users`` (u,) without those in ``train`` (|U|, |V|), in which
    who has ``new`` items, unknown to the file, is known.
    """
    rows = np.array(model.file.user_rows(users.tolist()))
    scores = np.full((len(users), train.shape[1]), -np.inf, dtype=np.float32)
    known = numbered(model, np.arange(model.n_items))
    scores[:, known] = model.scorer.scores(model.scorer.profiles(rows))
    by_item = csr_array(train.T.tocsr())
    for item in new:
        had_by = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
        scores[:, item] = model.score_new_item(had_by.tolist(), users.tolist())
    seen = csr_array(train[users])
    return top_k(scores, K, Histories(seen.indptr.astype(np.int64), seen.indices)).items


def only(matrix: csr_array, items: np.ndarray) -> csr_array:
    """``matrix`` in which nobody has anything but ``items``."""
    others = np.setdiff1d(np.arange(matrix.shape[1]), items)
    return csr_array(without(csr_array(matrix.T.tocsr()), others).T.tocsr())


def compare(dataset: str, cases: Sequence[Case], part: str, profile: str, seed: int) -> str:
    """The table, in Markdown."""
    split = evaluable_split(load_dataset(dataset), seed)
    n_items = split.train.shape[1]
    new = left_out(split, SHARE)
    kept = np.setdiff1d(np.arange(n_items), new)
    hits = only(getattr(split, part), new)
    users = np.flatnonzero(np.diff(hits.indptr))
    wanted = csr_array(hits[users]), csr_array(getattr(split, part)[users])
    lines = [
        "| backbone | method | new items, folded in: Recall@20 | NDCG@20 | trained: Recall@20 "
        "| NDCG@20 | kept | all items, folded in: NDCG@20 | trained: NDCG@20 | kept |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in progress_bar(cases, label="files"):
        qualities = []
        for name, items in (("rest", kept), ("all", np.arange(n_items))):
            data = of_items(split, items)
            model = cached_model(case, data, profile, f"new-items/{name}", items)
            best = best_items(model, users, split.train, np.setdiff1d(new, items))
            qualities.append([measure(best, positives) for positives in wanted])
        (folded, folded_all), (trained, trained_all) = qualities
        lines.append(
            f"| {case[0]} | {case[1]} | {folded.recall:.4f} | {folded.ndcg:.4f} "
            f"| {trained.recall:.4f} | {trained.ndcg:.4f} | {folded.ndcg / trained.ndcg:.1%} "
            f"| {folded_all.ndcg:.4f} | {trained_all.ndcg:.4f} "
            f"| {folded_all.ndcg / trained_all.ndcg:.1%} |"
        )
    head = (
        f"{dataset}, {len(new):,} of {n_items:,} items left out, hits on {part} of {len(users):,} "
        f"users, seed {seed}"
    )
    return "\n".join([head, "", *lines])


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    command_line("new_items", __doc__, CASES, compare, part="validation", arguments=arguments)


if __name__ == "__main__":
    main()
