"""Backbones G. A new backbone is one file and one line in ``BACKBONES``."""

from bet.backbones.base import Backbone, Ranker
from bet.backbones.blended import BlendedRecommender
from bet.backbones.gmf import GMF
from bet.backbones.graph import Graph, normalized_adjacency
from bet.backbones.ials import IALS
from bet.backbones.lightgcn import LightGCN
from bet.backbones.ncf import NCF
from bet.backbones.ngcf import NGCF
from bet.backbones.recommender import (
    Recommender,
    last_copies,
    new_recommender,
    rotate_recommender,
    truncate_recommender,
)
from bet.backbones.rotation import sparse_rotation
from bet.backbones.rule import RankingRule, rule_recommender

NO_BACKBONE = "none"  # of a reference, which ranks without a table
BACKBONES: dict[str, type[Backbone]] = {
    "ncf": NCF,
    "gmf": GMF,
    "ngcf": NGCF,
    "lightgcn": LightGCN,
    "ials": IALS,
}

__all__ = [
    "BACKBONES",
    "GMF",
    "IALS",
    "NCF",
    "NGCF",
    "NO_BACKBONE",
    "Backbone",
    "BlendedRecommender",
    "Graph",
    "LightGCN",
    "Ranker",
    "RankingRule",
    "Recommender",
    "last_copies",
    "new_recommender",
    "normalized_adjacency",
    "rotate_recommender",
    "rule_recommender",
    "sparse_rotation",
    "truncate_recommender",
]
