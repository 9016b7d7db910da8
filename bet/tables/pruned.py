"""A table of which any set of numbers is kept, not prefixes of rows: what unstructured pruning ends
with.
"""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import pruned_file_bytes, write_pruned
from bet.tables.base import Table


class PrunedTable(Table):
    """E * M with any 0/1 mask M (n, copies * d_max); rows may be empty. Training costs what the
    full table costs.

    A file must say where the kept numbers are (``bet.packed.pruned``).
    """

    mask: Tensor  # (n, copies * d_max) bool

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        n_users: int,
        copies: int = 1,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: a mask (n, copies * d_max), users first; rows start as N(0, std^2), as
        those of a full table with the same generator do.
        """
        super().__init__()
        mask = allocation.mask
        if mask is None or mask.shape[1] != copies * d_max:
            got = "sizes" if mask is None else f"shape {mask.shape}"
            raise BetError(f"a mask must have shape (entities, {copies * d_max}), got {got}")
        self.n, self.copies, self.d_max = len(mask), copies, d_max
        self.n_users = n_users
        weight = torch.zeros(mask.shape)
        if std:
            weight.normal_(0.0, std, generator=generator)
        kept = torch.from_numpy(mask)
        self.weight = nn.Parameter(weight * kept)
        self.register_buffer("mask", kept, persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return self.mask.cpu().numpy().sum(1, dtype=np.float32) / self.copies

    @property
    def allocation(self) -> Allocation:
        return Allocation.from_mask(self.mask.cpu().numpy())

    @torch.no_grad()
    def take_prefixes(self, rows: Tensor) -> Self:
        self.weight.copy_(rows * self.mask)  # all d_max columns
        return self

    def forward(self) -> Tensor:
        # The product also masks the gradient: pruned entries stay exactly zero.
        return self.weight * self.mask

    def n_parameters(self) -> int:
        return int(self.mask.sum())

    def n_bytes(self) -> int:
        n_items = self.n - self.n_users
        return pruned_file_bytes(
            self.n_users, n_items, self.copies, self.d_max, kept=self.n_parameters()
        )

    def save(self, path: Path) -> None:
        mask = self.mask.cpu().numpy()
        values = self.weight.detach().cpu().numpy()
        write_pruned(path, mask, values, n_users=self.n_users, copies=self.copies)
