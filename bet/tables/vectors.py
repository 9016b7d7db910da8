"""A table whose file holds a backbone's final vectors, rounded: it serves without the graph."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bet.actions import Allocation
from bet.errors import BetError
from bet.packed import Layout, vectors_layout, write_packed
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
        return VectorTable(allocation, spec=self, **options)


class VectorTable(MaskedTable):
    """Ego embeddings in float32, of equal size, which exist in training only; the final vectors
    that a backbone makes of them are rounded in every step, as the file will have them.

    Straight-through estimator (Bengio et al., 2013): the gradient of a rounded vector goes through
    the backbone's layers to the ego embeddings.
    """

    numbers: Tensor  # (n, 1) float32: how many every vector has

    def __init__(self, allocation: Allocation, *, spec: VectorSpec, **options):
        """``allocation``: columns of the ego embeddings, the same for everybody."""
        super().__init__(allocation, n_users=spec.n_users, **options)
        self.spec = spec
        numbers = torch.full((self.n, 1), float(spec.columns))
        self.register_buffer("numbers", numbers, persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        """Numbers per entity in the file, (n,)."""
        return np.full(self.n, self.spec.columns)

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
        return fake_quantize(vectors, self.numbers, self.spec.bits)

    def _check(self, vectors: Tensor) -> None:
        if vectors.shape != (self.n, self.spec.columns):
            raise BetError(
                f"final vectors of shape {tuple(vectors.shape)} do not fill a file of {self.n} "
                f"rows of {self.spec.columns} numbers; train a model of the size it was made for"
            )

    def n_parameters(self) -> int:
        """Numbers in the file."""
        return self.n * self.spec.columns

    def n_bytes(self) -> int:
        return self.spec.file_bytes

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
        write_packed(path, self.spec.layout, rows[:, None])
