"""Algorithm 1: fitness by fine-tuning, selection of actions, selective retraining."""

from bet.search.fitness import finetuned_quality, pretrained, unbudgeted
from bet.search.loop import Outcome, search, search_and_retrain, top_actions
from bet.search.problem import Problem, SearchSettings, Trained, fresh_recommender, train_from_scratch
from bet.search.selectors import Choice, Evaluated, PredictorSelector, RandomSelector, Selector, StatelessSelector

__all__ = [
    "Choice",
    "Evaluated",
    "Outcome",
    "PredictorSelector",
    "Problem",
    "RandomSelector",
    "SearchSettings",
    "Selector",
    "StatelessSelector",
    "Trained",
    "finetuned_quality",
    "fresh_recommender",
    "pretrained",
    "search",
    "search_and_retrain",
    "top_actions",
    "train_from_scratch",
    "unbudgeted",
]
