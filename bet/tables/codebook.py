"""Rows put together from the centroids of codebooks: an entity has a few bits per sub-space instead
of numbers.
"""

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import (
    header_bytes,
    metadata_for,
    pack_stream,
    read_safetensors,
    stream_bytes,
    unpack_stream,
    write_safetensors,
)
from bet.tables.base import Table, take_rows
from bet.tables.straight_through import straight_through, to_half

MOST_BITS = 12  # of a code
_CODES = ("user_codes", "item_codes")  # tensors of a file


@dataclass(frozen=True)
class CodebookLayout:
    """How a file of codes is laid out; numbers are float16.

    ``columns`` of a row, over all ``copies``, are cut into ``parts`` sub-spaces of equal width.
    ``user_own`` and ``item_own``: the most frequent of each side, which have a row of their own.
    Every other entity has a code of ``code_bits`` per sub-space, the number of one of the
    ``user_centroids`` or ``item_centroids`` of its side.
    """

    columns: int
    copies: int
    parts: int
    code_bits: int
    users: int
    items: int
    user_own: int
    item_own: int

    def __post_init__(self):
        if (
            self.parts < 1
            or self.columns % self.parts
            or self.columns % self.copies
            or not 1 <= self.code_bits <= MOST_BITS
        ):
            raise BetError(
                f"{self.columns} columns of {self.copies} tables are not cut into {self.parts} parts with codes of "
                f"{self.code_bits} bits; give divisors, and 1 to {MOST_BITS} bits"
            )
        if not 0 <= self.user_own <= self.users or not 0 <= self.item_own <= self.items:
            raise BetError(
                f"{self.own} rows of their own for {self.users} users and {self.items} items; give fewer"
            )

    @property
    def own(self) -> tuple[int, int]:
        """Rows of their own, by side."""
        return self.user_own, self.item_own

    @property
    def coded(self) -> tuple[int, int]:
        """Entities with codes, by side."""
        return self.users - self.user_own, self.items - self.item_own

    @property
    def centroids(self) -> tuple[int, int]:
        """Centroids per sub-space, by side: one more than there are rows would be of no use."""
        most = 2**self.code_bits
        return min(most, self.coded[0]), min(most, self.coded[1])

    @property
    def rows(self) -> int:
        """Rows of numbers: users' centroids, items' centroids, users' own, items' own."""
        return sum(self.centroids) + sum(self.own)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file states."""
        return metadata_for("coded", vars(self))

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        sizes = {"F16": 2, "U8": 1}
        return header_bytes(self.tensors, self.metadata) + sum(
            sizes[dtype] * int(np.prod(shape)) for dtype, shape in self.tensors.values()
        )

    @property
    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of everything in the file; a side's codes end on a whole byte."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {"rows": ("F16", (self.rows, self.columns))}
        for name, k in zip(_CODES, self.coded, strict=True):
            if k:
                found[name] = ("U8", (stream_bytes(k * self.parts, self.code_bits),))
        return found


@dataclass(frozen=True)
class CodebookSpec:
    """``form`` and ``codes`` (coded users, then items; parts) below the side's centroids, entities
    in ``order``.

    ``order`` (n,): entity ids by frequency, users first. ``start`` (form.rows, columns) float32:
    what the numbers are at first; None: random. ``digest`` stands for the arrays where codings are
    compared or named.
    """

    form: CodebookLayout
    codes: np.ndarray = field(repr=False, compare=False)
    order: np.ndarray = field(repr=False, compare=False)
    start: np.ndarray | None = field(default=None, repr=False, compare=False)
    digest: str = field(init=False)

    def __post_init__(self):
        form, limits = self.form, np.repeat(self.form.centroids, self.form.coded)[:, None]
        if (
            self.codes.shape != (sum(form.coded), form.parts)
            or (self.codes < 0).any()
            or (self.codes >= limits).any()
        ):
            raise BetError(
                f"codes of shape {self.codes.shape} do not name centroids of {form}; learn them again"
            )
        if len(self.order) != form.users + form.items or (
            self.start is not None and self.start.shape != (form.rows, form.columns)
        ):
            raise BetError(
                f"{len(self.order)} entities, or the first numbers, are not those of {form}; learn the codes again"
            )
        digest = hashlib.sha256()
        for array in (self.codes.astype(np.int64), self.order.astype(np.int64), self.start):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        object.__setattr__(self, "digest", digest.hexdigest()[:16])

    @property
    def bits(self) -> int:
        """Per number."""
        return 16

    def table(self, allocation: Allocation, **options) -> "CodebookTable":
        """A table of these codes; d_max columns for everybody."""
        return CodebookTable(allocation, coding=self, **options)

    def places(self) -> np.ndarray:
        """Row of numbers that every entity takes each of its parts from: (n, parts) int64 by entity
        id.
        """
        form = self.form
        first = np.cumsum(
            [0, *form.centroids, *form.own]
        )  # of users' centroids, items' centroids, users' own, items' own
        sides = np.split(self.codes.astype(np.int64), [form.coded[0]])
        found = np.empty((len(self.order), form.parts), dtype=np.int64)
        ids = np.split(self.order, [form.users])
        for side, (own, own_ids, codes) in enumerate(zip(form.own, ids, sides, strict=True)):
            found[own_ids[:own]] = (first[2 + side] + np.arange(own))[:, None]
            found[own_ids[own:]] = first[side] + codes
        return found


class CodebookTable(Table):
    """E_i = [B_1[c_i1]; ...; B_M[c_iM]], or a row of its own; the codes stay, the numbers are
    trained, rounded as in the file.
    """

    places: Tensor  # (n * parts,) numbers of pieces of a row

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int,
        coding: CodebookSpec,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: d_max columns for everybody. Numbers start as N(0, std^2), or as
        ``coding`` says.
        """
        super().__init__()
        form, sizes = coding.form, allocation.columns
        if (
            form.columns != copies * d_max
            or len(sizes) != form.users + form.items
            or (sizes != d_max).any()
        ):
            raise BetError(
                f"{len(sizes)} rows of {copies} x {d_max} columns are not those of {form}; learn codes for them"
            )
        self.n, self.copies, self.d_max, self.coding = len(sizes), copies, d_max, coding
        weight = torch.zeros(form.rows, form.columns)
        if coding.start is not None:
            weight = torch.from_numpy(coding.start.astype(np.float32))
        elif std:
            weight.normal_(0.0, std, generator=generator)
        self.weight = nn.Parameter(weight)
        places = coding.places() * form.parts + np.arange(form.parts)
        self.register_buffer("places", torch.from_numpy(places.ravel()), persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return np.full(self.n, self.d_max, dtype=np.int16)

    @property
    def allocation(self) -> Allocation:
        return Allocation.uniform(self.n, self.d_max)

    @property
    def description(self) -> str:
        return repr(self.coding)

    @property
    def rows(self) -> np.ndarray:
        return self.coding.order

    def forward(self) -> Tensor:
        form = self.coding.form
        pieces = straight_through(self.weight, to_half).reshape(form.rows * form.parts, -1)
        return take_rows(pieces, self.places).reshape(self.n, form.columns)

    def n_parameters(self) -> int:
        """Numbers of centroids and rows; codes are not among them."""
        return self.weight.numel()

    def n_bytes(self) -> int:
        return self.coding.form.file_bytes

    def save(self, path: Path) -> None:
        """Write a safetensors file: rows of numbers, and the codes of each side, packed, the most
        frequent entity's first.
        """
        form, rows = self.coding.form, self.weight.detach().half().cpu().numpy()
        if not np.isfinite(rows).all():
            raise BetError(
                "the table has numbers that are infinite, or too large for 16 bits; train it with a lower learning rate"
            )
        sides = np.split(self.coding.codes, [form.coded[0]])
        codes = {
            name: pack_stream(side.ravel(), form.code_bits)
            for name, side in zip(_CODES, sides, strict=True)
        }
        write_safetensors(
            path,
            {"rows": rows} | {name: packed for name, packed in codes.items() if len(packed)},
            form.metadata,
        )

    @classmethod
    def load(cls, path: Path, order: np.ndarray | None = None) -> "CodebookTable":
        """Read what ``save`` wrote; raises BetError when it is missing, damaged or something else.

        ``order`` (n,): entity id of every row, as ``rows`` was; None: entities are numbered as the
        file's rows are, users first.
        """

        def make(facts: dict[str, int], tensors: dict[str, np.ndarray]) -> "CodebookTable":
            form = CodebookLayout(**{own.name: facts[own.name] for own in fields(CodebookLayout)})
            shapes = {name: shape for name, (_, shape) in form.tensors.items()}
            if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
                raise ValueError("its parts are not those of its form")
            codes = [
                unpack_stream(tensors[name], form.code_bits, k * form.parts)
                if k
                else np.zeros(0, np.uint16)
                for name, k in zip(_CODES, form.coded, strict=True)
            ]
            ids = np.arange(form.users + form.items) if order is None else np.asarray(order)
            start = tensors["rows"].astype(np.float32)
            coding = CodebookSpec(form, np.concatenate(codes).reshape(-1, form.parts), ids, start)
            width = form.columns // form.copies
            return coding.table(
                Allocation.uniform(len(ids), width), d_max=width, copies=form.copies
            )

        return read_safetensors(path, "coded", make)
