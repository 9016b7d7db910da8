"""Algorithm 1: fitness by fine-tuning, selection of actions, selective retraining."""

from bet.search.context import SearchContext, TrainingData, Workspace
from bet.search.fitness import (
    Score,
    evaluate_finetuned,
    evaluate_trained,
    evaluate_truncated,
    truncate,
    usual_score,
)
from bet.search.loop import search, search_and_retrain, top_actions
from bet.search.plus import Candidate, CandidateSpace, evaluate_shortly_trained, search_plus
from bet.search.refit import (
    Trained,
    check_bytes,
    check_table,
    initialize_recommender,
    load_or_pretrain,
    refit,
    train_from_scratch,
)
from bet.search.result import Effort, Evaluated, MethodResult, Refitted, StageSeconds
from bet.search.selectors import (
    Choice,
    PredictorSelector,
    RandomSelector,
    Selector,
    StatelessSelector,
)
from bet.search.settings import RunSettings, SearchSettings
from bet.search.start import scaled_factors
from bet.search.surrogate import Surrogate, expected_improvement, fit_surrogate
from bet.search.training import train_model
from bet.search.trials import (
    Trial,
    best_trial,
    cached,
    initialize_learner,
    train_whole_schedule,
    whole_schedule,
)

__all__ = [
    "Candidate",
    "CandidateSpace",
    "Choice",
    "Effort",
    "Evaluated",
    "MethodResult",
    "PredictorSelector",
    "RandomSelector",
    "Refitted",
    "RunSettings",
    "Score",
    "SearchContext",
    "SearchSettings",
    "Selector",
    "StageSeconds",
    "StatelessSelector",
    "Surrogate",
    "Trained",
    "TrainingData",
    "Trial",
    "Workspace",
    "best_trial",
    "cached",
    "check_bytes",
    "check_table",
    "evaluate_finetuned",
    "evaluate_shortly_trained",
    "evaluate_trained",
    "evaluate_truncated",
    "expected_improvement",
    "fit_surrogate",
    "initialize_learner",
    "initialize_recommender",
    "load_or_pretrain",
    "refit",
    "scaled_factors",
    "search",
    "search_and_retrain",
    "search_plus",
    "top_actions",
    "train_from_scratch",
    "train_model",
    "train_whole_schedule",
    "truncate",
    "usual_score",
    "whole_schedule",
]
