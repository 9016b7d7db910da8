"""Vectors as a matrix in ``.npy`` or safetensors, read without loading it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from bet.errors import BetError
from bet.pack.sources import Block, Columns, Vectors

_FLOATS = ("F16", "F32", "F64")  # that numpy has; bfloat16 is not one


class MatrixVectors(Vectors):
    """The rows of a matrix (n, d); their ids are their numbers."""

    def __init__(self, path: Path, columns: Columns):
        """Raises BetError unless the file holds one matrix of floating-point numbers, or the one
        that ``columns.vectors`` names.
        """
        self.path = path
        if path.suffix.lower() == ".npy":
            if columns.vectors is not None:
                raise BetError(f"{path}: one matrix without a name; leave {columns.vectors!r} out")
            self.n, self.d = _mapped(path).shape
        else:
            self._tensor, (self.n, self.d) = _tensor(path, columns.vectors)

    def blocks(self, with_ids: bool = False) -> Iterator[Block]:
        for first in range(0, self.n, self.block_rows):
            part = slice(first, min(first + self.block_rows, self.n))
            # Opened for every block: what was read does not stay with the process.
            if self.path.suffix.lower() == ".npy":
                values = _mapped(self.path)[part]
            else:
                with _opened(self.path) as opened:
                    values = opened.get_slice(self._tensor)[part]
            ids = np.arange(part.start, part.stop) if with_ids else None
            yield Block(first, np.array(self.checked(first, values)), ids)


def _mapped(path: Path) -> np.ndarray:
    """The matrix of a ``.npy`` file; nothing of it is read yet."""
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BetError(f"{path}: not a readable .npy file ({error}); write it again") from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        shape, dtype = getattr(matrix, "shape", ()), getattr(matrix, "dtype", type(matrix))
        raise BetError(
            f"{path}: {dtype} of shape {shape}; vectors are a matrix of numbers, a row each"
        )
    return matrix


@contextmanager
def _opened(path: Path):
    try:
        with safe_open(path, "numpy") as opened:
            yield opened
    except (SafetensorError, OSError) as error:
        raise BetError(
            f"{path}: not a readable safetensors file ({error}); write it again"
        ) from error


def _tensor(path: Path, name: str | None) -> tuple[str, tuple[int, int]]:
    """Name and shape of the matrix in a safetensors file."""
    with _opened(path) as opened:
        slices = {key: opened.get_slice(key) for key in opened.keys()}
        shapes = {key: tuple(view.get_shape()) for key, view in slices.items()}
        types = {key: view.get_dtype() for key, view in slices.items()}
    matrices = [key for key, shape in shapes.items() if len(shape) == 2]
    if name is None and len(matrices) == 1:
        name = matrices[0]
    if name is None or name not in matrices:
        asked = "several matrices" if name is None else f"no matrix {name!r}"
        raise BetError(
            f"{path}: {asked}; it has {', '.join(map(repr, matrices)) or 'none'}, name one by "
            "--user-vectors or --item-vectors"
        )
    if types[name] not in _FLOATS:
        raise BetError(
            f"{path}: {name!r} is {types[name]}; known are {', '.join(_FLOATS)}, convert it first"
        )
    rows, columns = shapes[name]
    return name, (rows, columns)
