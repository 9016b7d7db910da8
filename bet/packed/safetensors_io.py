"""Small files with a checksum: a safetensors file whose one metadata entry states its kind, version,
whole numbers and checksum.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as serialize

from bet.errors import BetError
from bet.files import atomic_path, read_whole
from bet.packed.layout import CHECKSUM, KEY, READERS, VERSION, check_checksum, with_checksum

Made = TypeVar("Made")


def metadata_for(kind: str, facts: Mapping[str, int]) -> dict[str, str]:
    """The metadata of a file of ``kind``; the checksum's digits are zero."""
    numbers = ";".join(f"{name}={value}" for name, value in facts.items())
    return {KEY: f"{kind};version={VERSION};{numbers};{CHECKSUM}"}


def write_safetensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Write ``tensors`` with ``metadata``, as ``metadata_for``, and their checksum, whole or not at
    all.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(with_checksum(serialize(dict(tensors), metadata=metadata)))


def read_safetensors(
    path: Path, kind: str, make: Callable[[dict[str, int], dict[str, np.ndarray]], Made]
) -> Made:
    """What ``make`` builds from the facts and tensors of a file of ``kind``.

    Raises BetError when the file is missing, damaged, cut short or too long, of another kind or
    version, or when ``make`` cannot use what is in it.
    """
    whole = read_whole(path)
    check_checksum(path, whole)
    try:
        tensors = read_tensors(whole)
        header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
        found, *parts = header["__metadata__"][KEY].split(";")
        facts = dict(part.split("=") for part in parts)
        if (found, facts["version"]) == (kind, str(VERSION)):
            return make(
                {
                    name: int(value)
                    for name, value in facts.items()
                    if name not in ("version", "crc")
                },
                tensors,
            )
    except (ValueError, KeyError, IndexError, TypeError, RuntimeError, SafetensorError) as error:
        raise BetError(
            f"{path}: not a readable {kind} table ({error}); save the table again"
        ) from error
    if found != kind:
        raise BetError(
            f"{path}: not a {kind} table; read it with {READERS.get(found, 'a newer version of this package')}"
        )
    raise BetError(
        f"{path}: a {kind} table of version {facts['version']}, this package reads {VERSION}; save the table again"
    )
