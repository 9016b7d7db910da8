"""The budget-guaranteed action sampler H (BET, section 3.2), made exact.

The published formula floors target sizes and raises zeros to one, which breaks the budget in some
draws and wastes it in most. Here every action uses min(B, n * d_max) columns, no more and no less.
"""

import math

import numpy as np

from bet.actions.action import Action
from bet.actions.budget import Budget
from bet.actions.families import FAMILIES
from bet.data import FrequencyOrder
from bet.errors import BetError


def allocate(values: np.ndarray, total: int, d_min: int, d_max: int) -> np.ndarray:
    """Integer sizes proportional to ``values`` that sum to exactly ``total``.

    ``values`` (k,) non-negative, non-increasing. Returns (k,) int64, non-increasing, in [d_min,
    d_max]. First sizes = clip(floor(s * values), d_min, d_max) with the largest s that fits. Then
    the columns left go one each to the largest remainders, ties to the more frequent. Raises
    BetError when no such sizes exist.

    Ten columns over four entities of at most four each: scaled by a little less than 2 the values
    are nearly 10, 4, 2 and 2, their floors within the bounds 4, 3, 1 and 1. At 2 they would be 4,
    4, 2 and 2, too many; so the tenth column goes to the largest remainder, the first of the twos.

    >>> allocate(np.array([5.0, 2.0, 1.0, 1.0]), total=10, d_min=1, d_max=4)
    array([4, 3, 2, 1])
    """
    k = len(values)
    if not k * d_min <= total <= k * d_max:
        raise BetError(
            f"{total} columns cannot be spread over {k} entities with sizes in [{d_min}, {d_max}]"
        )
    ascending = np.ascontiguousarray(values[::-1], dtype=np.float64)  # (k,)
    largest = ascending[-1]
    # A family may underflow to zeros, or overflow: then all entities are alike.
    if not largest > 0 or not np.isfinite(largest):
        ascending, largest = np.ones(k), 1.0
    ascending = ascending / largest
    steps = np.arange(d_min + 1, d_max + 1)  # (d_max - d_min,)

    def below(scale: float) -> np.ndarray:
        """How many entities do not reach each size of ``steps``; floor(s * v) >= d exactly when
        v >= d / s.
        """
        return ascending.searchsorted(steps / scale)

    # Bisection for s, from below one column for the largest value up to where every positive value
    # has reached d_max.
    smallest = ascending[np.searchsorted(ascending, 0.0, side="right")]
    low, high = 0.5, 2.0 * d_max / max(smallest, 1e-280)
    short = k * d_max - total  # columns that are not there for everybody to have d_max
    if below(high).sum() >= short:
        low = high
    while high - low > 1e-12 * high:
        middle = math.sqrt(low) * math.sqrt(high)
        low, high = (middle, high) if below(middle).sum() >= short else (low, middle)
    # An entity has a column beyond d_min for every size that more entities reach than its rank.
    sizes = d_min + np.searchsorted(below(low) - k, -np.arange(k), side="left")
    remainder = np.minimum(low * ascending[::-1], d_max) - sizes
    # A second round only where fewer rows have room than columns are left.
    while left := int(total - sizes.sum()):
        open_ranks = np.flatnonzero(sizes < d_max)
        chosen = open_ranks[np.argsort(-remainder[open_ranks], kind="stable")[:left]]
        sizes[chosen] += 1
        remainder[chosen] -= 1
    return sizes


def split_budget(budget: Budget, n_users: int, user_share: float) -> tuple[int, int]:
    """Columns for users and for items; ``user_share`` in [0, 1] is clipped to what both sides can
    hold.

    Two users and three items share ten columns, at most four each: users hold at most eight.

    >>> budget = Budget(total=10, n=5, d_max=4)
    >>> split_budget(budget, n_users=2, user_share=0.4), split_budget(budget, 2, 0.9)
    ((4, 6), (7, 3))
    """
    n_items, total, step = budget.n - n_users, budget.target, budget.step
    low = max(n_users * budget.d_min, total - n_items * budget.d_max)
    high = min(n_users * budget.d_max, total - n_items * budget.d_min)
    users = min(max(round(user_share * total / step) * step, low), high)
    return users, total - users


def ranked_action(
    order: FrequencyOrder,
    budget: Budget,
    user_values: np.ndarray,
    item_values: np.ndarray,
    user_share: float,
    **origin: float | str,
) -> Action:
    """The exact action whose sizes follow ``user_values`` (|U|,) and ``item_values`` (|V|,), both
    non-increasing, by rank.

    The most frequent user is the second, the most frequent item the first:

    >>> order = FrequencyOrder(np.array([1, 5]), np.array([7, 3]))
    >>> values = np.array([2.0, 1.0])
    >>> ranked_action(order, Budget(6, 4, 4), values, values, user_share=0.5).sizes
    array([1, 2, 2, 1], dtype=int16)
    """
    for_users, for_items = split_budget(budget, order.n_users, user_share)
    step = budget.step
    low, high = budget.d_min // step, budget.d_max // step
    users = step * allocate(user_values, for_users // step, low, high)
    items = step * allocate(item_values, for_items // step, low, high)
    action = Action.from_ranked(
        order, users, items, user_share=for_users / max(budget.target, 1), **origin
    )
    action.allocation.check(budget)
    return action


def sample_action(order: FrequencyOrder, budget: Budget, rng: np.random.Generator) -> Action:
    """Draw a family and its parameter for each side and the users' share; sizes are monotone in
    frequency rank (BET, section 3.2).

    >>> order = FrequencyOrder(np.array([1, 5, 2]), np.array([7, 3]))
    >>> action = sample_action(order, Budget(12, 5, 4), np.random.default_rng(0))
    >>> int(action.sizes.sum()), len(action.sizes)
    (12, 5)
    """
    values: dict[str, np.ndarray] = {}
    origin: dict[str, float | str] = {}
    for side, k in (("user", order.n_users), ("item", order.n - order.n_users)):
        name = str(rng.choice(list(FAMILIES)))
        beta = rng.uniform(0.0, FAMILIES[name].beta_max)
        values[side] = FAMILIES[name].quantile(_sorted_uniforms(k, rng), beta)[::-1]
        origin |= {f"{side}_family": name, f"{side}_beta": beta}
    return ranked_action(order, budget, values["user"], values["item"], rng.uniform(), **origin)


def sample_actions(
    order: FrequencyOrder, budget: Budget, m: int, rng: np.random.Generator
) -> list[Action]:
    """``m`` independent actions, each as by ``sample_action``.

    >>> order = FrequencyOrder(np.array([1, 5, 2]), np.array([7, 3]))
    >>> actions = sample_actions(order, Budget(12, 5, 4), m=2, rng=np.random.default_rng(0))
    >>> [int(action.sizes.sum()) for action in actions]
    [12, 12]
    """
    return [sample_action(order, budget, rng) for _ in range(m)]


def _sorted_uniforms(k: int, rng: np.random.Generator) -> np.ndarray:
    """Order statistics of k uniforms, increasing, from exponential spacings: O(k), no sorting."""
    sums = np.cumsum(rng.standard_exponential(k + 1))
    # Kept inside the open interval, where all quantile functions are finite.
    return np.clip(sums[:-1] / sums[-1], 1e-15, 1 - 1e-15)
