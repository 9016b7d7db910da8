"""A masked table whose rows are trained as a packed file will give them back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bet.backbones.table import MaskedTable
from bet.errors import BetError
from bet.packed import Layout, layout_of, rounded, write_packed


@dataclass(frozen=True)
class Packing:
    """How a file is laid out: ``bits`` per number; rows by frequency, ``order`` (n,) entity ids, users first; sizes it lists."""

    bits: int
    n_users: int
    order: np.ndarray = field(repr=False)
    listed: tuple[int, ...]  # from the largest to the smallest

    @property
    def table(self) -> Callable[..., "QuantisedTable"]:
        """Makes a table of this form."""
        return partial(QuantisedTable, packing=self)

    def layout(self, sizes: np.ndarray, copies: int) -> Layout:
        """Of the file of a table of ``sizes`` (n,) by entity id; raises BetError unless they follow ``order``."""
        kinds = np.array([(size, self.bits) for size in self.listed])
        return layout_of(sizes[self.order], self.bits, self.n_users, copies, by_rank=True, kinds=kinds)


class _StraightThrough(torch.autograd.Function):
    """Rounding that the gradient does not see."""

    @staticmethod
    def forward(ctx, weight: Tensor, numbers: Tensor, bits: int) -> Tensor:
        return weight.half().float() if bits == 16 else rounded(weight, numbers, bits)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


class QuantisedTable(MaskedTable):
    """Ego embeddings are rounded in every step, to 2^bits levels per row or to float16; the optimiser's weights are not.

    Straight-through estimator (Bengio et al., 2013). The file holds codes and a step per row and gives the same numbers back.
    """

    numbers: Tensor  # (n, 1) float32: numbers of every row, over all copies

    def __init__(self, sizes: np.ndarray, d_max: int, *, packing: Packing, **options):
        super().__init__(sizes, d_max, **options)
        self.packing = packing
        self.layout = packing.layout(self.sizes, self.copies)
        numbers = torch.from_numpy(self.sizes.astype(np.float32) * self.copies)[:, None]
        self.register_buffer("numbers", numbers, persistent=False)

    def forward(self) -> Tensor:
        ego = _StraightThrough.apply(self.weight, self.numbers, self.packing.bits)
        return ego if self.mask is None else ego * self.mask

    def n_bytes(self) -> int:
        return self.layout.byte_report().total

    @property
    def rows(self) -> np.ndarray:
        return self.packing.order

    def save(self, path: Path) -> None:
        """Write a packed file; ``bet.packed.PackedTable`` reads it."""
        rows = self.weight.detach().reshape(self.n, self.copies, -1).cpu().numpy()[self.packing.order]
        write_packed(path, self.layout, rows)

    @classmethod
    def load(cls, path: Path):
        raise BetError(f"{path}: read a packed file with bet.packed.PackedTable")
