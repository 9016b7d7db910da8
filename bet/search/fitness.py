"""The fitness of an action: quality after fine-tuning the full model with its mask, over the full model's quality (Eq. 12)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bet.actions import Budget
from bet.backbones import Recommender, masked_recommender
from bet.files import locked
from bet.search.problem import Problem, Trained, check_bytes, train_from_scratch
from bet.training import RankingMetrics, train

Score = Callable[[Problem, Trained, np.ndarray], RankingMetrics]
"""What validation users get where the model with the full table keeps what an action says (``Action.kept``)."""


def unbudgeted(problem: Problem) -> Problem:
    """The same problem with room for the full table, in full precision."""
    budget = problem.budget
    full = Budget(budget.n * budget.d_max, budget.n, budget.d_max, budget.d_min // budget.step, budget.copies)
    return replace(problem, budget=full, packing=None)


def full_sizes(problem: Problem) -> np.ndarray:
    """d_max columns for everybody: (n,) int16."""
    return np.full(problem.budget.n, problem.budget.d_max, dtype=np.int16)


def pretrained(problem: Problem) -> Trained:
    """The backbone with its full table, trained to convergence once per data set, settings and seed, and cached.

    Cells that start together wait for the first one to train it; a damaged or foreign cache file is rebuilt.
    """
    full = unbudgeted(problem)
    folder = problem.cache / "backbones"
    name = f"{problem.backbone}-{problem.key}"
    with locked(folder / name):
        return train_from_scratch(replace(full, work=folder), full_sizes(full), name)


def masked(problem: Problem, full: Trained, kept: np.ndarray) -> RankingMetrics:
    """What validation users get from the full model cut to ``kept``, as it is."""
    return problem.ranked(cut(problem, full, kept))


def finetuned(problem: Problem, full: Trained, kept: np.ndarray) -> RankingMetrics:
    """What validation users get after ``finetune_epochs`` from the full model cut to ``kept``, an action's, by entity id."""
    model = cut(problem, full, kept)
    train(model, problem.sampler, problem.finetuning, problem.seed, epochs=problem.search.finetune_epochs)
    return problem.ranked(model)


def cut(problem: Problem, full: Trained, kept: np.ndarray) -> Recommender:
    """The full model with what ``kept`` keeps of its table; the budget is asserted."""
    problem.budget.check(kept)
    model = masked_recommender(full.model, kept, problem.sized_table)
    check_bytes(problem, model.table)
    return model
