"""A table whose file holds a backbone's final vectors, rounded: it serves without the graph."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import Layout, layout_of, vectors_layout, write_packed
from bet.packed.quantizer import fake_quantize
from bet.tables.masked import MaskedTable
from bet.tables.straight_through import straight_through


@dataclass(frozen=True)
class VectorSpec:
    """A file of final vectors: ``columns`` numbers of at most eight ``bits`` for everybody, rows by
    frequency, ``order`` (n,) entity ids, users first.

    Three vectors of four 2-bit
    numbers are a byte of levels and a step of two bytes each:

    >>> spec = VectorSpec(bits=2, columns=4, n_users=2, order=np.arange(3))
    >>> report = spec.layout.byte_report()
    >>> report.rows, report.steps, report.total == spec.file_bytes
    (3, 6, True)
    """

    bits: int
    columns: int
    n_users: int
    order: np.ndarray = field(repr=False)

    @property
    def layout(self) -> Layout:
        """Where every byte of the file is."""
        return vectors_layout(len(self.order), self.columns, self.bits, self.n_users)

    @property
    def file_bytes(self) -> int:
        """Length of the file, which is also what it takes to serve."""
        return self.layout.byte_report().total

    def in_order(self, order: np.ndarray) -> "VectorSpec":
        """The same with rows in ``order``."""
        return replace(self, order=order)

    def table(self, allocation: Allocation, **options) -> "VectorTable":
        """A table for such a file."""
        return VectorTable(allocation, spec=self, layout=self.layout, **options)


@dataclass(frozen=True)
class RankedVectorSpec:
    """As ``VectorSpec``, for vectors whose bits fall with the rank: a file lists the width at every
    one of ``precisions``, unless all vectors have the same bits. An ego embedding of w columns
    becomes a vector of ``layers`` * w.
    """

    precisions: tuple[int, ...]
    layers: int
    n_users: int
    order: np.ndarray = field(repr=False)

    @property
    def bits(self) -> None:
        """Vectors differ."""

    def in_order(self, order: np.ndarray) -> "RankedVectorSpec":
        """The same with rows in ``order``."""
        return replace(self, order=order)

    def layout(self, width: int, bits: np.ndarray) -> Layout:
        """The layout of the file of vectors of ``bits`` (n,) by entity id that come from embeddings
        of ``width`` columns; raises BetError unless they follow ``order``.
        """
        columns = self.layers * width
        uniform = (bits == bits[0]).all()
        listed = bits[:1].tolist() if uniform else sorted(self.precisions, reverse=True)
        kinds = np.array([(columns, precision) for precision in listed])
        layout = layout_of(
            np.full(len(bits), columns), bits[self.order], self.n_users, by_rank=True, kinds=kinds
        )
        return replace(layout, file_kind="vectors")

    def table(self, allocation: Allocation, **options) -> "VectorTable":
        """A table for such a file; ``allocation``: sizes of the embeddings, bits of the vectors."""
        bits = allocation.bits
        if bits is None:
            raise BetError("vectors of mixed precision need bits; give the allocation some")
        layout = self.layout(int(allocation.columns.max()), bits)
        return VectorTable(allocation, spec=self, layout=layout, **options)


class VectorTable(MaskedTable):
    """Ego embeddings in float32, of equal size, which exist in training only; the final vectors
    that a backbone makes of them are rounded in every step, as the file will have them.

    Straight-through estimator (Bengio et al., 2013): the gradient of a rounded vector goes through
    the backbone's layers to the ego embeddings.
    """

    numbers: Tensor  # (n, 1) float32: how many every vector has
    bits: Tensor | None  # (n, 1) int64 per number of every vector; None: the spec's

    def __init__(
        self,
        allocation: Allocation,
        *,
        spec: VectorSpec | RankedVectorSpec,
        layout: Layout,
        **options,
    ):
        """``allocation``: columns of the ego embeddings, the same for everybody, and bits where the
        spec leaves them open; ``layout``: of the file, one width.
        """
        super().__init__(allocation, n_users=spec.n_users, **options)
        self.spec, self.layout, self.columns = spec, layout, layout.width
        numbers = torch.full((self.n, 1), float(self.columns))
        self.register_buffer("numbers", numbers, persistent=False)
        bits = None
        if spec.bits is None:
            assert allocation.bits is not None
            bits = torch.from_numpy(allocation.bits.astype(np.int64))[:, None]
        self.register_buffer("bits", bits, persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        """Numbers per entity in the file, (n,)."""
        return np.full(self.n, self.columns)

    @property
    def description(self) -> str:
        return repr(self.spec)

    @property
    def fixed_order(self) -> np.ndarray:
        return self.spec.order

    def as_stored(self, vectors: Tensor) -> Tensor:
        """``vectors`` (n, columns) as the file gives them back.

        Raises BetError on another shape.
        """
        self._check(vectors)
        return straight_through(vectors, self._fake_quantized)

    def _fake_quantized(self, vectors: Tensor) -> Tensor:
        bits = self.spec.bits if self.bits is None else self.bits
        assert bits is not None
        return fake_quantize(vectors, self.numbers, bits)

    def _check(self, vectors: Tensor) -> None:
        if vectors.shape != (self.n, self.columns):
            raise BetError(
                f"final vectors of shape {tuple(vectors.shape)} do not fill a file of {self.n} "
                f"rows of {self.columns} numbers; train a model of the size it was made for"
            )

    def n_parameters(self) -> int:
        """Numbers in the file."""
        return self.n * self.columns

    def n_bytes(self) -> int:
        return self.layout.byte_report().total

    def save(self, path: Path) -> None:
        """Raises BetError: the file holds what a backbone makes of these rows."""
        raise BetError(
            f"cannot write {path} from ego embeddings alone; save the recommender's table instead "
            "(Recommender.save_table)"
        )

    def save_vectors(self, path: Path, vectors: Tensor) -> None:
        """Write final ``vectors`` (n, columns), not yet rounded."""
        self._check(vectors)
        rows = vectors.detach().cpu().numpy()[self.spec.order]
        write_packed(path, self.layout, rows[:, None])
