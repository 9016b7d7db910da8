"""An action: one embedding size for every entity, perhaps a precision, too, and the frequency order it follows."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class FrequencyRuns:
    """Of each side the distinct training frequencies, largest first, and how many entities have each: values, counts, both (runs,).

    All that a predictor needs of the data, and small for any number of entities.
    """

    users: tuple[np.ndarray, np.ndarray]
    items: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class FrequencyOrder:
    """Training frequency of both sides, and the ids of each side from most to least frequent (ties by id)."""

    user_frequency: np.ndarray  # (|U|,) int64
    item_frequency: np.ndarray  # (|V|,) int64
    users: np.ndarray = field(init=False)  # (|U|,) user ids by rank
    items: np.ndarray = field(init=False)  # (|V|,) item ids by rank

    def __post_init__(self):
        object.__setattr__(self, "users", np.argsort(-self.user_frequency, kind="stable"))
        object.__setattr__(self, "items", np.argsort(-self.item_frequency, kind="stable"))

    @property
    def entities(self) -> np.ndarray:
        """Entity ids by rank, users first: (n,)."""
        return np.concatenate([self.users, self.n_users + self.items])

    @property
    def runs(self) -> FrequencyRuns:
        """Distinct frequencies and their counts."""
        sides = (np.unique(side, return_counts=True) for side in (self.user_frequency, self.item_frequency))
        return FrequencyRuns(*((values[::-1], counts[::-1]) for values, counts in sides))

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n(self) -> int:
        return len(self.users) + len(self.items)


@dataclass(frozen=True)
class Action:
    """``sizes`` (n,) int16 by entity id, users first; ``origin`` says how they were drawn (plain values).

    ``bits`` (n,) int16 per number of every entity, where the action chooses them.
    """

    sizes: np.ndarray
    n_users: int
    origin: dict[str, float | str] = field(default_factory=dict)
    bits: np.ndarray | None = None

    @classmethod
    def from_ranked(cls, order: FrequencyOrder, users: np.ndarray, items: np.ndarray, **origin) -> "Action":
        """Hand out sizes listed by frequency rank, ``users`` (|U|,) and ``items`` (|V|,), to the entities they belong to."""
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
        """Users and items of every size: (2, d_max + 1) int64. Under a frequency order they determine the action."""
        return np.stack([np.bincount(side, minlength=d_max + 1) for side in (self.user_sizes, self.item_sizes)])
