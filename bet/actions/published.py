"""The published sampler: target sizes rounded down, zeros raised to one."""

import numpy as np
from scipy import stats

from bet.actions.budget import Budget
from bet.data import FrequencyOrder


def floor_and_raise(order: FrequencyOrder, budget: Budget, rng: np.random.Generator) -> int:
    """Columns that one action of the published formula uses: floor of every target size, zeros
    raised to one.
    """
    families = (
        (stats.powerlaw, 20.0),
        (stats.truncexpon, 5.0),
        (stats.truncnorm, 20.0),
        (stats.lognorm, 0.5),
    )
    share, used = rng.uniform(), 0
    for count, part in ((order.n_users, share), (order.n - order.n_users, 1 - share)):
        family, largest = families[rng.integers(4)]
        beta = rng.uniform(0, largest)
        values = family.rvs(
            *((0.0, beta) if family is stats.truncnorm else (beta,)), size=count, random_state=rng
        )
        used += int(np.maximum(np.floor(values / values.sum() * part * budget.total), 1).sum())
    return used
