"""Unfinished work on disk: written whole or not at all, used only by the run that it belongs to."""

import logging
from pathlib import Path

import torch

from bet.files import atomic_path

log = logging.getLogger(__name__)


def save_state(path: Path, key: str, state: dict) -> None:
    """Write ``state`` (tensors, numbers, text) with the ``key`` of what it belongs to, whole or
    not at all.
    """
    with atomic_path(path) as temporary:
        torch.save({"key": key, "state": state}, temporary)


def load_state(path: Path | None, key: str) -> dict | None:
    """What ``save_state`` wrote under the same ``key``; None, with a logged reason, when absent,
    unreadable or foreign.
    """
    if path is None or not path.is_file():
        return None
    try:
        saved = torch.load(path, weights_only=True)
    except Exception as error:  # a damaged file can raise almost anything
        log.warning("%s cannot be read (%s); starting afresh", path, error)
        return None
    if saved["key"] != key:
        log.warning("%s belongs to another configuration or data set; starting afresh", path)
        return None
    return saved["state"]
