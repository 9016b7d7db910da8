"""The table of a recommender that has none: no column for anybody."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.tables.base import Table


class EmptyTable(Table):
    """Zero columns for ``n`` entities, zero bytes.

    >>> table = EmptyTable(5)
    >>> table().shape, table.n_parameters(), table.n_bytes()
    (torch.Size([5, 0]), 0, 0)
    """

    copies = 1

    def __init__(self, n: int):
        super().__init__()
        self.n = n
        self.weight = nn.Parameter(torch.zeros(n, 0))  # knows the device

    @property
    def sizes(self) -> np.ndarray:
        return np.zeros(self.n, dtype=np.int16)

    @property
    def allocation(self) -> Allocation:
        return Allocation.uniform(self.n, 0)

    def forward(self) -> Tensor:
        return self.weight

    def n_parameters(self) -> int:
        return 0

    def n_bytes(self) -> int:
        return 0

    def save(self, path: Path) -> None:
        """Raises BetError: there is nothing to write."""
        raise BetError(f"cannot write {path}: a recommender without a table has no table file")
