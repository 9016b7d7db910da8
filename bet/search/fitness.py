"""The fitness of an action: quality after fine-tuning the full model with its mask, over the full
model's quality (Eq. 12).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bet.actions import Budget
from bet.backbones import Recommender, truncate_recommender
from bet.files import locked
from bet.search.context import SearchContext, Trained, check_bytes, train_from_scratch
from bet.training import RankingMetrics, train

Score = Callable[[SearchContext, Trained, np.ndarray], RankingMetrics]
"""What validation users get where the model with the full table keeps what an action says
(``Action.kept``).
"""


def without_budget(context: SearchContext) -> SearchContext:
    """The same context with room for the full table, in full precision."""
    budget = context.budget
    full = Budget(
        budget.n * budget.d_max, budget.n, budget.d_max, budget.d_min // budget.step, budget.copies
    )
    return replace(context, budget=full, packing=None)


def full_sizes(context: SearchContext) -> np.ndarray:
    """d_max columns for everybody: (n,) int16."""
    return np.full(context.budget.n, context.budget.d_max, dtype=np.int16)


def load_or_pretrain(context: SearchContext) -> Trained:
    """The backbone with its full table, trained to convergence once per data set, settings and
    seed, and cached.

    Cells that start together wait for the first one to train it; a damaged or foreign cache file is
    rebuilt.
    """
    full = without_budget(context)
    folder = context.cache / "backbones"
    name = f"{context.backbone}-{context.key}"
    with locked(folder / name):
        return train_from_scratch(replace(full, work=folder), full_sizes(full), name)


def evaluate_truncated(context: SearchContext, full: Trained, kept: np.ndarray) -> RankingMetrics:
    """What validation users get from the full model cut to ``kept``, as it is."""
    return context.ranked(truncate(context, full, kept))


def evaluate_finetuned(context: SearchContext, full: Trained, kept: np.ndarray) -> RankingMetrics:
    """What validation users get after ``finetune_epochs`` from the full model cut to ``kept``, an
    action's, by entity id.
    """
    model = truncate(context, full, kept)
    train(
        model,
        context.sampler,
        context.finetuning,
        context.seed,
        epochs=context.search.finetune_epochs,
    )
    return context.ranked(model)


def truncate(context: SearchContext, full: Trained, kept: np.ndarray) -> Recommender:
    """The full model with what ``kept`` keeps of its table; the budget is asserted."""
    context.budget.check(kept)
    model = truncate_recommender(full.model, kept, context.sized_table)
    check_bytes(context, model.table)
    return model
