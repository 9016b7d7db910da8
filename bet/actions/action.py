"""An action: one embedding size for every entity, perhaps a precision, too."""

from dataclasses import dataclass, field

import numpy as np

from bet.data.frequency import FrequencyOrder


@dataclass(frozen=True)
class Action:
    """``sizes`` (n,) int16 by entity id, users first; ``origin`` says how they were drawn (plain
    values).

    ``bits`` (n,) int16 per number of every entity, where the action chooses them.
    """

    sizes: np.ndarray
    n_users: int
    origin: dict[str, float | str] = field(default_factory=dict)
    bits: np.ndarray | None = None

    @classmethod
    def from_ranked(
        cls, order: FrequencyOrder, users: np.ndarray, items: np.ndarray, **origin
    ) -> "Action":
        """Hand out sizes listed by frequency rank, ``users`` (|U|,) and ``items`` (|V|,), to the
        entities they belong to.
        """
        sizes = np.empty(order.n, dtype=np.int16)
        sizes[order.users] = users
        sizes[order.n_users + order.items] = items
        return cls(sizes, order.n_users, origin)

    @property
    def kept(self) -> np.ndarray:
        """What a table is made from: sizes (n,), or sizes and bits (n, 2) int16."""
        return self.sizes if self.bits is None else np.stack([self.sizes, self.bits], 1)

    @property
    def user_sizes(self) -> np.ndarray:
        return self.sizes[: self.n_users]

    @property
    def item_sizes(self) -> np.ndarray:
        return self.sizes[self.n_users :]

    def histograms(self, d_max: int) -> np.ndarray:
        """Users and items of every size: (2, d_max + 1) int64. Under a frequency order they
        determine the action.
        """
        return np.stack(
            [np.bincount(side, minlength=d_max + 1) for side in (self.user_sizes, self.item_sizes)]
        )
