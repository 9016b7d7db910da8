"""Full-ranking Recall@k and NDCG@k per user, in blocks of users."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from bet.backbones import Ranker
from bet.packed.lookup import ranges

log = logging.getLogger(__name__)

CUTOFFS = (5, 10, 20)  # Eq. 13


@dataclass(frozen=True)
class RankingMetrics:
    """Which recommendations hit: ``users`` (u,) int64, those with at least one positive, and
    ``n_positives`` (u,) how many they have.

    ``hits`` (u, depth) bool: whether the item at each rank, best first, is a positive.
    """

    users: np.ndarray
    n_positives: np.ndarray
    hits: np.ndarray
    cutoffs: Sequence[int] = CUTOFFS

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """``recall@5`` etc. of every user, each (u,) float64."""
        return _metrics(self.hits, self.n_positives, self.cutoffs)

    def means(self) -> dict[str, float]:
        """Mean over users of every metric, and ``quality``, the mean of them all (Eq. 13)."""
        means = {name: float(value.mean()) for name, value in self.values.items()}
        return means | {"quality": float(np.mean(list(means.values())))}


@torch.no_grad()
def evaluate(
    ranker: Ranker,
    positives: csr_array,
    masked: Sequence[csr_array] = (),
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    block: int | None = None,
    device: torch.device | str = "cpu",
) -> RankingMetrics:
    """Rank all items for every user with positives and compare with ``positives`` (|U|, |V|) CSR.

    Interactions of ``masked`` are never recommended. Equal scores rank the lower item id first.
    Recall@k divides by the number of positives; NDCG@k has gains 1 / log2(rank + 1) and an ideal
    list of min(k, positives) hits. A cut-off beyond the catalogue counts the whole ranking. Memory
    is O(block * |V|), for ``block`` users at a time (default: 1,024, or on a GPU up to 8,192); on a
    GPU that has less, blocks are halved.
    """
    n_items = positives.shape[1]
    block = block or _block_size(n_items, torch.device(device))
    n_positives = np.diff(positives.indptr)
    users = np.flatnonzero(n_positives)
    depth = min(max(cutoffs), n_items)
    hits = np.zeros((len(users), depth), dtype=bool)
    keys = _keys(positives, device)

    def hits_of(ids: np.ndarray) -> np.ndarray:
        """Whether each of the ``depth`` best items of users ``ids`` (b,) is a positive: (b, depth)
        bool.
        """
        scores = ranker(torch.from_numpy(ids).to(device))  # (b, |V|)
        for matrix in masked:
            users_of_pairs, items_of_pairs = _pairs(matrix, ids, device)  # (p,) each
            scores[users_of_pairs, items_of_pairs] = -torch.inf
        top_scores, top_items = top_k(scores, depth)
        wanted = torch.from_numpy(ids).to(device)[:, None] * n_items + top_items  # (b, depth)
        position = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
        return ((keys[position] == wanted) & (top_scores > -torch.inf)).cpu().numpy()

    start = 0
    while start < len(users):
        try:
            hits[start : start + block] = hits_of(users[start : start + block])
            start += block
        except torch.OutOfMemoryError:
            if block == 1:
                raise
            block //= 2
            log.warning(
                "not enough GPU memory to rank so many users at once; going on with blocks of %d",
                block,
            )
    return RankingMetrics(users, n_positives[users], hits, cutoffs)


def _block_size(n_items: int, device: torch.device) -> int:
    """Users at a time: a GPU, which is waited for after every block, takes up to 1 GiB of scores.

    >>> _block_size(40_000, torch.device("cpu")), _block_size(40_000, torch.device("cuda"))
    (1024, 6710)
    """
    return 1024 if device.type == "cpu" else min(8192, max(1024, 2**28 // n_items))


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each row of ``scores`` (b, |V|), best first, ties by lower column: values and
    columns (b, k).
    """
    n_items = scores.shape[1]
    values, items = torch.topk(scores, min(k + 1, n_items), dim=1)
    # topk orders equal scores arbitrarily: sort by column, then stably by score.
    items = items.sort(dim=1).values
    values, order = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
    items = items.gather(1, order)
    if n_items > k:
        # Where rank k falls among equal scores, topk may have kept the wrong columns.
        equal = (values[:, k - 1] == values[:, k]) & (values[:, k] > -torch.inf)
        tied = equal.nonzero()[:, 0]  # rows of scores
        if len(tied):
            values[tied], items[tied] = (
                x[:, : k + 1] for x in scores[tied].sort(dim=1, descending=True, stable=True)
            )
    return values[:, :k], items[:, :k]


def _keys(matrix: csr_array, device: torch.device | str) -> Tensor:
    """Sorted user * |V| + item of every stored pair, (nnz,) int64."""
    users = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))  # (nnz,)
    return torch.from_numpy(np.sort(users * matrix.shape[1] + matrix.indices)).to(device)


def _pairs(
    matrix: csr_array, users: np.ndarray, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Place in ``users`` (b,) and item of every stored pair of theirs, (p,) int64 each."""
    starts, counts = matrix.indptr[users], np.diff(matrix.indptr)[users]
    places = np.repeat(np.arange(len(users)), counts)
    items = matrix.indices[ranges(starts, counts)].astype(np.int64)
    return torch.from_numpy(places).to(device), torch.from_numpy(items).to(device)


def _metrics(
    hits: np.ndarray, n_positives: np.ndarray, cutoffs: Sequence[int]
) -> dict[str, np.ndarray]:
    discounts = 1.0 / np.log2(np.arange(2, max(cutoffs) + 2))  # (max cutoff,), of every rank
    depth = hits.shape[1]
    n_hits = np.cumsum(hits, axis=1)  # (u, depth)
    gained = np.cumsum(hits * discounts[:depth], axis=1)  # (u, depth)
    ideal = np.cumsum(discounts)  # of a list that starts with 1, 2, ... hits
    values = {}
    for k in cutoffs:
        last = min(k, depth) - 1
        values[f"recall@{k}"] = n_hits[:, last] / n_positives
        values[f"ndcg@{k}"] = gained[:, last] / ideal[np.minimum(k, n_positives) - 1]
    return values
