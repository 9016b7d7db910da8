"""Files of float32 tables: npy arrays one after the other, of which the first states the form and a
checksum of everything.
"""

import io
import zlib
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.files import atomic_path, read_whole

NPY_HEADER = 128  # bytes numpy writes before a one-dimensional array


def write_arrays(path: Path, version: int, form: tuple[int, ...], *arrays: np.ndarray) -> None:
    """Write ``form`` and ``arrays``, whole or not at all.

    The first array is int32: ``version`` (below 256) with 23 bits of checksum above it, then
    ``form``.
    """
    body = b"".join(map(_npy, arrays))
    with atomic_path(path) as temporary:
        temporary.write_bytes(_first(version, form, body) + body)


def read_arrays(path: Path, version: int) -> tuple[tuple[int, ...], list[np.ndarray]]:
    """The form and the arrays of a file of ``version``; raises BetError when it is missing, damaged
    or of another version.
    """
    content = io.BytesIO(whole := read_whole(path))
    try:
        marked, *form = map(int, np.load(content, allow_pickle=False))
    except Exception as error:  # a damaged header ends in many kinds
        raise BetError(
            f"{path}: not a readable table file ({error}); save the table again"
        ) from error
    body = whole[content.tell() :]
    if marked & 0xFF != version or whole != _first(version, tuple(form), body) + body:
        raise BetError(
            f"{path}: not version {version} of a table file, or damaged or cut short; save the table again"
        )
    arrays = []
    while content.tell() < len(whole):
        arrays.append(np.load(content, allow_pickle=False))
    return tuple(form), arrays


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _first(version: int, form: tuple[int, ...], body: bytes) -> bytes:
    numbers = np.array([version, *form], dtype=np.int32)
    numbers[0] |= (zlib.crc32(body, zlib.crc32(numbers.tobytes())) & 0x7FFFFF) << 8
    return _npy(numbers)
