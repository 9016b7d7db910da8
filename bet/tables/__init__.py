"""Embedding tables: what a backbone reads, with exact sizes and files."""

from bet.tables.base import LearnedTable, Table, TableSpec, take_rows
from bet.tables.codebook import CodebookLayout, CodebookSpec, CodebookTable
from bet.tables.hashed import HashedSpec, HashedTable
from bet.tables.masked import MaskedTable, masked_table_bytes
from bet.tables.pruned import PrunedTable
from bet.tables.quantized import PackedSpec, QuantizedTable

__all__ = [
    "CodebookLayout",
    "CodebookSpec",
    "CodebookTable",
    "HashedSpec",
    "HashedTable",
    "LearnedTable",
    "MaskedTable",
    "PackedSpec",
    "PrunedTable",
    "QuantizedTable",
    "Table",
    "TableSpec",
    "masked_table_bytes",
    "take_rows",
]
