"""Rows put together from the centroids of codebooks: an entity has a few bits per subspace instead
of numbers.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import CodebookLayout, write_safetensors
from bet.packed.bitstream import pack_stream
from bet.packed.codebook import CODES
from bet.tables.base import Table, take_rows
from bet.tables.straight_through import straight_through, to_half


@dataclass(frozen=True)
class CodebookSpec:
    """``layout`` and ``codes`` (coded users, then items; subspaces) below the side's centroids,
    entities in ``order``.

    ``order`` (n,): entity ids by frequency, users first. ``start`` (stored rows, columns) float32:
    what the numbers are at first; None: random. ``digest`` stands for the arrays where specs are
    compared or named.
    """

    layout: CodebookLayout
    codes: np.ndarray = field(repr=False, compare=False)
    order: np.ndarray = field(repr=False, compare=False)
    start: np.ndarray | None = field(default=None, repr=False, compare=False)
    digest: str = field(init=False)

    def __post_init__(self):
        layout = self.layout
        limits = np.repeat(layout.centroids, layout.coded)[:, None]  # (coded, 1)
        if (
            self.codes.shape != (sum(layout.coded), layout.subspaces)
            or (self.codes < 0).any()
            or (self.codes >= limits).any()
        ):
            raise BetError(
                f"codes of shape {self.codes.shape} do not name centroids of {layout}; learn them "
                "again"
            )
        stored = (layout.stored_rows, layout.columns)
        if len(self.order) != layout.users + layout.items or (
            self.start is not None and self.start.shape != stored
        ):
            raise BetError(
                f"{len(self.order)} entities, or the first numbers, are not those of {layout}; "
                "learn the codes again"
            )
        digest = hashlib.sha256()
        for array in (self.codes.astype(np.int64), self.order.astype(np.int64), self.start):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        object.__setattr__(self, "digest", digest.hexdigest()[:16])

    @property
    def bits(self) -> int:
        """Per number."""
        return 16

    def in_order(self, order: np.ndarray) -> "CodebookSpec":
        """Itself: codes belong to the order that they were learned in."""
        return self

    def table(self, allocation: Allocation, **options) -> "CodebookTable":
        """A table of these codes; d_max columns for everybody."""
        return CodebookTable(allocation, spec=self, **options)

    def places(self) -> np.ndarray:
        """Stored row that every entity takes each of its pieces from: (n, subspaces) int64 by
        entity id.
        """
        layout = self.layout
        places = np.empty((len(self.order), layout.subspaces), dtype=np.int64)
        codes_of_sides = np.split(self.codes, [layout.coded[0]])
        for side, entities in enumerate(np.split(self.order, [layout.users])):
            codes = np.zeros((len(entities), layout.subspaces), dtype=np.int64)
            codes[layout.uncompressed[side] :] = codes_of_sides[side]
            places[entities] = layout.sources(side, np.arange(len(entities)), codes)
        return places


class CodebookTable(Table):
    """E_i = [B_1[c_i1]; ...; B_M[c_iM]], or an uncompressed row; the codes stay, the numbers are
    trained, rounded as in the file.
    """

    places: Tensor  # (n * subspaces,) numbers of pieces of stored rows

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int,
        spec: CodebookSpec,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: d_max columns for everybody. Numbers start as ``spec.start`` or,
        without it, as N(0, std^2).
        """
        super().__init__()
        layout, sizes = spec.layout, allocation.columns
        if (
            layout.columns != copies * d_max
            or len(sizes) != layout.users + layout.items
            or (sizes != d_max).any()
        ):
            raise BetError(
                f"{len(sizes)} rows of {copies} x {d_max} columns are not those of {layout}; learn "
                "codes for them"
            )
        self.n, self.copies, self.d_max, self.spec = len(sizes), copies, d_max, spec
        weight = torch.zeros(layout.stored_rows, layout.columns)
        if spec.start is not None:
            weight = torch.from_numpy(spec.start.astype(np.float32))
        elif std:
            weight.normal_(0.0, std, generator=generator)
        self.weight = nn.Parameter(weight)
        places = spec.places() * layout.subspaces + np.arange(layout.subspaces)
        self.register_buffer("places", torch.from_numpy(places.ravel()), persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return np.full(self.n, self.d_max, dtype=np.int16)

    @property
    def allocation(self) -> Allocation:
        return Allocation.uniform(self.n, self.d_max)

    @property
    def description(self) -> str:
        return repr(self.spec)

    @property
    def fixed_order(self) -> np.ndarray:
        return self.spec.order

    @torch.no_grad()
    def take_prefixes(self, rows: Tensor) -> Self:
        """Every stored piece is the mean of the rows that use it; numbers that came with the codes,
        from the table they were learned on, stay.
        """
        if self.spec.start is not None:
            return self
        layout = self.spec.layout
        pieces = rows.to(self.weight.device).reshape(self.n * layout.subspaces, -1)
        stored = self.weight.new_zeros(layout.stored_rows * layout.subspaces, pieces.shape[1])
        stored.index_add_(0, self.places, pieces)
        uses = torch.bincount(self.places, minlength=len(stored)).clamp_min(1)
        self.weight.copy_((stored / uses[:, None]).reshape_as(self.weight))
        return self

    def forward(self) -> Tensor:
        return self.compose(straight_through(self.weight, to_half))

    def compose(self, stored: Tensor) -> Tensor:
        """Rows (n, columns) put together from ``stored`` rows (stored rows, columns), in which they
        are linear.
        """
        layout = self.spec.layout
        # Row after row, the pieces of all subspaces: (stored rows * subspaces, width)
        pieces = stored.reshape(layout.stored_rows * layout.subspaces, -1)
        return take_rows(pieces, self.places).reshape(self.n, layout.columns)

    def n_parameters(self) -> int:
        """Numbers of centroids and rows; codes are not among them."""
        return self.weight.numel()

    def n_bytes(self) -> int:
        return self.spec.layout.file_bytes

    def save(self, path: Path) -> None:
        """Write rows of numbers, and the codes of each side, packed, the most frequent entity's
        first.
        """
        layout, rows = self.spec.layout, self.weight.detach().half().cpu().numpy()
        if not np.isfinite(rows).all():
            raise BetError(
                "the table has numbers that are infinite, or too large for 16 bits; train it with "
                "a lower learning rate"
            )
        tensors = {"rows": rows}
        sides = np.split(self.spec.codes, [layout.coded[0]])
        for name, codes in zip(CODES, sides, strict=True):
            if len(codes):
                tensors[name] = pack_stream(codes.ravel(), layout.code_bits)
        write_safetensors(path, tensors, layout.metadata)
