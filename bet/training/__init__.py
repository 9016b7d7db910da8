"""BPR training and full-ranking evaluation, the same for every method."""

from bet.training.checkpoint import load_state, save_state
from bet.training.ranking import CUTOFFS, RankingMetrics, evaluate, top_k
from bet.training.sampling import BprSampler
from bet.training.settings import FitSettings, ReferenceSettings, TrainSettings
from bet.training.trainer import CurvePoint, TrainResult, bpr_loss, train

__all__ = [
    "CUTOFFS",
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
    "save_state",
    "top_k",
    "train",
]
