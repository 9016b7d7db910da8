"""Which actions a search draws from, and what a fitness predictor sees of them. A new form of
actions is one file with a space.
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
    """Actions whose rows fall, on each side, into consecutive runs of frequency ranks: the sets of
    entities treated alike.
    """

    @property
    def sets(self) -> np.ndarray:
        """What there is to see of every set besides its frequencies, from the shortest row to the
        longest: (k, c) in [0, 1].
        """
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
    """The paper's actions: a size for every entity, one set for every size."""

    order: FrequencyOrder
    budget: Budget

    @cached_property
    def sets(self) -> np.ndarray:
        return relative_sizes(self.budget.d_max)

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        return sample_actions(self.order, self.budget, m, rng)

    def histograms(self, action: Action) -> np.ndarray:
        return action.histograms(self.budget.d_max)
