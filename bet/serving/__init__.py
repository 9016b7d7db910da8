"""From a model to the file that answers by itself, and how long that file is."""

from bet.serving.layouts import (
    Form,
    ServedFile,
    coded_by_frequency,
    coded_in_order,
    row_order,
    served_file,
    table_room,
)
from bet.serving.write import write_served

__all__ = [
    "Form",
    "ServedFile",
    "coded_by_frequency",
    "coded_in_order",
    "row_order",
    "served_file",
    "table_room",
    "write_served",
]
