"""The same bytes at fewer bits per number: uniform tables, and BET's sizes, over quantised rows.

Both fill a packed file up to the limit in bytes, everything in it counted; where the budget is a sparsity the limit is that of the
float32 numbers it leaves, 4 bytes each. Trained with straight-through rounding; the full-precision backbone starts the search.
"""

from dataclasses import replace

import numpy as np

from bet.actions import Budget
from bet.backbones import Packing
from bet.errors import BetError
from bet.methods.fixed import train_once, uniform_sizes
from bet.packed import Layout, layout_of, most_row_bytes
from bet.predictor import DeepSets
from bet.search import Outcome, PredictorSelector, Problem, search_and_retrain


def uniform_packed(problem: Problem, bits: int) -> Outcome:
    """As many columns for everybody as the bytes allow, but no more than d_max; what is left goes to the most frequent."""
    own = packed_problem(problem, bits, uniform=True)
    outcome = train_once(own, uniform_sizes(own).sizes)
    outcome.problem = own
    return outcome


def bet_packed(problem: Problem, bits: int) -> Outcome:
    """Algorithm 1 over sizes of quantised rows; fine-tuning and retraining round as the file will."""
    own = packed_problem(problem, bits)
    outcome = search_and_retrain(own, PredictorSelector(own, DeepSets))
    outcome.problem = own
    return outcome


def packed_problem(problem: Problem, bits: int, uniform: bool = False) -> Problem:
    """The problem with the columns that fit into ``problem.byte_limit`` at ``bits`` per number.

    uniform: the file lists two neighbouring sizes only, which costs less. Raises BetError, with the smallest possible file, where
    not even one step of columns per entity fits.
    """
    budget, order, limit = problem.budget, problem.order, problem.byte_limit
    if limit is None:
        raise BetError("a quantised table needs a budget; give a sparsity, parameters or bytes")
    step, d_max, smallest = _smallest(problem, bits, uniform)
    fitting = most_row_bytes(smallest, limit) // (step * bits * budget.copies // 8)
    if fitting < budget.n:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file at {bits} bits, {smallest.byte_report().total:,} bytes "
            f"({step} columns per entity); raise the budget"
        )
    columns = Budget(min(fitting * step, budget.n * d_max), budget.n, d_max, step, budget.copies, step)
    listed = _listed(step, d_max)
    if uniform:
        top = min(columns.target // budget.n // step * step + step, d_max)
        listed = (top, top - step)
    ids = np.concatenate([order.users, order.n_users + order.items])
    return replace(problem, budget=columns, packing=Packing(bits, order.n_users, ids, listed))


def smallest_file(problem: Problem, bits: int, uniform: bool = False) -> int:
    """Bytes of the smallest file at ``bits`` per number."""
    return _smallest(problem, bits, uniform)[2].byte_report().total


def _listed(step: int, d_max: int) -> tuple[int, ...]:
    return tuple(range(d_max, 0, -step))


def _smallest(problem: Problem, bits: int, uniform: bool) -> tuple[int, int, Layout]:
    """Columns that fill whole bytes, the most columns that are a multiple of them, and the layout with as few as possible."""
    budget, n_users = problem.budget, problem.order.n_users
    step = max(1, 8 // (bits * budget.copies))
    d_max = budget.d_max // step * step
    if not d_max:
        raise BetError(f"{bits} bits per number need at least {step} columns, the full table has {budget.d_max}")
    sizes = (d_max, step) if uniform and d_max > step else (d_max, 0) if uniform else _listed(step, d_max)
    kinds = np.array([(size, bits) for size in sizes])
    return step, d_max, layout_of(np.full(budget.n, step), bits, n_users, budget.copies, by_rank=True, kinds=kinds)
