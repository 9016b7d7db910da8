"""The paper's table: a prefix of every row is kept."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.tables.arrays import NPY_HEADER, read_arrays, write_arrays
from bet.tables.base import Table

_FORMAT = 3


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
        copies: int = 1,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: sizes in [0, d_max]; rows start as N(0, std^2). Raises BetError on others."""
        super().__init__()
        sizes = allocation.columns
        if sizes.min() < 0 or sizes.max() > d_max:
            raise BetError(f"sizes must lie in [0, {d_max}], got [{sizes.min()}, {sizes.max()}]")
        self.n, self.copies, self.d_max = len(sizes), copies, d_max
        self._allocation = allocation
        self.width = int(sizes.max())
        weight = torch.zeros(self.n, copies * self.width)
        if std:
            weight.normal_(0.0, std, generator=generator)
        kept = torch.arange(self.width) < torch.from_numpy(sizes)[:, None]
        kept = kept.repeat(1, copies)
        self.weight = nn.Parameter(weight * kept)
        self.register_buffer("mask", None if bool(kept.all()) else kept, persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return self._allocation.columns

    @property
    def allocation(self) -> Allocation:
        return self._allocation

    def take_prefixes(self, full: Tensor) -> Self:
        """Set the rows to the prefixes of ``full`` (n, copies * d_max)."""
        with torch.no_grad():
            prefix = full.reshape(self.n, self.copies, -1)[:, :, : self.width].reshape(self.n, -1)
            self.weight.copy_(prefix if self.mask is None else prefix * self.mask)
        return self

    def forward(self) -> Tensor:
        # The product also masks the gradient: unused columns stay exactly zero.
        return self.weight if self.mask is None else self.weight * self.mask

    def n_parameters(self) -> int:
        """Sum of sizes over all copies."""
        return self.copies * int(self.sizes.sum(dtype=np.int64))

    def n_bytes(self) -> int:
        """Exact length of the saved file."""
        return masked_table_bytes(self.n, self.n_parameters(), self.d_max)

    def save(self, path: Path) -> None:
        """Write copies and d_max, one size per entity, and the ragged float32 rows as three
        consecutive npy arrays.
        """
        kept = torch.ones_like(self.weight, dtype=torch.bool) if self.mask is None else self.mask
        sizes, values = (
            self.sizes.astype(count_dtype(self.d_max)),
            self.weight.detach()[kept].cpu().numpy(),
        )
        write_arrays(path, _FORMAT, (self.copies, self.d_max), sizes, values)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; raises BetError when the file is missing, damaged, cut short,
        too long or of another format.
        """
        (copies, d_max), (sizes, values) = read_arrays(path, _FORMAT)
        table = cls(Allocation.from_sizes(sizes), d_max=d_max, copies=copies)
        with torch.no_grad():
            kept = (
                torch.ones_like(table.weight, dtype=torch.bool)
                if table.mask is None
                else table.mask
            )
            table.weight[kept] = torch.from_numpy(values)
        return table


def count_dtype(d_max: int) -> type[np.unsignedinteger]:
    """The smallest type for numbers up to ``d_max``."""
    return np.uint8 if d_max < 256 else np.uint16


def masked_table_bytes(n: int, parameters: int, d_max: int) -> int:
    """Length of a saved masked table: three npy headers, three int32, a size per entity, 4 bytes
    per parameter.
    """
    return 3 * NPY_HEADER + 12 + n * np.dtype(count_dtype(d_max)).itemsize + 4 * parameters
