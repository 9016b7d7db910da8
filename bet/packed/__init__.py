"""Tables for deployment: a safetensors file of ragged rows at 1 to 32 bits, counted to the byte."""

from bet.packed.bitstream import pack_stream, stream_bytes, unpack_stream
from bet.packed.file import IdForm, Ids, PackedTable, id_form, write_packed
from bet.packed.layout import (
    BITS,
    CHECKSUM,
    KEY,
    VERSION,
    ByteReport,
    Layout,
    check_checksum,
    header_bytes,
    layout_of,
    most_row_bytes,
    row_bytes,
    with_checksum,
)
from bet.packed.quantizer import rounded
from bet.packed.safetensors_io import metadata_for, read_safetensors, write_safetensors

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
    "check_checksum",
    "header_bytes",
    "id_form",
    "layout_of",
    "metadata_for",
    "most_row_bytes",
    "pack_stream",
    "read_safetensors",
    "rounded",
    "row_bytes",
    "stream_bytes",
    "unpack_stream",
    "with_checksum",
    "write_packed",
    "write_safetensors",
]
