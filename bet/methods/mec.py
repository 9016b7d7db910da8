"""MEC (arXiv 2502.15355): codes that follow popularity and stay apart; the numbers they stand for
are trained afresh.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.adam import Adam
from bet.errors import BetError
from bet.methods._shared.codebooks import cluster_subspaces, decode, split_sides, train_codebooks
from bet.methods._shared.kmeans import DISTANCES, ROUNDS, nearest
from bet.packed import CodebookLayout
from bet.search import MethodResult, SearchContext

ENTROPY, CONTRAST, COMMITMENT = 1e-4, 2e-3, 0.25  # weights of the published code
STEPS, RATE = 300, 1e-3  # of Adam
BATCH = 2048  # rows
ELEMENTS = 2**22  # rows x subspaces x centroids of a step, at most: bounds the batch
VERSION = 2  # raise when learning changes what codes would be
SETTINGS = (VERSION, ENTROPY, CONTRAST, COMMITMENT, STEPS, RATE, BATCH, ELEMENTS, ROUNDS, DISTANCES)


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the loss beside the reconstruction."""

    entropy: float = ENTROPY
    contrast: float = CONTRAST
    commitment: float = COMMITMENT


def mec(context: SearchContext) -> MethodResult:
    """Learn codes of the full table, train codebooks and rows afresh (MEC, arXiv 2502.15355); five
    widths of subspaces, the best on validation.

    The equations are the paper's. Its released code differs from them: its entropy has no gradient,
    its encoder none either, and all its negatives are the same code. Changed here: the
    entropy is that of soft assignments, softmax(-distance / tau) with tau the first mean squared
    distance, and its penalty log K - H; gradients pass the assignment straight through, and encoder
    outputs are drawn to their centroids; a negative replaces the code of one subspace, drawn for
    every row, by another code; similarities are those of the decoded rows. Encoder and decoder
    start as the identity and centroids from weighted k-means. A row is drawn with the weight that
    the paper repeats it by. Users and items have separate codebooks; the most frequent entities
    have uncompressed rows, which fill the bytes. Rows are scaled to unit variance, so that weights
    mean the same for every table.
    """
    return train_codebooks(context, "mec", _learn, settings=SETTINGS)


def _learn(context: SearchContext, layout: CodebookLayout, rows: Tensor) -> dict[str, Any]:
    order = context.data.order
    frequencies = order.sorted_users, order.sorted_items
    codes, entropies = [], []  # codes of a side: (coded, subspaces)
    for side, (_, coded) in enumerate(split_sides(layout, rows)):
        k = layout.centroids[side]
        repeats = repetitions(frequencies[side][layout.uncompressed[side] :])
        side_codes = learn_codes(
            coded,
            torch.from_numpy(repeats),
            k,
            layout.subspaces,
            generator=context.search_generator("mec", layout.subspaces, side),
            steps=STEPS,
        )
        codes.append(side_codes)
        if k > 1:
            entropies += [usage_entropy(subspace, k) for subspace in side_codes.T]
    entropy = float(np.mean(entropies)) if entropies else 0.0
    return {"codes": torch.cat(codes), "start": None, "facts": {"entropy": entropy}}


def repetitions(frequency: np.ndarray) -> np.ndarray:
    """How often an entity counts: max(1, floor(log2 n)), (n,) float32."""
    return np.maximum(1, np.floor(np.log2(np.maximum(1, frequency)))).astype(np.float32)


def usage_entropy(codes: Tensor, k: int) -> float:
    """Entropy of the histogram of ``codes`` (n,), as a share of the most that ``k`` > 1 centroids
    allow.
    """
    share = torch.bincount(codes.long(), minlength=k) / len(codes)
    return float(torch.special.entr(share).sum()) / math.log(k)


