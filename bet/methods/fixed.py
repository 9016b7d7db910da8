"""SU and SR (BET, section 4.1): sizes fixed before training, single runs without a search. Made
exact, and SU as the paper has it beside that.
"""

import numpy as np

from bet.actions import Action, Allocation
from bet.search import MethodResult, SearchContext, StageSeconds, train_from_scratch


def su(context: SearchContext) -> MethodResult:
    """Single and uniform: floor(B / n) columns each; what the floor leaves goes a column each to
    the most frequent.
    """
    return train_once(context, uniform_action(context).allocation)


def su_floor(context: SearchContext) -> MethodResult:
    """Single and uniform as published: floor(B / n) columns each, what the floor leaves is not
    used.
    """
    budget = context.budget
    return train_once(context, Allocation.uniform(budget.n, budget.target // budget.n))


def sr(context: SearchContext) -> MethodResult:
    """Single and random: sizes uniform on 1..E, unrelated to frequency, repaired at random to
    exactly B.
    """
    return train_once(context, Allocation.from_sizes(random_sizes(context)))


def uniform_action(context: SearchContext) -> Action:
    """The uniform action; the remainder goes a step each to the most frequent of both sides."""
    order, budget = context.data.order, context.budget
    each, left = divmod(budget.target // budget.step, budget.n)
    sizes = np.full(budget.n, each, dtype=np.int16)
    sizes[order.by_frequency[:left]] += 1
    return Action(Allocation.from_sizes(sizes * np.int16(budget.step)), order.n_users)


def random_sizes(context: SearchContext) -> np.ndarray:
    """(n,) int16: uniform draws whose mean is the budget's, then single columns added or taken at
    random entities.
    """
    budget, rng = context.budget, context.search_rng("random sizes")
    mean = budget.target / budget.n
    low, high = budget.d_min, budget.d_max
    if 2 * mean - low <= high:
        high = max(low, round(2 * mean - low))
    else:  # a mean above the middle: keep it by raising the lower end
        low = max(low, round(2 * mean - high))
    sizes = rng.integers(low, high, budget.n, endpoint=True).astype(np.int16)
    while missing := int(budget.target - sizes.sum(dtype=np.int64)):
        movable = np.flatnonzero(sizes < budget.d_max if missing > 0 else sizes > budget.d_min)
        chosen = rng.permutation(movable)[: abs(missing)]
        sizes[chosen] += np.sign(missing)
    return sizes


def train_once(context: SearchContext, allocation: Allocation) -> MethodResult:
    """Train a table that keeps ``allocation``, nothing else."""
    trained = train_from_scratch(context, allocation, "train")
    return MethodResult(trained, context, StageSeconds(retrain=trained.result.seconds))
