"""The paper's table: a prefix of every row is kept."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import float32_file_bytes, float32_layout, write_packed
from bet.tables.base import Table, prefixes


class MaskedTable(Table):
    """Row n keeps its first ``sizes[n]`` columns of d_max: E * M with a prefix mask M (BET, section
    3.1).

    Only the ``width = max(sizes)`` columns that somebody uses exist, so a narrow table is cheap to
    train.
    """

    mask: Tensor | None  # (n, copies * width) bool; None when every column is kept

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
        """``allocation``: sizes in [0, d_max], users first; rows start as N(0, std^2). Raises
        BetError on others.
        """
        super().__init__()
        sizes = allocation.columns
        if sizes.min() < 0 or sizes.max() > d_max:
            raise BetError(f"sizes must lie in [0, {d_max}], got [{sizes.min()}, {sizes.max()}]")
        self.n, self.copies, self.d_max = len(sizes), copies, d_max
        self.n_users = n_users
        self._allocation = allocation
        self.width = int(sizes.max())
        weight = torch.zeros(self.n, copies * self.width)
        if std:
            weight.normal_(0.0, std, generator=generator)
        kept = torch.arange(self.width) < torch.from_numpy(sizes)[:, None]  # (n, width)
        kept = kept.repeat(1, copies)  # (n, copies * width)
        self.weight = nn.Parameter(weight * kept)
        self.register_buffer("mask", None if bool(kept.all()) else kept, persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return self._allocation.columns

    @property
    def allocation(self) -> Allocation:
        return self._allocation

    def take_prefixes(self, rows: Tensor) -> Self:
        self.set_rows(slice(0, self.n), prefixes(rows, self.copies, self.width))
        return self

    def forward(self) -> Tensor:
        # The product also masks the gradient: unused columns stay exactly zero.
        return self.weight if self.mask is None else self.weight * self.mask

    def ego_rows(self, part: slice) -> Tensor:
        ego = self.weight.detach()[part]
        return ego if self.mask is None else ego * self.mask[part]

    @torch.no_grad()
    def set_rows(self, part: slice, rows: Tensor) -> None:
        """Set the numbers of the entities in ``part`` to what the mask keeps of ``rows`` (m, copies
        * width).
        """
        self.weight[part] = rows if self.mask is None else rows * self.mask[part]

    def n_parameters(self) -> int:
        """Sum of sizes over all copies."""
        return self.copies * int(self.sizes.sum(dtype=np.int64))

    def n_bytes(self) -> int:
        """Exact length of the saved file."""
        n_items = self.n - self.n_users
        return float32_file_bytes(
            self.n_users, n_items, self.copies, self.d_max, parameters=self.n_parameters()
        )

    def save(self, path: Path) -> None:
        """Write ragged rows of float32 by entity id."""
        rows = self.weight.detach().reshape(self.n, self.copies, self.width).cpu().numpy()
        layout = float32_layout(
            self.sizes, n_users=self.n_users, copies=self.copies, d_max=self.d_max
        )
        write_packed(path, layout, rows)
