"""Scores that are inner products: vectors in a file, decoded as they are needed."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from bet.packed import TableFile
from bet.recommend.least_squares import RowEquation, solve_rows
from bet.recommend.ranking import Histories, RankedRows, leave_out, merge_best, no_items
from bet.recommend.scorer import BLOCK, Scorer

USERS = 256  # at once: a product is then fast, and a block of scores small
MOST_DECODED = 2**27  # bytes of item vectors that are kept; more are decoded block by block
TINY = 1e-30  # below the length of any vector that is not zero


class InnerProductScorer(Scorer):
    """A profile is a vector, and a score its inner product with an item's."""

    @abstractmethod
    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        """Vectors (n, profile_width) float32 of ``items`` (n,) int64."""

    def item_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The first item and the vectors of every block of items."""
        step = max(1, BLOCK // max(USERS, self.profile_width))
        for first in range(0, self.n_items, step):
            yield first, self.item_vectors(np.arange(first, min(first + step, self.n_items)))

    @property
    def users_at_once(self) -> int:
        return USERS

    def scores(self, profiles: np.ndarray) -> np.ndarray:
        scores = np.empty((len(profiles), self.n_items), dtype=np.float32)
        for first, block in self.item_blocks():
            scores[:, first : first + len(block)] = profiles @ block.T
        return scores

    def pair_scores(self, profile: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.item_vectors(items) @ profile

    def top(self, profiles: np.ndarray, k: int, seen: Histories | None) -> RankedRows:
        best = no_items(len(profiles), k)
        for first, block in self.item_blocks():
            scores = profiles @ block.T
            if seen is not None:
                leave_out(scores, seen, first)
            best = merge_best(best, scores, first)
        return best

    def similarity(self, item: int) -> np.ndarray:
        """Cosines of the items' vectors."""
        vector = self.item_vectors(np.array([item]))[0]
        return self.scores(unit_rows(vector[None]))[0] / self._item_lengths

    @cached_property
    def _item_lengths(self) -> np.ndarray:
        return np.concatenate([lengths(block) for _, block in self.item_blocks()])


class VectorScorer(InnerProductScorer):
    """Rows of a table of one copy: users' first, then items'.

    ``equation``: a new user's vector is its solution, for which the items' vectors are all that is
    needed.
    """

    def __init__(self, table: TableFile, equation: RowEquation):
        self.table, self.equation = table, equation
        self.n_users, self.n_items = table.n_users, table.n_items
        self.profile_width = table.width

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return self.table.rows(users)[:, 0]

    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        if self._decoded is not None:
            return self._decoded[items]
        return self.table.rows(items + self.n_users)[:, 0]

    @cached_property
    def _decoded(self) -> np.ndarray | None:
        """All item vectors, where they are few."""
        if 4 * self.n_items * self.profile_width > MOST_DECODED:
            return None
        return np.ascontiguousarray(self.table.rows(np.arange(self.n_users, len(self.table)))[:, 0])

    @cached_property
    def _gram(self) -> np.ndarray:
        """V'V (profile_width, profile_width) float64 of the item vectors V."""
        gram = np.zeros((self.profile_width, self.profile_width))
        for _, block in self.item_blocks():
            gram += block.T @ block
        return gram

    def fold_in(self, histories: Histories) -> np.ndarray:
        return solve_rows(self.equation, self._gram, self.n_items, histories, self.item_vectors)


def lengths(rows: np.ndarray) -> np.ndarray:
    """Euclidean lengths (n,) of ``rows`` (n, d), above 0."""
    return np.maximum(np.linalg.norm(rows, axis=1), TINY)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """``rows`` (n, d) of length 1; zeros stay zeros."""
    return rows / lengths(rows)[:, None]
