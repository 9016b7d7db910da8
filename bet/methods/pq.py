"""Product quantization (Jégou et al., TPAMI 2011) of the trained table, its centroids then trained
on through the frozen codes.
"""

from typing import Any

import torch
from torch import Tensor

from bet.methods._shared.codebooks import cluster_subspaces, decode, split_sides, train_codebooks
from bet.methods._shared.kmeans import DISTANCES, ROUNDS
from bet.packed import CodebookLayout
from bet.search import MethodResult, SearchContext


def pq(context: SearchContext) -> MethodResult:
    """k-means per side and subspace of the full table (Jégou et al., TPAMI 2011); five widths of
    subspaces, the best on validation.

    What is trained starts from the centroids and, for the most frequent entities, from their rows
    of the full table; the backbone's weights start afresh.
    """
    return train_codebooks(context, "pq", _learn, settings=(ROUNDS, DISTANCES))


def _learn(context: SearchContext, layout: CodebookLayout, rows: Tensor) -> dict[str, Any]:
    start, codes, uncompressed = [], [], []
    missed, total = 0.0, 0.0  # squared: what the codes lose, and all there is
    pairs = zip(layout.centroids, split_sides(layout, rows), strict=True)
    for side, (k, (stored, coded)) in enumerate(pairs):
        generator = context.search_generator("pq", layout.subspaces, side)
        weights = torch.ones(len(coded))
        centroids, side_codes = cluster_subspaces(coded, weights, k, layout.subspaces, generator)
        start.append(centroids)
        codes.append(side_codes)
        uncompressed.append(stored)
        missed += float((decode(centroids, side_codes) - coded).square().sum())
        total += float(coded.square().sum())
    return {
        "codes": torch.cat(codes),
        "start": torch.cat([*start, *uncompressed]),
        "facts": {"error": missed / total if total else 0.0},
    }
