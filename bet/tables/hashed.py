"""A table of rows that entities share by hashing."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.packed import HashedLayout, write_safetensors
from bet.tables.base import Table, prefixes


class HashedSpec(HashedLayout):
    """All there is to a hashed table is the layout of its file."""

    @property
    def bits(self) -> int:
        """Per number."""
        return 32

    def in_order(self, order: np.ndarray) -> "HashedSpec":
        """Itself: hashes know no order."""
        return self

    def table(self, allocation: Allocation, **options) -> "HashedTable":
        """A table of these hashes; ``size`` columns for everybody."""
        return HashedTable(allocation, spec=self, **options)


class HashedTable(Table):
    """z(x) = alpha(x) * sum_j M[h_j(x)], alpha(x) = sum_j v[g_j(x)] (MEM-REC, arXiv 2305.07205);
    without v the sum alone.
    """

    places: Tensor  # (n, k) token rows
    scales: Tensor  # (n, k_weights) weights

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int,
        spec: HashedSpec,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: ``spec.size`` columns for everybody. Sums of token rows start as
        N(0, std^2).
        """
        super().__init__()
        self.n, self.copies, self.d_max, self.spec = len(allocation), copies, d_max, spec
        shape = (spec.rows, copies * spec.size)
        self.tokens = nn.Parameter(
            torch.empty(shape).normal_(0.0, std / spec.k**0.5, generator=generator)
        )
        if spec.weights:
            self.weights = nn.Parameter(torch.full((spec.weights,), 1.0 / max(1, spec.k_weights)))
        places, scales = spec.places(np.arange(self.n))
        self.register_buffer("places", torch.from_numpy(places), persistent=False)
        self.register_buffer("scales", torch.from_numpy(scales), persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return np.full(self.n, self.spec.size, dtype=np.int16)

    @property
    def allocation(self) -> Allocation:
        return Allocation.uniform(self.n, self.spec.size)

    @property
    def description(self) -> str:
        return repr(self.spec)

    @property
    def fixed_order(self) -> np.ndarray:
        return np.arange(self.n)  # an entity's number is what is hashed

    @torch.no_grad()
    def take_prefixes(self, rows: Tensor) -> Self:
        """Every token is the mean of the rows that use it, over the number of tokens in a row."""
        kept = prefixes(rows, self.copies, self.spec.size).to(self.tokens.device)
        places = self.places.T.flatten()  # first tokens of all entities, second tokens, ...
        total = torch.zeros_like(self.tokens).index_add_(0, places, kept.repeat(self.spec.k, 1))
        uses = torch.bincount(places, minlength=len(total)).clamp_min(1)  # (rows,)
        self.tokens.copy_(total / uses[:, None] / self.spec.k)
        return self

    def forward(self) -> Tensor:
        ego = nn.functional.embedding_bag(self.places, self.tokens, mode="sum")  # (n, width)
        if not self.spec.weights:
            return ego
        return ego * self.weights[self.scales].sum(1, keepdim=True)  # alpha: (n, 1)

    def n_parameters(self) -> int:
        return self.tokens.numel() + self.spec.weights

    def n_bytes(self) -> int:
        return self.spec.file_bytes(self.copies)

    def save(self, path: Path) -> None:
        """Write a safetensors file of tokens and weights; hashes are computed from entity numbers
        and the seed in its metadata.
        """
        tensors = {"tokens": self.tokens} | ({"weights": self.weights} if self.spec.weights else {})
        typed = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        write_safetensors(path, typed, self.spec.metadata)
