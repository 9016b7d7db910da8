"""Vectors that somebody has already: read in blocks, in the order in which they stand."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bet.errors import BetError

BLOCK_BYTES = 2**22  # of float32 numbers that are read at once
MOST_NUMBERS = 4_096  # of a vector: the square of it is held, several times, as float64
LARGEST = 10_000.0  # number of a vector: what is stored as float16 ends at 65,504


@dataclass(frozen=True)
class Columns:
    """What is where in a file; None: found by its form.

    ids and frequency: columns of Parquet. vectors: the column of Parquet that holds lists, or the
    tensor of a safetensors file.
    """

    ids: str = "id"
    frequency: str = "frequency"
    vectors: str | None = None


@dataclass(frozen=True)
class Block:
    """Consecutive rows from number ``first`` on: ``values`` (m, d) float32, and, where they were
    asked for, ``ids`` (m,) int64 or text as objects, and ``frequency`` (m,) float64 of a file that
    has it.
    """

    first: int
    values: np.ndarray
    ids: np.ndarray | None = None
    frequency: np.ndarray | None = None

    def among(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of this block whose number is among ``numbers`` (s,), in rising order."""
        ends = np.searchsorted(numbers, [self.first, self.first + len(self.values)])
        return self.values[numbers[slice(*ends)] - self.first]


class Vectors(ABC):
    """``n`` vectors of ``d`` numbers of one file, or of a folder of Parquet files."""

    path: Path
    n: int
    d: int

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        return max(1, BLOCK_BYTES // (4 * self.d))

    @abstractmethod
    def blocks(self, with_ids: bool = False) -> Iterator[Block]:
        """All rows; ``with_ids``: with ids and frequencies. Raises BetError where a row has not
        ``d`` finite numbers, or an id is missing.
        """

    def checked(self, first: int, values: np.ndarray) -> np.ndarray:
        """``values`` (m, d) of rows from ``first`` on, as float32; raises BetError where one is not
        finite or above ``LARGEST``.
        """
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values, dtype=np.float32)
        # Comparisons with NaN are false.
        if not (values.max() <= LARGEST and values.min() >= -LARGEST):
            row, column = np.argwhere(~(np.abs(values) <= LARGEST))[0].tolist()
            number = values[row, column]
            remedy = "leave the row out or correct it"
            if np.isfinite(number):
                remedy = "divide all vectors of this side by a number, which changes no ranking"
            raise BetError(
                f"{self.path}: row {first + row} (from 0) has {number:g} as number {column}; "
                f"numbers must be finite and at most {LARGEST:,.0f}, {remedy}"
            )
        return values


def open_vectors(path: str | Path, columns: Columns | None = None) -> Vectors:
    """Open a ``.npy``, ``.safetensors`` or ``.parquet`` file, or a folder of Parquet files as Spark
    writes them.

    ``.npy`` and safetensors hold a matrix, a row per vector, whose ids are the row numbers. Parquet
    has an id column and either one column of lists or a column of numbers per dimension; a column
    ``frequency`` is used where it is there. Raises BetError, naming file, column or row, and
    remedy, on anything else.

    >>> np.save(folder / "items.npy", np.ones((3, 2), dtype=np.float32))
    >>> vectors = open_vectors(folder / "items.npy")
    >>> vectors.n, vectors.d, [block.values.tolist() for block in vectors.blocks()]
    (3, 2, [[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    """
    # Each format is imported where it is used: pyarrow takes as long as all the rest.
    path, columns = Path(path), columns or Columns()
    if not path.exists():
        raise BetError(f"{path}: no such file; check the path")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".parquet":
        from bet.pack.parquet import ParquetVectors

        return _checked_shape(ParquetVectors(path, columns))
    if suffix not in (".npy", ".safetensors"):
        raise BetError(
            f"{path}: unknown extension {path.suffix!r} of vectors; known are .npy, .parquet, "
            ".safetensors and a folder of Parquet files"
        )
    from bet.pack.matrices import MatrixVectors

    return _checked_shape(MatrixVectors(path, columns))


def _checked_shape(vectors: Vectors) -> Vectors:
    if not vectors.n or not vectors.d:
        raise BetError(
            f"{vectors.path}: {vectors.n} vectors of {vectors.d} numbers; there must be one of each"
        )
    if vectors.d > MOST_NUMBERS:
        raise BetError(
            f"{vectors.path}: {vectors.n:,} vectors of {vectors.d:,} numbers, at most "
            f"{MOST_NUMBERS:,} can be packed; is the matrix transposed? A row is a vector"
        )
    return vectors
