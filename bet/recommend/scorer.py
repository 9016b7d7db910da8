"""What every way to score gives: profiles of users, and scores of all items for profiles."""

from abc import ABC, abstractmethod

import numpy as np

from bet.recommend.ranking import Histories, RankedRows
from bet.recommend.top import top_k

BLOCK = 2**22  # numbers of scores or of profiles that are held at once
TINY = 1e-30  # below the length of any vector that is not zero


class Scorer(ABC):
    """A profile is a row of ``profile_width`` float32 numbers that stands for a user: a vector, or
    the row of the interactions.
    """

    n_users: int
    n_items: int
    profile_width: int

    @abstractmethod
    def profiles(self, users: np.ndarray) -> np.ndarray:
        """Profiles (b, profile_width) float32 of known ``users`` (b,) int64."""

    @abstractmethod
    def fold_in(self, histories: Histories) -> np.ndarray:
        """Profiles (b, profile_width) float32 of new users with these items."""

    @abstractmethod
    def scores(self, profiles: np.ndarray) -> np.ndarray:
        """Scores (b, n_items) float32 of all items, a new array."""

    def fold_in_item(self, users: np.ndarray) -> np.ndarray:
        """The vector (profile_width,) float32 of a new item that ``users`` (m,), ascending, have
        had; raises NotImplementedError with the reason where new items have none.
        """
        raise NotImplementedError(
            "it has no place for new items; files of vectors, of lightgcn and ngcf, of the graph "
            "filter and blends of it have"
        )

    def new_item_scores(self, vector: np.ndarray, users: np.ndarray) -> np.ndarray:
        """Scores (n,) float32 for known ``users`` (n,) of a new item with this ``vector``."""
        return self.profiles(users) @ vector

    @abstractmethod
    def similarity(self, item: int) -> np.ndarray:
        """How near every item is to ``item``: (n_items,) float32."""

    def pair_scores(self, profile: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores (n,) float32 of ``items`` (n,) for ``profile`` (profile_width,)."""
        return self.scores(profile[None])[0, items]

    def top(self, profiles: np.ndarray, k: int, seen: Histories | None) -> RankedRows:
        """The ``k`` best items of every profile, without those in ``seen``."""
        return top_k(self.scores(profiles), k, seen)

    @property
    def users_at_once(self) -> int:
        """Users whose profiles and scores fit into a block."""
        return max(1, BLOCK // max(1, self.n_items, self.profile_width))
