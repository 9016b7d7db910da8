"""Budgeted embedding tables for recommender systems: a reproducible study (BET, WSDM 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bet.packed import RecommenderFile, TableFile

__version__ = "0.1.0"


def load(
    path: Path | str, *, check: bool = True, n_items: int | None = None
) -> TableFile | RecommenderFile:
    """Open a table file of any kind, with ``rows``, ``users``, ``items`` and ``byte_report``, or a
    recommender, which has a ``table``.

    Needs numpy and safetensors only. check: read the file once and compare its checksum. n_items:
    of a hashed table without ``FILE.ids`` beside it. Raises BetError when it is no table file that
    can be read.
    """
    # Only who loads a file waits for numpy.
    from bet.packed import load as load_file

    return load_file(path, check=check, n_items=n_items)
