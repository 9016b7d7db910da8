"""Files for deployment: one container for every kind of table and for what serves by itself,
counted to the byte.

Reading needs numpy and safetensors only; what trains or writes quantized rows needs torch too and
is imported where it is used (``bet.packed.quantizer``).
"""

from bet.packed.byte_report import ByteReport, PackedBytes
from bet.packed.codebook import CodebookLayout
from bet.packed.hashed import HashedLayout
from bet.packed.ids import IdLayout, Ids, id_layout, ids_path, write_ids
from bet.packed.interactions import CodedInteractions, code_interactions
from bet.packed.item_lists import ItemLists
from bet.packed.layout import (
    BITS,
    Layout,
    float32_file_bytes,
    float32_layout,
    layout_of,
    most_row_bytes,
    row_bytes,
    vectors_layout,
)
from bet.packed.open_file import OpenFile
from bet.packed.pruned import pruned_file_bytes, write_pruned
from bet.packed.ragged import PackedFile
from bet.packed.reader import inspect, load
from bet.packed.recommender import Fact, RecommenderLayout, most_table_bytes, write_recommender
from bet.packed.recommender_file import RecommenderFile
from bet.packed.safetensors_io import metadata_for, shapes_of, write_safetensors
from bet.packed.table_file import TableFile
from bet.packed.writer import write_packed

__all__ = [
    "BITS",
    "ByteReport",
    "CodebookLayout",
    "CodedInteractions",
    "Fact",
    "HashedLayout",
    "IdLayout",
    "Ids",
    "ItemLists",
    "Layout",
    "OpenFile",
    "PackedBytes",
    "PackedFile",
    "RecommenderFile",
    "RecommenderLayout",
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
    "most_row_bytes",
    "most_table_bytes",
    "pruned_file_bytes",
    "row_bytes",
    "vectors_layout",
    "shapes_of",
    "write_ids",
    "write_packed",
    "write_pruned",
    "write_recommender",
    "write_safetensors",
]