def learn_codes(
    rows: Tensor,
    repeats: Tensor,
    k: int,
    subspaces: int,
    *,
    generator: torch.Generator,
    weights: Weights = Weights(),
    steps: int = STEPS,
) -> Tensor:
    """Codes (n, subspaces) int16 below ``k`` of ``rows`` (n, columns); a row counts as ``repeats``
    (n,) of them.
    """
    if k < 2:
        return torch.zeros(len(rows), subspaces, dtype=torch.int16)
    rows = rows / rows.square().mean().sqrt().clamp(min=1e-12)  # unit variance
    # (k, columns) and (n, subspaces)
    centroids, codes = cluster_subspaces(rows, repeats, k, subspaces, generator)
    error = float((decode(centroids, codes) - rows).square().sum(1).mean())
    coder = Coder(centroids, subspaces, tau=error / subspaces)
    optimizer = Adam(coder.parameters(), lr=RATE)
    batch = min(BATCH, len(rows), max(1, ELEMENTS // (subspaces * k)))
    with torch.enable_grad():
        for _ in range(steps):
            chosen = torch.multinomial(
                repeats, batch, replacement=True, generator=generator
            )  # (b,)
            loss = coder.loss(rows[chosen], generator, weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if not all(bool(weight.isfinite().all()) for weight in coder.parameters()):
        raise BetError(
            "learning codes diverged: centroids are no longer finite; scale the table's rows down "
            "or lower RATE"
        )
    return coder.codes(rows)


class Coder(nn.Module):
    """A linear encoder, a codebook of every subspace and a linear decoder; ``centroids`` (k,
    columns) to start from; ``tau`` > 0, the temperature of the soft assignment.
    """

    def __init__(self, centroids: Tensor, subspaces: int, tau: float):
        super().__init__()
        k, columns = centroids.shape
        self.subspaces, self.tau = subspaces, max(tau, 1e-6)
        self.encoder = nn.Parameter(torch.eye(columns))  # (columns, columns)
        self.decoder = nn.Parameter(torch.eye(columns))  # (columns, columns)
        by_subspace = centroids.reshape(k, subspaces, -1).transpose(0, 1)  # (subspaces, k, width)
        self.centroids = nn.Parameter(by_subspace.clone())

    def encode(self, rows: Tensor) -> Tensor:
        """Encoder outputs of ``rows`` (n, columns) by subspace: (subspaces, n, width)."""
        return (rows @ self.encoder).reshape(len(rows), self.subspaces, -1).transpose(0, 1)

    def decode(self, quantized: Tensor) -> Tensor:
        """Rows (n, columns) of ``quantized`` (subspaces, n, width)."""
        return quantized.transpose(0, 1).reshape(quantized.shape[1], -1) @ self.decoder

    def distances(self, encoded: Tensor) -> Tensor:
        """Squared, to all centroids: (subspaces, n, k)."""
        products = encoded @ self.centroids.transpose(1, 2)  # (subspaces, n, k)
        squares = encoded.square().sum(2)[:, :, None] + self.centroids.square().sum(2)[:, None]
        return squares - 2 * products

    def look_up(self, codes: Tensor) -> Tensor:
        """Centroids that ``codes`` (subspaces, n) name, differentiable: (subspaces, n, width)."""
        return self.centroids.gather(1, codes[:, :, None].expand(-1, -1, self.centroids.shape[2]))

    def loss(self, rows: Tensor, generator: torch.Generator, weights: Weights) -> Tensor:
        """Reconstruction + commitment + entropy + contrast, of ``rows`` (b, columns)."""
        encoded = self.encode(rows)  # (subspaces, b, width)
        distances = self.distances(encoded)  # (subspaces, b, k)
        codes = distances.argmin(2)  # (subspaces, b)
        centroids = self.look_up(codes)  # (subspaces, b, width)
        # The value is the centroid's; the gradient goes to the centroid and, by the
        # straight-through estimator, to the encoder.
        rebuilt = self.decode(centroids + encoded - encoded.detach())  # (b, columns)
        loss = (rebuilt - rows).square().sum(1).mean()
        commitment = (encoded - centroids.detach()).square().sum((0, 2)).mean()
        loss = loss + weights.commitment * commitment
        loss = loss + weights.entropy * entropy_gap(distances, self.tau)
        false_codes = negatives(codes, self.centroids.shape[1], generator)  # (subspaces, b)
        false = self.decode(self.look_up(false_codes))  # (b, columns)
        return loss + weights.contrast * contrast(rows, rebuilt, false)

    @torch.no_grad()
    def codes(self, rows: Tensor) -> Tensor:
        """The nearest centroids of ``rows`` (n, columns): (n, subspaces) int16."""
        pairs = zip(self.encode(rows), self.centroids, strict=True)
        return torch.stack([nearest(part, centroids)[0] for part, centroids in pairs], 1).short()


def entropy_gap(distances: Tensor, tau: float) -> Tensor:
    """log K - H of the mean soft assignment softmax(-distance / tau), in nats, over subspaces;
    ``distances`` (subspaces, b, k).
    """
    # In logarithms: a centroid that no row is near has usage 0, where the derivative of -p log p is
    # infinite.
    usage = torch.log_softmax(-distances / tau, 2).logsumexp(1)  # (subspaces, k)
    usage = usage - math.log(distances.shape[1])
    return math.log(distances.shape[2]) + (usage.exp() * usage).sum(1).mean()


def negatives(codes: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """``codes`` (subspaces, b) with another code below ``k`` > 1 in one position of every row,
    drawn anew for each.
    """
    subspaces, b = codes.shape
    places = torch.randint(subspaces, (b,), generator=generator)  # (b,)
    # A shift of 1 to k - 1, modulo k, never gives the same code again.
    shifts = torch.randint(1, k, (b,), generator=generator)  # (b,)
    false, row = codes.clone(), torch.arange(b)
    false[places, row] = (codes[places, row] + shifts) % k
    return false


def contrast(rows: Tensor, rebuilt: Tensor, false: Tensor) -> Tensor:
    """-log(exp s / (exp s + exp s')), s and s' the cosines of ``rows`` with ``rebuilt`` and with
    ``false``, (b, columns) each.
    """
    return F.softplus(F.cosine_similarity(rows, false) - F.cosine_similarity(rows, rebuilt)).mean()
