"""SU and SR: sizes fixed before training, single runs without a search. Both made exact."""

import numpy as np

from bet.actions import Action
from bet.search import Outcome, Problem, train_from_scratch
from bet.seeds import numpy_generator


def su(problem: Problem) -> Outcome:
    """Single and uniform: floor(B / n) columns each; what the floor leaves goes one column each to the most frequent."""
    return train_once(problem, uniform_sizes(problem).sizes)


def sr(problem: Problem) -> Outcome:
    """Single and random: sizes uniform on 1..E, unrelated to frequency, repaired at random to exactly B."""
    return train_once(problem, random_sizes(problem))


def uniform_sizes(problem: Problem) -> Action:
    """The uniform action, the remainder one step each by frequency rank over both sides."""
    order, budget = problem.order, problem.budget
    each, left = divmod(budget.target // budget.step, budget.n)
    frequency = np.concatenate([order.user_frequency, order.item_frequency])
    sizes = np.full(budget.n, each, dtype=np.int16)
    sizes[np.argsort(-frequency, kind="stable")[:left]] += 1
    return Action(sizes * np.int16(budget.step), order.n_users)


def random_sizes(problem: Problem) -> np.ndarray:
    """(n,) int16: uniform draws whose mean is the budget's, then single columns added or taken at random entities."""
    budget, rng = problem.budget, numpy_generator(problem.seed, "random sizes")
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


def train_once(problem: Problem, sizes: np.ndarray) -> Outcome:
    """Train a table of ``sizes`` (n,), nothing else."""
    trained = train_from_scratch(problem, sizes, "train")
    return Outcome(trained, seconds={"retrain": trained.result.seconds})
