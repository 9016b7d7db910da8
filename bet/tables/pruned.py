"""A table of which any set of numbers is kept, not prefixes of rows: what unstructured pruning ends
with.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.tables.arrays import NPY_HEADER, read_arrays, write_arrays
from bet.tables.base import Table
from bet.tables.masked import count_dtype

_FORMAT = 4


class PrunedTable(Table):
    """E * M with any 0/1 mask M (n, copies * d_max); rows may be empty. Training costs what the
    full table costs.

    A file must say where the kept numbers are. It holds one bit per number of the full table, or
    the column of every kept number and a count per row, whichever is shorter.
    """

    mask: Tensor  # (n, copies * d_max) bool

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int = 1,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: a mask (n, copies * d_max); rows start as N(0, std^2), as those of a full
        table with the same generator do.
        """
        super().__init__()
        mask = allocation.mask
        if mask is None or mask.shape[1] != copies * d_max:
            got = "sizes" if mask is None else f"shape {mask.shape}"
            raise BetError(f"a mask must have shape (entities, {copies * d_max}), got {got}")
        self.n, self.copies, self.d_max = len(mask), copies, d_max
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

    def forward(self) -> Tensor:
        # The product also masks the gradient: pruned entries stay exactly zero.
        return self.weight * self.mask

    def n_parameters(self) -> int:
        return int(self.mask.sum())

    def n_bytes(self) -> int:
        n, columns, kept = self.n, self.copies * self.d_max, self.n_parameters()
        bits = NPY_HEADER + (n * columns + 7) // 8
        return 2 * NPY_HEADER + 16 + 4 * kept + min(bits, _positions_bytes(n, columns, kept))

    def save(self, path: Path) -> None:
        mask, columns = self.mask.cpu().numpy(), self.copies * self.d_max
        values = self.weight.detach().cpu().numpy()[mask]
        by_bits = NPY_HEADER + (mask.size + 7) // 8 <= _positions_bytes(
            self.n, columns, len(values)
        )
        if by_bits:
            where = [np.packbits(mask)]
        else:
            where = [
                mask.sum(1).astype(count_dtype(columns)),
                mask.nonzero()[1].astype(count_dtype(columns - 1)),
            ]
        write_arrays(
            path, _FORMAT, (self.copies, self.d_max, self.n if by_bits else -self.n), *where, values
        )

    @classmethod
    def load(cls, path: Path) -> "PrunedTable":
        """Read what ``save`` wrote; raises BetError when the file is missing, damaged, cut short,
        too long or of another format.
        """
        (copies, d_max, signed), (*where, values) = read_arrays(path, _FORMAT)
        n, columns = abs(signed), copies * d_max
        if signed > 0:
            mask = np.unpackbits(where[0], count=n * columns).reshape(n, columns).astype(bool)
        else:
            counts, positions = where
            mask = np.zeros((n, columns), dtype=bool)
            mask[np.repeat(np.arange(n), counts), positions] = True
        table = cls(Allocation.from_mask(mask), d_max=d_max, copies=copies)
        with torch.no_grad():
            table.weight[table.mask] = torch.from_numpy(values)
        return table


def _positions_bytes(n: int, columns: int, kept: int) -> int:
    """A count per row and a column per kept number, as two arrays."""
    return (
        2 * NPY_HEADER
        + n * np.dtype(count_dtype(columns)).itemsize
        + kept * np.dtype(count_dtype(columns - 1)).itemsize
    )
