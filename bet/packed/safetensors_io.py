"""The container of every table: a safetensors file whose one metadata entry states what it is.

The entry is text, ``kind;version=2;name=value;...;crc=0123abcd``; the checksum is that of the whole
file with zeros in its place. Tensors stand as safetensors writes them: the widest numbers first,
then by name, without gaps. So the length of a file follows from its shapes, before it is written.
"""

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save as serialize

from bet.errors import BetError
from bet.files import atomic_path
from bet.text import printable, quoted

VERSION = 2
CHECKSUM = "crc=00000000"  # its place; a digit for every four bits
KEY = "bet"  # of the one metadata entry
MOST_HEADER = 2**16  # bytes: of JSON that is read before anything is known
KINDS = ("table", "vectors", "coded", "hashed", "pruned", "recommender", "ids")  # of files
# In the order that safetensors stores them.
DTYPES: dict[str, np.dtype] = {
    "F32": np.dtype("<f4"),
    "U32": np.dtype("<u4"),
    "F16": np.dtype("<f2"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}
SPOILT = "it is another kind of file, damaged or cut short; save the table again"
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name -> (dtype, shape) of every tensor in a file."""

# What a hostile header may end in when it is read.
_MALFORMED = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    RecursionError,
)


def metadata_for(kind: str, facts: Mapping[str, object]) -> dict[str, str]:
    """The metadata of a file of ``kind``; the checksum's digits are zero.

    >>> metadata_for("hashed", {"size": 4, "rows": 10})
    {'bet': 'hashed;version=2;size=4;rows=10;crc=00000000'}
    """
    stated = "".join(f"{name}={value};" for name, value in facts.items())
    return {KEY: f"{kind};version={VERSION};{stated}{CHECKSUM}"}


def header_entries(tensors: Shapes) -> dict[str, dict]:
    """The entries of a safetensors header for ``tensors``: the widest numbers come first.

    >>> entries = header_entries({"a": ("U8", (3,)), "b": ("F32", (2, 1))})
    >>> {name: entry["data_offsets"] for name, entry in entries.items()}
    {'b': [0, 8], 'a': [8, 11]}
    """
    types = list(DTYPES)
    entries, offset = {}, 0
    for name in sorted(tensors, key=lambda name: (types.index(tensors[name][0]), name)):
        dtype, shape = tensors[name]
        # Python's integers: a shape that a file states may be larger than numpy's.
        end = offset + DTYPES[dtype].itemsize * math.prod(shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    return entries


def dtype_up_to(largest: int) -> str:
    """The shortest whole numbers up to ``largest``.

    >>> dtype_up_to(255), dtype_up_to(256)
    ('U8', 'U16')
    """
    return "U8" if largest < 2**8 else "U16" if largest < 2**16 else "U32"


def header_bytes(tensors: Shapes, metadata: dict[str, str]) -> int:
    """Length of a file's header: eight bytes of length, then JSON, padded to whole words."""
    entries = {"__metadata__": metadata, **header_entries(tensors)}
    return 8 + -(-len(json.dumps(entries, separators=(",", ":"))) // 8) * 8


def tensor_bytes(tensors: Shapes, *names: str) -> int:
    """Bytes of the tensors of these ``names``, 0 for those that are not there.

    >>> tensor_bytes({"a": ("U8", (3,)), "b": ("F32", (2, 1))}, "b", "c")
    8
    """
    chosen = [tensors[name] for name in names if name in tensors]
    return sum(DTYPES[dtype].itemsize * math.prod(shape) for dtype, shape in chosen)


def shapes_of(tensors: Mapping[str, np.ndarray]) -> Shapes:
    """Dtypes and shapes of ``tensors``.

    >>> shapes_of({"rows": np.zeros((2, 3), np.uint8)})
    {'rows': ('U8', (2, 3))}
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    return {name: (names[data.dtype], data.shape) for name, data in tensors.items()}


def file_bytes(tensors: Shapes, metadata: dict[str, str]) -> int:
    """Length of a file.

    Two bytes of numbers behind a header of 8 + 120 bytes:

    >>> file_bytes({"rows": ("U8", (2,))}, metadata_for("table", {"users": 2}))
    130
    """
    return header_bytes(tensors, metadata) + tensor_bytes(tensors, *tensors)


def write_safetensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Write ``tensors`` with ``metadata``, as ``metadata_for``, and their checksum, whole or not at
    all.
    """
    content = serialize(dict(tensors), metadata=metadata)
    if (length := int.from_bytes(content[:8], "little")) > MOST_HEADER:
        raise BetError(
            f"{path}: {len(tensors):,} arrays take a header of {length:,} bytes, at most "
            f"{MOST_HEADER:,} can be read; write fewer, or with shorter names"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(with_checksum(content))


def with_checksum(content: bytes) -> bytes:
    """``content`` with its checksum in the place that the metadata keep for it.

    >>> content = b"table;crc=00000000"
    >>> with_checksum(content) == b"table;crc=" + f"{zlib.crc32(content):08x}".encode()
    True
    """
    whole = bytearray(content)
    place = whole.index(CHECKSUM.encode())
    whole[place : place + len(CHECKSUM)] = f"crc={zlib.crc32(whole):08x}".encode()
    return bytes(whole)


def check_checksum(path: Path, content: bytes | memoryview) -> None:
    """Raise BetError unless the first checksum in ``content`` is the right one."""
    header = bytearray(content[: 8 + int.from_bytes(bytes(content[:8]), "little")])
    place = header.find(b"crc=")
    written = bytes(header[place : place + len(CHECKSUM)])
    header[place : place + len(CHECKSUM)] = CHECKSUM.encode()
    # What comes behind the header is not copied: it may be as large as the memory.
    actual = zlib.crc32(memoryview(content)[len(header) :], zlib.crc32(header))
    if place < 0 or f"crc={actual:08x}".encode() != written:
        raise BetError(
            f"{path}: its checksum is wrong: it is damaged or cut short; save the table again"
        )


@contextmanager
def refusing_malformed(path: Path) -> Iterator[None]:
    """Turn whatever a malformed file raises inside the block into a BetError."""
    try:
        yield
    except _MALFORMED as error:
        reason = printable(str(error) or type(error).__name__, 200)
        raise BetError(f"{path}: not a readable table file ({reason}); {SPOILT}") from error


@dataclass(frozen=True)
class Container:
    """An open file, memory-mapped: nothing of its tensors is read before it is used."""

    path: Path
    kind: str
    stated: str  # the metadata entry
    facts: Mapping[str, str]  # in it
    content: np.ndarray = field(repr=False)  # (length,) uint8: the whole file
    tensors: Mapping[str, np.ndarray] = field(repr=False)  # views into ``content``
    outer: "Container | None" = field(default=None, repr=False)  # the file that holds this one

    @property
    def shapes(self) -> Shapes:
        """Dtypes and shapes of its tensors."""
        return shapes_of(self.tensors)

    @property
    def checksum(self) -> int:
        """The checksum that it states."""
        return int(self.facts["crc"], 16)

    def check_layout(self, tensors: Shapes, metadata: dict[str, str]) -> None:
        """Raise ValueError unless the file has these ``tensors`` and states ``metadata``."""
        stated = self.stated[: -len(CHECKSUM)] + CHECKSUM
        if self.shapes != dict(tensors) or stated != metadata[KEY]:
            raise ValueError("its header is not that of its rows")
        if file_bytes(tensors, metadata) != len(self.content):
            raise ValueError(
                f"{len(self.content)} bytes, its parts are {file_bytes(tensors, metadata)}"
            )


def open_safetensors(path: Path, check: bool = True) -> Container:
    """Open a file of any kind; ``check``: read it once and compare its checksum.

    Raises BetError when it is missing, no file of this package, of another version, damaged, cut
    short or too long. Every length that it states is compared with its own before it is used.
    """
    path = Path(path)
    try:
        # An empty file cannot be mapped: a ValueError.
        with refusing_malformed(path):
            content = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    except OSError as error:
        raise BetError(f"{path}: cannot be read ({error}); check the path") from error
    return open_view(path, content, check)


def open_view(path: Path, content: np.ndarray, check: bool = True) -> Container:
    """Open a file whose bytes are ``content`` (length,) uint8, of which nothing is copied; as
    ``open_safetensors``.

    path: of the file that they are in, for messages.
    """
    with refusing_malformed(path):
        length = int.from_bytes(content[:8].tobytes(), "little")
        if length > MOST_HEADER:
            raise ValueError(f"a header of {length:,} bytes, at most {MOST_HEADER:,} are read")
        header = json.loads(content[8 : 8 + length].tobytes())
        text = header.pop("__metadata__", {}).get(KEY)
        if text is None:
            raise ValueError("it does not state what it is")
        kind, *parts = text.split(";")
        facts = dict(part.split("=") for part in parts)
        version = facts["version"]
    if version != str(VERSION):
        raise BetError(
            f"{path}: version {printable(version, 20)} of the format, this package reads "
            f"{VERSION}; update the package or save the table again"
        )
    if kind not in KINDS:
        raise BetError(
            f"{path}: not a table of a kind that this package knows ({quoted(kind)}); update "
            f"the package, or {SPOILT}"
        )
    if check:
        check_checksum(path, content.data)
    with refusing_malformed(path):
        shapes = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
        for _, shape in shapes.values():
            if any(type(size) is not int or size < 0 for size in shape):
                raise ValueError(f"a shape of {list(shape)}")
        if header != header_entries(shapes):
            raise ValueError("its tensors are not where they should be")
        start = 8 + length
        if start + tensor_bytes(shapes, *shapes) != len(content):
            raise ValueError(f"{len(content)} bytes are not what its header states")
        tensors = {}
        for name, (dtype, shape) in shapes.items():
            first, last = header[name]["data_offsets"]
            stored = content[start + first : start + last]
            tensors[name] = stored.view(DTYPES[dtype]).reshape(shape)
    return Container(path, kind, stated=text, facts=facts, content=content, tensors=tensors)
