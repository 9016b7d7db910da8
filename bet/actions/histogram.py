"""Actions of tables too large to list: the histogram of sizes instead of a size per entity.

Sizes follow frequency rank, so an action is fully described by how many users and how many items
have each size. With many entities, counts differ from their expected values by about 1 / sqrt(n) of
them, so the expected values are used. That costs O(d_max), whatever n is.
"""

import numpy as np

from bet.actions.budget import Budget
from bet.actions.families import FAMILIES, Family
from bet.actions.sampler import split_budget
from bet.errors import BetError


def allocate_histogram(
    family: Family, beta: float, k: int, *, total: int, d_min: int, d_max: int
) -> np.ndarray:
    """How many of ``k`` entities have each size 0..d_max when sizes are proportional to ``family``
    values and sum to ``total``.

    The counterpart of ``allocate`` for the expected values: the largest scale s at which round(k
    P(s V >= d)) entities of every size d fit; the few columns that are left go to the rarest
    entities. Returns (d_max + 1,) int64 with sum k and exactly ``total`` columns; raises BetError
    when no such sizes exist.

    Uniform values (power law, beta = 1), ten columns over four entities:

    >>> counts = allocate_histogram(FAMILIES["power law"], 1.0, 4, total=10, d_min=1, d_max=4)
    >>> counts, int(counts @ np.arange(5))
    (array([0, 1, 1, 1, 1]), 10)
    """
    if not k * d_min <= total <= k * d_max:
        raise BetError(
            f"{total} columns cannot be spread over {k} entities with sizes in [{d_min}, {d_max}]"
        )
    steps = np.arange(d_min + 1, d_max + 1)

    def reached(scale: float) -> np.ndarray:
        """Entities of at least each size of ``steps``, non-increasing."""
        return np.rint(k * family.survival(steps / scale, beta)).astype(np.int64)

    spare = total - k * d_min  # columns beyond d_min each
    low, high = 1e-12, 1e300
    while high - low > 1e-15 * high:
        middle = np.sqrt(low) * np.sqrt(high)
        if not low < middle < high:
            break
        low, high = (middle, high) if reached(middle).sum() <= spare else (low, middle)
    at_least = reached(low)  # (d_max - d_min,)
    # What is left goes to the rarest entities, size after size.
    left, room = spare - at_least.sum(), np.cumsum(k - at_least)
    whole = int(np.searchsorted(room, left, side="right"))
    if whole < len(steps):
        at_least[whole] += left - (room[whole - 1] if whole else 0)
    at_least[:whole] = k
    return -np.diff(np.concatenate([np.full(d_min + 1, k), at_least, [0]]))


def sample_histogram(budget: Budget, n_users: int, rng: np.random.Generator) -> np.ndarray:
    """One draw of the sampler as (2, d_max + 1) int64 counts of users and items by size, for any
    number of entities.

    Families, parameters and the users' share are drawn as by ``sample_action``; exactly
    ``budget.target`` columns are used. Milliseconds for a billion entities. Raises BetError when
    ``n_users`` leaves no room for both sides.

    >>> counts = sample_histogram(Budget(10, 4, 4), n_users=2, rng=np.random.default_rng(0))
    >>> counts.sum(axis=1).tolist(), int((counts @ np.arange(5)).sum())  # entities, columns
    ([2, 2], 10)
    """
    if not 0 < n_users < budget.n:
        raise BetError(
            f"n_users must lie between 0 and the {budget.n} entities of the budget, got {n_users}"
        )
    drawn = []
    for _ in range(2):
        family = FAMILIES[str(rng.choice(list(FAMILIES)))]
        drawn.append((family, rng.uniform(0.0, family.beta_max)))
    totals = split_budget(budget, n_users, rng.uniform())
    counts = (n_users, budget.n - n_users)
    return np.stack(
        [
            allocate_histogram(family, beta, k, total=total, d_min=budget.d_min, d_max=budget.d_max)
            for (family, beta), k, total in zip(drawn, counts, totals, strict=True)
        ]
    )
