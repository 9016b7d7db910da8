"""Budgeted embedding tables for recommender systems: a reproducible study (BET, WSDM 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bet.packed import TableFile
    from bet.recommend import FileRecommender

__version__ = "0.1.0"


def load(
    path: Path | str, *, check: bool = True, n_items: int | None = None
) -> FileRecommender | TableFile:
    """Open a file: a recommender or vectors, whose ``recommend`` gives the best items, or a table
    of another kind, with ``rows``, ``users`` and ``items``.

    Needs numpy and safetensors only, and is faster with numba. check: read the file once and
    compare its checksum. n_items: of a hashed table without ``FILE.ids`` beside it. Raises BetError
    when it is no file that can be read. ``bet.packed.load`` opens any file for its parts.
    """
    # Only who loads a file waits for numpy.
    from bet.packed import TableFile
    from bet.packed import load as load_file
    from bet.recommend import FileRecommender, can_score

    file = load_file(path, check=check, n_items=n_items)
    if can_score(file):
        return FileRecommender(file)
    assert isinstance(file, TableFile)
    return file
