"""A sparse matrix that scipy saved, read without scipy: each of its arrays is checked as it is
unpacked, part by part, before memory is taken for any of them.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from bet.arrays import PART, check_rising, check_within
from bet.data.memory import check_room

MOST_ARRAYS = 100  # in a file that is read
_ENTRY = b"PK\x01\x02"  # begins what an archive says about each of them
# A user, an item and a value of eight bytes each, once more in a table, and what sorts them.
_BYTES = 64


@dataclass(frozen=True)
class _Array:
    """One array of an archive, of at most one axis: ``k`` numbers of ``dtype`` behind ``start``
    bytes; ``shape`` () of a single one.
    """

    archive: ZipFile
    entry: ZipInfo
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def k(self) -> int:
        return math.prod(self.shape)

    def parts(self) -> Iterator[np.ndarray]:
        """Its numbers, part by part; raises ValueError or BadZipFile where there are others."""
        read = 0
        with self.archive.open(self.entry) as file:
            file.read(self.start)
            while part := file.read(PART * self.dtype.itemsize):
                numbers = np.frombuffer(part, self.dtype)
                read += len(numbers)
                yield numbers
        if read != self.k:
            raise ValueError(f"{self.entry.filename} has {read} numbers, it announces {self.k}")

    def take(self, dtype: type = np.int64) -> np.ndarray:
        """All numbers, (k,) of ``dtype``; they have been checked."""
        numbers: np.ndarray = np.empty(self.k, dtype)
        first = 0
        for part in self.parts():
            numbers[first : first + len(part)] = part
            first += len(part)
        return numbers


def read_matrix(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column, (k,) int64, and value, (k,) float64, of every stored entry of the CSR, CSC or
    COO matrix in ``path``.

    Raises ValueError, KeyError or what ``zipfile`` raises where it holds no such matrix, and
    BetError where there is no memory for it.
    """
    content = path.read_bytes()
    if content.count(_ENTRY) > MOST_ARRAYS:
        raise ValueError(f"more than {MOST_ARRAYS} arrays")
    with ZipFile(io.BytesIO(content)) as archive:
        form = _text(_open(archive, "format"))
        shape = _whole(_open(archive, "shape"))
        if shape.k != 2:
            raise ValueError(f"a matrix of {shape.k} axes, expected are users x items")
        n_rows, n_columns = next(shape.parts()).tolist()
        values = _open(archive, "data")
        if values.dtype.kind not in "biuf":
            raise ValueError(f"values of type {values.dtype}")
        if form == "coo":
            rows, columns = (_whole(_open(archive, name)) for name in ("row", "col"))
            _check_places(rows, values.k, n_rows)
            _check_places(columns, values.k, n_columns)
            by_row, by_column = rows.take, columns.take
        elif form in ("csr", "csc"):
            n, n_places = (n_rows, n_columns) if form == "csr" else (n_columns, n_rows)
            starts, places = (_whole(_open(archive, name)) for name in ("indptr", "indices"))
            if starts.k != n + 1:
                raise ValueError(f"{starts.k} starts of {n} rows")
            check_rising(starts.parts(), last=values.k)
            _check_places(places, values.k, n_places)
            by_row, by_column = partial(_repeated, starts), places.take
            if form == "csc":
                by_row, by_column = by_column, by_row
        else:
            raise ValueError(f"of form {form!r}; save matrix.tocsr()")
        for _ in values.parts():  # as many as it announces
            pass
        check_room([path], _BYTES * values.k)
        return by_row(), by_column(), values.take(np.float64)


def _open(archive: ZipFile, name: str) -> _Array:
    """The array ``name``; raises ValueError unless its length is what it announces."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that numpy does not write")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} has a header of version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if dtype.hasobject or not dtype.itemsize or dtype.itemsize > 64 or len(shape) > 1:
        raise ValueError(f"{name} is {dtype} of shape {shape}")
    array = _Array(archive, entry, dtype, shape, start)
    if start + array.k * dtype.itemsize != entry.file_size or array.k < 0:
        raise ValueError(f"{name} is {entry.file_size} bytes long, it announces {array.k} numbers")
    return array


def _whole(array: _Array) -> _Array:
    if array.dtype.kind not in "iu":
        raise ValueError(f"{array.entry.filename} is {array.dtype}, expected are whole numbers")
    return array


def _text(array: _Array) -> str:
    if array.k != 1 or array.dtype.kind not in "SU":
        raise ValueError("its format is no word")
    (word,) = next(array.parts()).tolist()
    return word.decode() if isinstance(word, bytes) else word


def _check_places(places: _Array, k: int, n: int) -> None:
    if places.k != k:
        raise ValueError(f"{places.k} places of {k} values")
    check_within(places.parts(), n)


def _repeated(starts: _Array) -> np.ndarray:
    """The row of every entry, of rows that begin at ``starts``."""
    counts = np.diff(starts.take(np.int64))
    return np.repeat(np.arange(len(counts)), counts)
