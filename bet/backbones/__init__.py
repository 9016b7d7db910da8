"""Backbones G and the tables they read. A new backbone is one file and one line in ``BACKBONES``."""

from bet.backbones.base import Backbone, Ranker
from bet.backbones.coded import CodedForm, CodedTable, Coding
from bet.backbones.element import ElementTable
from bet.backbones.graph import Graph, normalised_adjacency, take_rows
from bet.backbones.hashed import HashedTable, Hashing
from bet.backbones.lightgcn import LightGCN
from bet.backbones.ncf import NCF
from bet.backbones.ngcf import NGCF
from bet.backbones.quantised import Packing, QuantisedTable
from bet.backbones.recommender import Recommender, masked_recommender, new_recommender
from bet.backbones.table import LearnedTable, MaskedTable, Table, masked_table_bytes

BACKBONES: dict[str, type[Backbone]] = {"ncf": NCF, "ngcf": NGCF, "lightgcn": LightGCN}

__all__ = [
    "BACKBONES",
    "Backbone",
    "CodedForm",
    "CodedTable",
    "Coding",
    "ElementTable",
    "Graph",
    "HashedTable",
    "Hashing",
    "LearnedTable",
    "MaskedTable",
    "Packing",
    "QuantisedTable",
    "Ranker",
    "Recommender",
    "Table",
    "masked_recommender",
    "masked_table_bytes",
    "new_recommender",
    "normalised_adjacency",
    "take_rows",
]
