"""BET and its two ablations of the fitness predictor (BET, Table 2)."""

from bet.predictor import DeepSets, SizesOnly
from bet.search import (
    MethodResult,
    PredictorSelector,
    RandomSelector,
    SearchContext,
    search_and_retrain,
)


def bet(context: SearchContext) -> MethodResult:
    """Algorithm 1 with the DeepSets predictor (BET, Eq. 7 to 10)."""
    return search_and_retrain(context, PredictorSelector(context, DeepSets))


def bet_simple(context: SearchContext) -> MethodResult:
    """Algorithm 1 with a predictor that sees sizes only (BET, Table 2)."""
    return search_and_retrain(context, PredictorSelector(context, SizesOnly))


def bet_random(context: SearchContext) -> MethodResult:
    """The sampler without a predictor: T random actions (BET, Table 2)."""
    return search_and_retrain(context, RandomSelector(context))
