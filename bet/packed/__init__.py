"""Tables for deployment: a safetensors file of ragged rows at 1 to 32 bits, counted to the byte."""

from bet.packed.bitstream import pack_stream, stream_bytes, unpack_stream
from bet.packed.envelope import read_sealed, stated, write_sealed
from bet.packed.file import IdForm, Ids, PackedTable, id_form, write_packed
from bet.packed.layout import (
    BITS,
    CHECKSUM,
    KEY,
    VERSION,
    ByteReport,
    Layout,
    check_seal,
    header_bytes,
    layout_of,
    most_row_bytes,
    row_bytes,
    sealed,
)
from bet.packed.quantiser import rounded

__all__ = [
    "BITS",
    "CHECKSUM",
    "KEY",
    "VERSION",
    "ByteReport",
    "IdForm",
    "Ids",
    "Layout",
    "PackedTable",
    "check_seal",
    "header_bytes",
    "id_form",
    "layout_of",
    "most_row_bytes",
    "pack_stream",
    "read_sealed",
    "rounded",
    "row_bytes",
    "sealed",
    "stated",
    "stream_bytes",
    "unpack_stream",
    "write_packed",
    "write_sealed",
]
