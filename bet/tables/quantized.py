"""A masked table whose rows are trained as a packed file will give them back."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import Layout, layout_of, write_packed
from bet.packed.quantizer import fake_quantize
from bet.tables.masked import MaskedTable
from bet.tables.straight_through import straight_through, to_half

_ALL = slice(None)


@dataclass(frozen=True)
class PackedSpec:
    """How a file is laid out: rows by frequency, ``order`` (n,) entity ids, users first; the kinds
    that rows may have.

    bits: per number; None: rows differ. n_listed: how many kinds a file lists, whichever its rows
    have, so that its length does not depend on them.
    """

    bits: int | None
    n_users: int
    order: np.ndarray = field(repr=False)
    kinds: tuple[tuple[int, int], ...]  # (size, bits) from the longest row to the shortest
    n_listed: int

    def in_order(self, order: np.ndarray) -> "PackedSpec":
        """The same with rows in ``order``."""
        return replace(self, order=order)

    def table(self, allocation: Allocation, **options) -> "QuantizedTable":
        """A table for such a file."""
        return QuantizedTable(allocation, spec=self, **options)

    def layout(self, sizes: np.ndarray, bits: np.ndarray, copies: int) -> Layout:
        """The layout of the file of a table of ``sizes`` and ``bits``, (n,) by entity id; raises
        BetError unless they follow ``order``.
        """
        used = set(zip(sizes.tolist(), bits.tolist(), strict=True))
        # Padded with unused kinds to the number that is listed.
        widest = max(self.kinds)  # decides how many bytes a size takes
        others = [widest, *self.kinds]
        while len(used) < self.n_listed:
            used.add(others.pop(0))
        kinds = np.array([kind for kind in self.kinds if kind in used])
        return layout_of(
            sizes[self.order], bits[self.order], self.n_users, copies, by_rank=True, kinds=kinds
        )


@dataclass(frozen=True)
class RankedSpec:
    """As ``PackedSpec``, for rows of one width whose bits fall with the rank. A file lists the
    width at every one of ``precisions``, unless its rows are all of one of the ``uniform`` lists of
    kinds: then it is the file of that uniform table.
    """

    precisions: tuple[int, ...]
    uniform: tuple[tuple[tuple[int, int], ...], ...]
    n_users: int
    order: np.ndarray = field(repr=False)

    @property
    def bits(self) -> None:
        """Rows differ."""

    def in_order(self, order: np.ndarray) -> "RankedSpec":
        """The same with rows in ``order``."""
        return replace(self, order=order)

    def table(self, allocation: Allocation, **options) -> "QuantizedTable":
        """A table for such a file."""
        return QuantizedTable(allocation, spec=self, **options)

    def layout(self, sizes: np.ndarray, bits: np.ndarray, copies: int) -> Layout:
        """The layout of the file of a table of ``sizes`` and ``bits``, (n,) by entity id; raises
        BetError where neither list has them, or they do not follow ``order``.
        """
        used = set(zip(sizes.tolist(), bits.tolist(), strict=True))
        ranked = tuple((int(sizes.max()), bits) for bits in sorted(self.precisions, reverse=True))
        listed = next((kinds for kinds in self.uniform if used <= set(kinds)), ranked)
        return layout_of(
            sizes[self.order],
            bits[self.order],
            self.n_users,
            copies,
            by_rank=True,
            kinds=np.array(listed),
        )


class QuantizedTable(MaskedTable):
    """Ego embeddings are rounded in every step, to 2^bits levels per row or all to float16; the
    optimizer's weights are not.

    Straight-through estimator (Bengio et al., 2013). The file holds codes and a step per row and
    gives the same numbers back.
    """

    numbers: Tensor  # (n, 1) float32: how many every row has, over all copies
    bits: Tensor | None  # (n, 1) int64 per number of every row; None: the spec's

    def __init__(self, allocation: Allocation, *, spec: PackedSpec | RankedSpec, **options):
        """``allocation``: sizes, and bits where the spec leaves them open. Raises BetError as
        above.
        """
        super().__init__(allocation, n_users=spec.n_users, **options)
        self.spec = spec
        bits = np.full(self.n, spec.bits) if spec.bits else allocation.bits
        if bits is None:
            raise BetError("rows of mixed precision need bits; give the allocation some")
        self.layout = spec.layout(self.sizes, bits, self.copies)
        numbers = torch.from_numpy(self.sizes.astype(np.float32) * self.copies)[:, None]
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer(
            "bits",
            None if spec.bits else torch.from_numpy(bits.astype(np.int64))[:, None],
            persistent=False,
        )

    @property
    def description(self) -> str:
        return repr(self.spec)

    def forward(self) -> Tensor:
        ego = straight_through(self.weight, self._fake_quantized)
        return ego if self.mask is None else ego * self.mask

    def ego_rows(self, part: slice) -> Tensor:
        ego = self._fake_quantized(self.weight.detach()[part], part)
        return ego if self.mask is None else ego * self.mask[part]

    def _fake_quantized(self, weight: Tensor, part: slice = _ALL) -> Tensor:
        """Rows ``part`` of the table as the file gives them back; ``weight``: theirs."""
        if self.spec.bits == 16:
            return to_half(weight)
        if self.bits is None:
            assert self.spec.bits is not None
            return fake_quantize(weight, self.numbers[part], self.spec.bits)
        return fake_quantize(weight, self.numbers[part], self.bits[part])

    def n_bytes(self) -> int:
        return self.layout.byte_report().total

    @property
    def fixed_order(self) -> np.ndarray:
        return self.spec.order

    def save(self, path: Path) -> None:
        """Write a packed file."""
        rows = self.weight.detach().reshape(self.n, self.copies, self.width).cpu().numpy()
        write_packed(path, self.layout, rows[self.spec.order])
