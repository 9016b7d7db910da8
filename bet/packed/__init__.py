"""Tables for deployment: one container for every kind of table, counted to the byte.

Reading needs numpy and safetensors only; what trains or writes quantized rows needs torch too and
is imported where it is used (``bet.packed.quantizer``).
"""

from bet.packed.byte_report import (
    ByteReport,
    CodebookBytes,
    HashedBytes,
    PackedBytes,
    PrunedBytes,
)
from bet.packed.codebook import CodebookFile, CodebookLayout
from bet.packed.hashed import HashedFile, HashedLayout
from bet.packed.ids import IdLayout, Ids, id_layout, ids_path, write_ids
from bet.packed.interactions import CodedInteractions, InteractionLayout, code_interactions
from bet.packed.item_lists import ItemLists
from bet.packed.layout import (
    BITS,
    Layout,
    float32_file_bytes,
    float32_layout,
    layout_of,
    most_float32_parameters,
    most_row_bytes,
    row_bytes,
)
from bet.packed.pruned import PrunedFile, PrunedLayout, pruned_file_bytes, write_pruned
from bet.packed.ragged import PackedFile
from bet.packed.reader import inspect, load
from bet.packed.safetensors_io import VERSION, metadata_for, write_safetensors
from bet.packed.table_file import TableFile
from bet.packed.writer import write_packed

__all__ = [
    "BITS",
    "VERSION",
    "ByteReport",
    "CodebookBytes",
    "CodebookFile",
    "CodebookLayout",
    "CodedInteractions",
    "HashedBytes",
    "HashedFile",
    "HashedLayout",
    "IdLayout",
    "Ids",
    "InteractionLayout",
    "ItemLists",
    "Layout",
    "PackedBytes",
    "PackedFile",
    "PrunedBytes",
    "PrunedFile",
    "PrunedLayout",
    "TableFile",
    "code_interactions",
    "float32_file_bytes",
    "float32_layout",
    "id_layout",
    "ids_path",
    "inspect",
    "layout_of",
    "load",
    "metadata_for",
    "most_float32_parameters",
    "most_row_bytes",
    "pruned_file_bytes",
    "row_bytes",
    "write_ids",
    "write_packed",
    "write_pruned",
    "write_safetensors",
]
