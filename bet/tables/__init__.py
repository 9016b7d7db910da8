"""Embedding tables: what a backbone reads, with exact sizes and files."""

from bet.tables.base import LearnedTable, Table, TableSpec, take_rows
from bet.tables.codebook import CodebookSpec, CodebookTable
from bet.tables.empty import EmptyTable
from bet.tables.hashed import HashedSpec, HashedTable
from bet.tables.masked import MaskedTable
from bet.tables.pruned import PrunedTable
from bet.tables.quantized import PackedSpec, QuantizedTable, RankedSpec
from bet.tables.vectors import RankedVectorSpec, VectorSpec, VectorTable

__all__ = [
    "CodebookSpec",
    "CodebookTable",
    "EmptyTable",
    "HashedSpec",
    "HashedTable",
    "LearnedTable",
    "MaskedTable",
    "PackedSpec",
    "PrunedTable",
    "QuantizedTable",
    "RankedSpec",
    "RankedVectorSpec",
    "Table",
    "TableSpec",
    "VectorSpec",
    "VectorTable",
    "take_rows",
]
