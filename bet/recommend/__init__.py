"""Recommendations from a file alone; needs numpy and safetensors, and is faster with numba."""

from bet.recommend.choose import can_score
from bet.recommend.model import (
    FileRecommender,
    RankedItems,
    RankedUsers,
    Recommendations,
    open_model,
)
from bet.recommend.ranking import RankedRows

__all__ = [
    "FileRecommender",
    "RankedItems",
    "RankedRows",
    "RankedUsers",
    "Recommendations",
    "can_score",
    "open_model",
]
