"""Algorithm 1: fitness by fine-tuning, selection of actions, selective retraining."""

from bet.search.context import (
    SearchContext,
    SearchSettings,
    Trained,
    allow_empty_rows,
    check_bytes,
    initialize_recommender,
    train_from_scratch,
)
from bet.search.fitness import (
    Score,
    evaluate_finetuned,
    evaluate_truncated,
    full_sizes,
    load_or_pretrain,
    truncate,
    without_budget,
)
from bet.search.loop import MethodResult, search, search_and_retrain, top_actions
from bet.search.selectors import (
    Choice,
    Evaluated,
    PredictorSelector,
    RandomSelector,
    Selector,
    StatelessSelector,
)
from bet.search.trials import Trial, best_trial, cached, initialize_learner, train_whole_schedule

__all__ = [
    "Choice",
    "Evaluated",
    "MethodResult",
    "PredictorSelector",
    "RandomSelector",
    "Score",
    "SearchContext",
    "SearchSettings",
    "Selector",
    "StatelessSelector",
    "Trained",
    "Trial",
    "allow_empty_rows",
    "best_trial",
    "cached",
    "check_bytes",
    "evaluate_finetuned",
    "evaluate_truncated",
    "full_sizes",
    "initialize_learner",
    "initialize_recommender",
    "load_or_pretrain",
    "search",
    "search_and_retrain",
    "top_actions",
    "train_from_scratch",
    "train_whole_schedule",
    "truncate",
    "without_budget",
]
