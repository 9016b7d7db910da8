"""Unfinished work on disk: written whole or not at all, used only by the run that it belongs to."""

import hashlib
import io
import logging
from pathlib import Path

import torch

from bet.files import write_whole

log = logging.getLogger(__name__)

_HEAD = b"bet state 2 "  # then the sha256 of all that follows, a line's end, what torch saved
_START = len(_HEAD) + 64 + 1  # bytes


def save_state(path: Path, key: str, state: dict) -> None:
    """Write ``state`` (tensors, numbers, text) with the ``key`` of what it belongs to and a digest
    of both, whole or not at all.
    """
    buffer = io.BytesIO()
    buffer.write(bytes(_START))
    torch.save({"key": key, "state": state}, buffer)
    content = buffer.getbuffer()
    content[:_START] = _HEAD + hashlib.sha256(content[_START:]).hexdigest().encode() + b"\n"
    write_whole(path, content)


def load_state(path: Path | None, key: str) -> dict | None:
    """What ``save_state`` wrote under the same ``key``; None, with a logged reason, when absent,
    damaged or foreign.
    """
    if path is None or not path.is_file():
        return None
    try:
        saved = torch.load(io.BytesIO(_checked(path.read_bytes())), weights_only=True)
        same = saved["key"] == key
        state = dict(saved["state"])
    except Exception as error:  # a damaged file can raise almost anything
        log.warning("%s cannot be read (%s); starting afresh", path, error)
        return None
    if not same:
        log.warning("%s belongs to another configuration or data set; starting afresh", path)
        return None
    return state


def _checked(content: bytes) -> memoryview:
    """What torch saved. Raises ValueError unless the digest before it is right."""
    saved = memoryview(content)[_START:]
    if content[:_START] != _HEAD + hashlib.sha256(saved).hexdigest().encode() + b"\n":
        raise ValueError("its digest is wrong")
    return saved
