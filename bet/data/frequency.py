"""How often every entity occurs in training, and the order that follows from it: computed here and
nowhere else.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array


@dataclass(frozen=True)
class FrequencyRuns:
    """The distinct training frequencies of each side, largest first, and how many entities have
    each: values, counts, both (runs,).

    Nothing else of the data is needed by a predictor; it is small for any number of entities.
    """

    users: tuple[np.ndarray, np.ndarray]
    items: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class FrequencyOrder:
    """Training frequency of both sides, and the ids of each side from most to least frequent (ties
    by id).

    >>> order = FrequencyOrder(np.array([1, 5, 5]), np.array([7, 4]))
    >>> order.users, order.items, order.entities
    (array([1, 2, 0]), array([0, 1]), array([1, 2, 0, 3, 4]))
    """

    user_frequency: np.ndarray  # (|U|,) int64
    item_frequency: np.ndarray  # (|V|,) int64
    users: np.ndarray = field(init=False)  # (|U|,) user ids by rank
    items: np.ndarray = field(init=False)  # (|V|,) item ids by rank

    def __post_init__(self):
        object.__setattr__(self, "users", np.argsort(-self.user_frequency, kind="stable"))
        object.__setattr__(self, "items", np.argsort(-self.item_frequency, kind="stable"))

    @classmethod
    def of(cls, train: csr_array) -> "FrequencyOrder":
        """The order of ``train`` (|U|, |V|) binary CSR."""
        items = np.bincount(train.indices, minlength=train.shape[1])
        return cls(np.diff(train.indptr).astype(np.int64), items)

    @property
    def entities(self) -> np.ndarray:
        """Entity ids by rank, users first: (n,)."""
        return np.concatenate([self.users, self.n_users + self.items])

    @property
    def frequency(self) -> np.ndarray:
        """Training frequency by entity id, users first: (n,)."""
        return np.concatenate([self.user_frequency, self.item_frequency])

    @property
    def by_frequency(self) -> np.ndarray:
        """Entity ids of both sides together from most to least frequent, ties by id: (n,).

        >>> FrequencyOrder(np.array([1, 5, 5]), np.array([7, 5])).by_frequency
        array([3, 1, 2, 4, 0])
        """
        return np.argsort(-self.frequency, kind="stable")

    @property
    def sorted_users(self) -> np.ndarray:
        """Training frequency of users by rank: (|U|,).

        >>> order = FrequencyOrder(np.array([1, 5, 4]), np.array([4, 7]))
        >>> order.sorted_users, order.sorted_items
        (array([5, 4, 1]), array([7, 4]))
        """
        return self.user_frequency[self.users]

    @property
    def sorted_items(self) -> np.ndarray:
        """Training frequency of items by rank: (|V|,)."""
        return self.item_frequency[self.items]

    @property
    def runs(self) -> FrequencyRuns:
        """Distinct frequencies and their counts.

        >>> order = FrequencyOrder(np.array([1, 5, 5]), np.array([7, 4]))
        >>> order.runs.users
        (array([5, 1]), array([2, 1]))
        """
        return FrequencyRuns(_runs(self.user_frequency), _runs(self.item_frequency))

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n(self) -> int:
        return len(self.users) + len(self.items)


def _runs(frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, counts = np.unique(frequency, return_counts=True)
    return values[::-1], counts[::-1]  # the largest first
