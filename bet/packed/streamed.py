"""A file of tables that is written part by part: nothing of it has to be in memory."""

import json
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bet.files import atomic_path
from bet.packed.safetensors_io import (
    CHECKSUM,
    DTYPES,
    Shapes,
    file_bytes,
    header_bytes,
    header_entries,
)

_CHUNK = 2**22  # bytes that are read at once for the checksum


@dataclass(frozen=True)
class StreamedFile:
    """A file of known length, all zero behind its header, of which any part can be set."""

    path: Path
    tensors: Shapes
    start: int  # of the tensors: the length of the header

    def mapped(self, name: str) -> np.ndarray:
        """Tensor ``name``, to be written to; of no bytes, where the file has none of that name.

        Drop it after a block of rows: written pages stay with the process only while it is mapped.
        """
        dtype, shape = self.tensors.get(name, ("U8", (0,)))
        if not math.prod(shape):
            return np.zeros(shape, DTYPES[dtype])
        first = self.start + header_entries(self.tensors)[name]["data_offsets"][0]
        return np.memmap(self.path, DTYPES[dtype], "r+", offset=first, shape=shape)


@contextmanager
def streamed_safetensors(
    path: Path, tensors: Shapes, metadata: dict[str, str]
) -> Iterator[StreamedFile]:
    """Write a file of ``tensors``, name -> (dtype, shape), with ``metadata``, as
    ``write_safetensors`` does, part by part inside the block; then its checksum, and it appears.

    >>> shapes = {"rows": ("U8", (3,))}
    >>> with streamed_safetensors(folder / "t", shapes, metadata_for("table", {})) as file:
    ...     file.mapped("rows")[1:] = 7, 8
    >>> (folder / "t").read_bytes()[-3:]
    b'\\x00\\x07\\x08'
    """
    entries = {"__metadata__": metadata, **header_entries(tensors)}
    start = header_bytes(tensors, metadata)
    header = json.dumps(entries, separators=(",", ":")).encode().ljust(start - 8)
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            # Without the room, this fails now, not after hours.
            _reserve(file.fileno(), file_bytes(tensors, metadata))
        yield StreamedFile(temporary, tensors, start)
        with open(temporary, "r+b") as file:
            checksum = 0
            while chunk := file.read(_CHUNK):
                checksum = zlib.crc32(chunk, checksum)
            file.seek(8 + header.index(CHECKSUM.encode()))
            file.write(f"crc={checksum:08x}".encode())


def _reserve(handle: int, length: int) -> None:
    """Give an open file its ``length`` in bytes, on the disk where the system can."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, length)
    else:
        os.truncate(handle, length)
