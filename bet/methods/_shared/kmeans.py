"""k-means with weights, for the subspaces of product quantization; scipy's has no weights."""

import torch
from torch import Tensor

ROUNDS = 16
DISTANCES = 2**25  # in a round; of more rows a sample is clustered, unless that were too few rows
_PER_CENTROID = 8  # rows of the sample, at least
_BLOCK = 2**22  # distances in memory at once


def kmeans(
    rows: Tensor, weights: Tensor, k: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """``k`` centroids (k, w) of ``rows`` (n, w) float32, a row counting as ``weights`` (n,) of
    them; and the nearest of each, (n,).

    Lloyd's algorithm from k-means++ centroids (Arthur and Vassilvitskii, SODA 2007); a centroid
    that loses all its rows moves to the row that is served worst.
    """
    most = max(DISTANCES // k, _PER_CENTROID * k)
    sample, sample_weights = rows, weights
    if len(rows) > most:
        chosen = torch.randperm(len(rows), generator=generator)[:most]
        sample, sample_weights = rows[chosen], weights[chosen]
    centroids = _spread(sample, sample_weights, k, generator)
    before = None
    for _ in range(ROUNDS):
        codes, distances = nearest(sample, centroids)
        if before is not None and torch.equal(codes, before):
            break
        before = codes
        weighted = sample * sample_weights[:, None]
        sums = torch.zeros_like(centroids).index_add_(0, codes, weighted)  # (k, w)
        mass = torch.zeros(k).index_add_(0, codes, sample_weights)  # (k,)
        centroids = torch.where(mass[:, None] > 0, sums / mass.clamp(min=1e-12)[:, None], centroids)
        empty = (mass == 0).nonzero()[:, 0]
        centroids[empty] = sample[(distances * sample_weights).topk(len(empty)).indices]
    return centroids, nearest(rows, centroids)[0]


def nearest(rows: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the nearest of ``centroids`` (k, w) to each of ``rows`` (n, w), and the squared
    distance to it, (n,) each.
    """
    # |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - x c); the first term does not change the order.
    halves = centroids.square().sum(1) / 2  # (k,)
    minima = [
        torch.addmm(halves, block, centroids.T, alpha=-1).min(1)
        for block in rows.split(max(1, _BLOCK // len(centroids)))
    ]
    distances = 2 * torch.cat([block.values for block in minima]) + rows.square().sum(1)
    return torch.cat([block.indices for block in minima]), distances.clamp_(min=0)


def _spread(rows: Tensor, weights: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++: the next centroid is a row, drawn by its weight times its squared distance to the
    centroids before.
    """
    distances = torch.ones(len(rows))
    centroids = torch.empty(k, rows.shape[1])
    draws = torch.rand(k, generator=generator, dtype=torch.float64)
    for i in range(k):
        mass = (distances * weights).double().cumsum(0)
        if not mass[-1] > 0:  # fewer different rows than centroids
            mass = weights.double().cumsum(0)
        place = torch.searchsorted(mass, draws[i] * mass[-1], right=True).clamp(max=len(rows) - 1)
        centroids[i] = rows[place]
        to_newest = (rows - centroids[i]).square().sum(1)
        distances = to_newest if i == 0 else torch.minimum(distances, to_newest)
    return centroids
