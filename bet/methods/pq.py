"""Product quantisation (Jégou et al., TPAMI 2011) of the trained table, its centres then trained on through the frozen codes."""

from typing import Any

import torch
from torch import Tensor

from bet.backbones import CodedForm
from bet.methods.coding import best_coding, clustered, decoded, sides
from bet.methods.kmeans import DISTANCES, ROUNDS
from bet.search import Outcome, Problem
from bet.seeds import torch_generator


def pq(problem: Problem) -> Outcome:
    """k-means per side and sub-space of the full table; five widths of sub-spaces, the best on validation.

    What is trained starts from the centres and, for the most frequent entities, from their rows of the full table; the backbone's
    own weights start afresh.
    """
    return best_coding(problem, "pq", _learn, settings=(ROUNDS, DISTANCES))


def _learn(problem: Problem, form: CodedForm, rows: Tensor) -> dict[str, Any]:
    found, missed, total = [], 0.0, 0.0
    for side, (k, (_, coded)) in enumerate(zip(form.centres, sides(form, rows), strict=True)):
        generator = torch_generator(problem.seed, "pq", form.parts, side)
        centres, codes = clustered(coded, torch.ones(len(coded)), k, form.parts, generator)
        found.append((centres, codes))
        missed += float((decoded(centres, codes) - coded).square().sum())
        total += float(coded.square().sum())
    own = [side_own for side_own, _ in sides(form, rows)]
    return {
        "codes": torch.cat([codes for _, codes in found]),
        "start": torch.cat([*(centres for centres, _ in found), *own]),
        "facts": {"error": missed / total if total else 0.0},
    }
