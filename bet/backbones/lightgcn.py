"""LightGCN (He et al., SIGIR 2020): linear propagation, mean over layers, inner product."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bet.backbones.base import Backbone
from bet.backbones.graph import propagate_mean
from bet.backbones.rotation import rotate_rows


class LightGCN(Backbone):
    """Three layers; columns never mix, so a table of width w is the model of embedding size w."""

    name = "lightgcn"
    l2 = 1e-4
    layers = 3
    reads_graph = True

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        return propagate_mean(self.graph, ego, self.layers)  # (n, w)

    def rotate(self, ego: Tensor) -> Tensor:
        return rotate_rows(ego, self.represent(ego), self.n_users)

    @property
    def facts(self) -> Mapping[str, float]:
        return {"layers": self.layers}
