"""An action: one embedding size for every entity, perhaps a precision, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bet.actions.allocation import Allocation
from bet.data.frequency import FrequencyOrder


@dataclass(frozen=True, eq=False)
class Action:
    """``allocation``: sizes and perhaps bits by entity id, users first; ``origin``: how they were
    drawn, for the record.
    """

    allocation: Allocation
    n_users: int
    origin: Mapping[str, float | str] = field(default_factory=dict)

    @classmethod
    def from_ranked(
        cls, order: FrequencyOrder, users: np.ndarray, items: np.ndarray, **origin: float | str
    ) -> "Action":
        """Hand out sizes listed by frequency rank, ``users`` (|U|,) and ``items`` (|V|,), to the
        entities they belong to.
        """
        sizes = np.empty(order.n, dtype=np.int16)
        sizes[order.users] = users
        sizes[order.n_users + order.items] = items
        return cls(Allocation.from_sizes(sizes), order.n_users, origin)

    @property
    def sizes(self) -> np.ndarray:
        """(n,) int16."""
        return self.allocation.columns

    @property
    def user_sizes(self) -> np.ndarray:
        """(|U|,) int16."""
        return self.sizes[: self.n_users]

    @property
    def item_sizes(self) -> np.ndarray:
        """(|V|,) int16."""
        return self.sizes[self.n_users :]

    def in_last_copy(self) -> "Action":
        """The same sizes for the last of an entity's tables alone."""
        return replace(self, allocation=replace(self.allocation, last_copy=True))

    def histograms(self, d_max: int) -> np.ndarray:
        """Users and items of every size: (2, d_max + 1) int64. Under a frequency order they
        determine the action.

        >>> allocation = Allocation.from_sizes(np.array([2, 1, 1, 3]))
        >>> Action(allocation, n_users=2).histograms(d_max=3)  # users of sizes 1 and 2, then items
        array([[0, 1, 1, 0],
               [0, 1, 0, 1]])
        """
        sides = (self.user_sizes, self.item_sizes)
        return np.stack([np.bincount(side, minlength=d_max + 1) for side in sides])
