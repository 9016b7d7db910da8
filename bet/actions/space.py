"""Which actions a search draws from, and what a fitness predictor sees of them. A new type of
action is one file with a space.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from bet.actions.action import Action
from bet.actions.budget import Budget
from bet.actions.sampler import sample_actions
from bet.data import FrequencyOrder


class Space(Protocol):
    """What a search draws from. Entities with equal rows form a set; on each side every set is a
    block of consecutive frequency ranks.
    """

    @property
    def sets(self) -> np.ndarray:
        """Features of every set, such as d / d_max, shortest row first: (k, c) in [0, 1]."""
        ...

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        """``m`` independent actions that meet the budget."""
        ...

    def histograms(self, action: Action) -> np.ndarray:
        """Users and items without a row, then of every set: (2, k + 1) int64."""
        ...


def relative_sizes(d_max: int) -> np.ndarray:
    """d / d_max for the sizes d from 1 to d_max: (d_max, 1) float32.

    >>> relative_sizes(4).ravel()
    array([0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    return np.arange(1, d_max + 1, dtype=np.float32)[:, None] / np.float32(d_max)


@dataclass(frozen=True)
class SizeSpace:
    """The paper's actions: a size for every entity, one set for every size.

    >>> order = FrequencyOrder(np.array([5, 1]), np.array([7, 3]))
    >>> space = SizeSpace(order, Budget(total=6, n=4, d_max=2))
    >>> space.sets.tolist()
    [[0.5], [1.0]]
    >>> [int(action.sizes.sum()) for action in space.sample(3, np.random.default_rng(0))]
    [6, 6, 6]
    """

    order: FrequencyOrder
    budget: Budget

    @cached_property
    def sets(self) -> np.ndarray:
        return relative_sizes(self.budget.d_max)

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        return sample_actions(self.order, self.budget, m, rng)

    def histograms(self, action: Action) -> np.ndarray:
        return action.histograms(self.budget.d_max)
