"""NGCF (Wang et al., SIGIR 2019): non-linear propagation with an interaction term, layers
concatenated.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.backbones.base import Backbone, apply_dropout
from bet.backbones.graph import Graph, propagate


class NGCF(Backbone):
    """Three layers of d_max units, message dropout 0.1, LeakyReLU, unit-length layer outputs.

    The first layer reads an ego matrix of any width w <= d_max: missing columns are zero, so only
    the first w rows of its weights take part.
    """

    name = "ngcf"
    l2 = 1e-3
    layers = 3
    dropout_rate = 0.1
    reads_graph = True

    def __init__(self, graph: Graph, n_users: int, d_max: int, generator: torch.Generator):
        super().__init__(graph, n_users, d_max, generator)
        self.w_sum, self.w_product = nn.ParameterList(), nn.ParameterList()
        self.bias = nn.Parameter(torch.zeros(self.layers, d_max))
        for weights in (self.w_sum, self.w_product):
            for _ in range(self.layers):
                weight = torch.empty(d_max, d_max)
                weights.append(nn.Parameter(nn.init.xavier_uniform_(weight, generator=generator)))

    def served_weights(self, width: int) -> Mapping[str, Tensor]:
        first = {"w_sum_0": self.w_sum[0][:width], "w_product_0": self.w_product[0][:width]}
        others = range(1, self.layers)  # these read all columns of the layer before
        later = {f"w_sum_{layer}": self.w_sum[layer] for layer in others}
        later |= {f"w_product_{layer}": self.w_product[layer] for layer in others}
        return first | later | {"bias": self.bias}

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        outputs, x = [ego], ego  # (n, w)
        for layer in range(self.layers):
            width = x.shape[1]
            # LeakyReLU((L + I) x W_1 + (L x * x) W_2 + b), L the normalized adjacency (NGCF, Eq. 7)
            neighbors = propagate(self.graph, x)  # L x: (n, w)
            messages = (neighbors + x) @ self.w_sum[layer][:width]
            messages = messages + (neighbors * x) @ self.w_product[layer][:width] + self.bias[layer]
            x = apply_dropout(F.leaky_relu(messages, 0.2), self.dropout_rate, dropout)  # (n, d_max)
            outputs.append(F.normalize(x, dim=1))
        return torch.cat(outputs, dim=1)  # (n, w + layers * d_max)

    @classmethod
    def final_width(cls, width: int, d_max: int) -> int:
        return width + cls.layers * d_max

    @property
    def facts(self) -> Mapping[str, float]:
        return {"layers": self.layers}
