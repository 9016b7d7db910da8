"""Matrix factorization: a score is the inner product of two rows of the table.

Trained by implicit-feedback alternating least squares (Hu et al., ICDM 2008), see
``bet.training.als``.
"""

import math

import torch
from torch import Tensor

from bet.backbones.base import Backbone
from bet.backbones.graph import Graph
from bet.backbones.rotation import rotate_rows


class IALS(Backbone):
    """No weights and no graph; columns never mix, so a table of width w is the model of w factors.

    Rows start with an expected length of 0.1, whatever d_max.
    """

    name = "ials"
    least_squares = True
    rows_are_vectors = True

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        super().__init__(graph, n_users, d_max, generator)
        self.init_std = 0.1 / math.sqrt(d_max)

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        return ego  # (n, w)

    def rotate(self, ego: Tensor) -> Tensor:
        return rotate_rows(ego, self.represent(ego), self.n_users)
