"""Predicting an action's fitness without training anything."""

from bet.predictor.deepsets import (
    DeepSets,
    Predictor,
    PredictorTrainer,
    SizesOnly,
    stack_histograms,
)

__all__ = [
    "DeepSets",
    "Predictor",
    "PredictorTrainer",
    "SizesOnly",
    "stack_histograms",
]
