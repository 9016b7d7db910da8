"""Training, by BPR or by least squares, and full-ranking evaluation, the same for every method."""

from bet.training.als import train_als
from bet.training.checkpoint import load_state, save_state
from bet.training.loop import CurvePoint, TrainResult
from bet.training.ranking import CUTOFFS, RankingMetrics, evaluate, top_k
from bet.training.sampling import BprSampler
from bet.training.settings import (
    AlsSettings,
    FitSettings,
    ReferenceSettings,
    TrainSettings,
    numbers_of,
)
from bet.training.trainer import bpr_loss, train

__all__ = [
    "CUTOFFS",
    "AlsSettings",
    "BprSampler",
    "CurvePoint",
    "FitSettings",
    "RankingMetrics",
    "ReferenceSettings",
    "TrainResult",
    "TrainSettings",
    "bpr_loss",
    "evaluate",
    "load_state",
    "numbers_of",
    "save_state",
    "top_k",
    "train",
    "train_als",
]
