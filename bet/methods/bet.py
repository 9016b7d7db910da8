"""BET and its two ablations of the fitness predictor (BET, Table 2)."""

from bet.predictor import DeepSets, SizesOnly
from bet.search import Outcome, PredictorSelector, Problem, RandomSelector, search_and_retrain


def bet(problem: Problem) -> Outcome:
    """Algorithm 1 with the DeepSets predictor."""
    return search_and_retrain(problem, PredictorSelector(problem, DeepSets))


def bet_simple(problem: Problem) -> Outcome:
    """Algorithm 1 with a predictor that sees sizes only."""
    return search_and_retrain(problem, PredictorSelector(problem, SizesOnly))


def bet_random(problem: Problem) -> Outcome:
    """The sampler without a predictor: T random actions."""
    return search_and_retrain(problem, RandomSelector(problem))
