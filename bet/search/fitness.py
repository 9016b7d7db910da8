"""The fitness of an action: quality after fine-tuning the full model with its mask, over the full
model's quality (Eq. 12).
"""

from collections.abc import Callable

from bet.actions import Allocation
from bet.backbones import Recommender, truncate_recommender
from bet.search.context import SearchContext
from bet.search.refit import Trained, check_bytes, train_from_scratch
from bet.search.training import train_model
from bet.training import AlsSettings, RankingMetrics

Score = Callable[[SearchContext, Trained, Allocation], RankingMetrics]
"""Validation metrics of an action, measured on the full model truncated to it or by itself."""


def truncate(context: SearchContext, full: Trained, allocation: Allocation) -> Recommender:
    """The full model with the prefixes of its rows that ``allocation`` keeps; raises BetError above
    the budget.

    In the context of ``SearchContext``'s example, the first column of two users and three items:

    >>> whole = initialize_recommender(context.without_budget(), context.full_allocation)
    >>> full = Trained(whole, TrainResult(epoch=0, quality=0.0, seconds=0.0))
    >>> truncated = truncate(context, full, Allocation.uniform(5, 1))
    >>> bool((truncated.table()[:, 0] == whole.table()[:, 0]).all()), truncated.table().shape
    (True, torch.Size([5, 1]))
    """
    allocation.check(context.budget)
    model = truncate_recommender(full.model, allocation, context.make_table)
    check_bytes(context, model.table)
    return model


def evaluate_truncated(
    context: SearchContext, full: Trained, allocation: Allocation
) -> RankingMetrics:
    """Rank on validation with the full model, truncated to ``allocation``, as it is."""
    return context.rank(truncate(context, full, allocation))


def evaluate_finetuned(
    context: SearchContext, full: Trained, allocation: Allocation
) -> RankingMetrics:
    """Fine-tune the full model, truncated to ``allocation``, and rank on validation: the numerator
    of Eq. 12.
    """
    model = truncate(context, full, allocation)
    settings = context.settings
    epochs = settings.search.finetune_epochs
    train_model(context, model, settings.finetuning, epochs=epochs)
    return context.rank(model)


def evaluate_trained(
    context: SearchContext, full: Trained, allocation: Allocation
) -> RankingMetrics:
    """Train a table of ``allocation`` to convergence and rank on validation: what
    fitness is where a training takes seconds. It stays in the workspace for the retraining.
    """
    trained = train_from_scratch(context, allocation, retraining_name(allocation))
    return context.rank(trained.model) if trained.ranked is None else trained.ranked


def retraining_name(allocation: Allocation) -> str:
    """Of the files of an action's table trained to the end."""
    return f"retrain-{allocation.digest[:16]}"


def usual_score(context: SearchContext) -> Score:
    """How searches measure actions: least squares train each to the end, gradients fine-tune."""
    by_squares = isinstance(context.settings.training, AlsSettings)
    return evaluate_trained if by_squares else evaluate_finetuned
