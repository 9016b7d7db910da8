"""Backbones G. A new backbone is one file and one line in ``BACKBONES``."""

from bet.backbones.base import Backbone, Ranker
from bet.backbones.graph import Graph, normalized_adjacency
from bet.backbones.ials import IALS
from bet.backbones.lightgcn import LightGCN
from bet.backbones.ncf import NCF
from bet.backbones.ngcf import NGCF
from bet.backbones.recommender import Recommender, new_recommender, truncate_recommender

BACKBONES: dict[str, type[Backbone]] = {
    "ncf": NCF,
    "ngcf": NGCF,
    "lightgcn": LightGCN,
    "ials": IALS,
}

__all__ = [
    "BACKBONES",
    "IALS",
    "NCF",
    "NGCF",
    "Backbone",
    "Graph",
    "LightGCN",
    "Ranker",
    "Recommender",
    "new_recommender",
    "normalized_adjacency",
    "truncate_recommender",
]
