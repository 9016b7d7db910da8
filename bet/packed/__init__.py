"""Tables for deployment: a safetensors file of ragged rows at 1 to 32 bits, counted to the byte."""

from bet.packed.file import PackedTable, write_packed
from bet.packed.layout import BITS, STEP_BYTES, ByteReport, Layout, layout_of, most_row_bytes, row_bytes
from bet.packed.quantiser import rounded

__all__ = [
    "BITS",
    "STEP_BYTES",
    "ByteReport",
    "Layout",
    "PackedTable",
    "layout_of",
    "most_row_bytes",
    "rounded",
    "row_bytes",
    "write_packed",
]
