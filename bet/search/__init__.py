"""Algorithm 1: fitness by fine-tuning, selection of actions, selective retraining."""

from bet.search.fitness import Score, cut, finetuned, full_sizes, masked, pretrained, unbudgeted
from bet.search.loop import Outcome, search, search_and_retrain, top_actions
from bet.search.problem import Problem, SearchSettings, Trained, check_bytes, fresh_recommender, train_from_scratch, without_minimum
from bet.search.selectors import Choice, Evaluated, PredictorSelector, RandomSelector, Selector, StatelessSelector
from bet.search.trials import Trial, best_trial, learning_recommender, remembered, train_whole_schedule

__all__ = [
    "Choice",
    "Evaluated",
    "Outcome",
    "PredictorSelector",
    "Problem",
    "RandomSelector",
    "Score",
    "SearchSettings",
    "Selector",
    "StatelessSelector",
    "Trained",
    "Trial",
    "best_trial",
    "check_bytes",
    "cut",
    "finetuned",
    "fresh_recommender",
    "full_sizes",
    "learning_recommender",
    "masked",
    "pretrained",
    "remembered",
    "search",
    "search_and_retrain",
    "top_actions",
    "train_from_scratch",
    "train_whole_schedule",
    "unbudgeted",
    "without_minimum",
]
