"""Product quantization (Jégou et al., TPAMI 2011) of the trained table, its centroids then trained
on through the frozen codes.
"""

from typing import Any

import torch
from torch import Tensor

from bet.methods._shared.codebooks import best_coding, cluster_subspaces, decoded, sides
from bet.methods._shared.kmeans import DISTANCES, ROUNDS
from bet.packed import CodebookLayout
from bet.search import MethodResult, SearchContext
from bet.seeds import torch_generator


def pq(context: SearchContext) -> MethodResult:
    """k-means per side and sub-space of the full table; five widths of sub-spaces, the best on
    validation.

    What is trained starts from the centroids and, for the most frequent entities, from their rows
    of the full table; the backbone's own weights start afresh.
    """
    return best_coding(context, "pq", _learn, settings=(ROUNDS, DISTANCES))


def _learn(context: SearchContext, form: CodebookLayout, rows: Tensor) -> dict[str, Any]:
    found, missed, total = [], 0.0, 0.0
    for side, (k, (_, coded)) in enumerate(zip(form.centroids, sides(form, rows), strict=True)):
        generator = torch_generator(context.settings.seed, "pq", form.subspaces, side)
        centroids, codes = cluster_subspaces(
            coded, torch.ones(len(coded)), k, form.subspaces, generator
        )
        found.append((centroids, codes))
        missed += float((decoded(centroids, codes) - coded).square().sum())
        total += float(coded.square().sum())
    own = [side_own for side_own, _ in sides(form, rows)]
    return {
        "codes": torch.cat([codes for _, codes in found]),
        "start": torch.cat([*(centroids for centroids, _ in found), *own]),
        "facts": {"error": missed / total if total else 0.0},
    }
