"""Vectors that somebody has already, under a byte budget, without training and out of core."""

from bet.pack.build import Options, Packed, pack_vectors
from bet.pack.costs import Costs, costs_text
from bet.pack.sources import Columns, Vectors, open_vectors

__all__ = [
    "Columns",
    "Costs",
    "Options",
    "Packed",
    "Vectors",
    "costs_text",
    "open_vectors",
    "pack_vectors",
]
