"""The published sampler, for comparison with ``bet.actions.sampler``: it does not keep the budget.

Target sizes p_n / sum(p) * w * B (Eq. 6) are rounded down and zeros raised to one, on each side
separately. What happens to a size above d_max is left open by the paper, so there are two readings:

* ``formula_sizes``: the formula as it is printed, without a cap;
* ``published_sizes``: the published code, which draws families, parameters and values again, with
  the same users' share w, until no size exceeds d_max. That favors flat shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

from bet.actions.budget import Budget
from bet.data import FrequencyOrder
from bet.errors import BetError

_FAMILIES = (  # and beta_max (BET, section 4.3)
    ("powerlaw", 20.0),
    ("truncexpon", 5.0),
    ("truncnorm", 20.0),
    ("lognorm", 0.5),
)
_REDRAWS = 10_000  # the published code never gives up


def formula_sizes(order: FrequencyOrder, budget: Budget, rng: np.random.Generator) -> np.ndarray:
    """One draw of the printed formula: sizes (n,) int64 by frequency rank, users first; they may
    exceed d_max and the budget.

    Six columns for two users and two items of at most three each: a draw that breaks both limits,
    and a draw that leaves two columns.

    >>> order = FrequencyOrder(np.array([5, 1]), np.array([7, 3]))
    >>> for seed in (4, 1):
    ...     formula_sizes(order, Budget(total=6, n=4, d_max=3), np.random.default_rng(seed))
    array([4, 1, 1, 1])
    array([1, 1, 1, 1])
    """
    return _draw_sizes(order, budget, rng.uniform(), rng)


def published_sizes(order: FrequencyOrder, budget: Budget, rng: np.random.Generator) -> np.ndarray:
    """One draw of the published code: sizes (n,) int64 in [1, d_max] by frequency rank, users
    first; they may exceed the budget.

    Raises BetError where no draw stays within d_max, which the published code tries for ever.
    """
    user_share = rng.uniform()
    for _ in range(_REDRAWS):
        sizes = _draw_sizes(order, budget, user_share, rng)
        if sizes.max() <= budget.d_max:
            return sizes
    raise BetError(
        f"none of {_REDRAWS:,} draws of the published sampler has all sizes within d_max = "
        f"{budget.d_max}, with {user_share:.0%} of {budget.total:,} columns for the users; "
        "lower the budget"
    )


def _draw_sizes(
    order: FrequencyOrder, budget: Budget, user_share: float, rng: np.random.Generator
) -> np.ndarray:
    """Both sides' sizes (n,) for a given users' share."""
    sides = []
    for count, share in ((order.n_users, user_share), (order.n - order.n_users, 1 - user_share)):
        name, beta_max = _FAMILIES[rng.integers(len(_FAMILIES))]
        beta = rng.uniform(0, beta_max)
        shape = (0.0, beta) if name == "truncnorm" else (beta,)  # its other bound is zero
        family = getattr(scipy.stats, name)
        values = family.rvs(*shape, size=count, random_state=rng)  # p, (count,)
        targets = values / values.sum() * share * budget.total  # Eq. 6
        sizes = np.maximum(np.floor(targets), 1).astype(np.int64)
        sides.append(np.sort(sizes)[::-1])  # the largest to the most frequent
    return np.concatenate(sides)


@dataclass(frozen=True)
class BudgetUse:
    """How a number of actions use a budget.

    Three actions on a budget of ten columns: the third takes two too many, the first leaves one.

    >>> use = BudgetUse.of([9, 10, 12], Budget(total=10, n=5, d_max=4))
    >>> [round(value, 3) for value in (use.over, use.largest_excess, use.mean_unused)]
    [0.333, 0.2, 0.05]
    """

    actions: int
    over: float  # share of the actions that exceed the budget
    largest_excess: float  # relative to the budget; 0 where none exceeds it
    mean_unused: float  # by the actions that do not exceed it, relative to the budget

    @classmethod
    def of(cls, columns: Sequence[int], budget: Budget) -> "BudgetUse":
        """The use of ``budget`` by actions of so many ``columns`` each."""
        used = np.asarray(columns) / budget.total
        over = used > 1
        excess = max(0.0, float(used.max()) - 1)
        unused = float((1 - used[~over]).mean()) if not over.all() else 0.0
        return cls(len(used), float(over.mean()), excess, unused)
