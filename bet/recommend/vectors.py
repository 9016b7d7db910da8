"""Scores that are inner products: vectors in a file, decoded as they are needed."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from bet.packed import ItemLists, PackedFile, TableFile
from bet.recommend.interactions import Interactions
from bet.recommend.item_map import ITEM_EQUATION, MOST_ITEMS, ItemMap, fit_map
from bet.recommend.least_squares import RowEquation, solve_rows
from bet.recommend.ranking import Histories, RankedRows
from bet.recommend.scorer import BLOCK, TINY, Scorer
from bet.recommend.top_vectors import FEW, top_items, top_products

USERS = 1024  # whose vectors are held at once; their products are not
AT_ONCE = 2**13  # items that are decoded together; their bytes and numbers stay near the processor
MOST_DECODED = 2**27  # bytes of item vectors that are kept; more are decoded block by block


class InnerProductScorer(Scorer):
    """A profile is a vector, and a score its inner product with an item's.

    ``equation``: a new user's vector is its solution, for which the items' vectors are all that is
    needed, and a new item's with the users' vectors. Where vectors were fitted in another way, or
    nobody said how, the users' ``lists`` take a new item's among the others (``ItemMap``).
    """

    equation: RowEquation
    lists: ItemLists | None
    items: np.ndarray | None  # vectors of all items (n_items, profile_width), unless they are many

    def decode(self, items: np.ndarray) -> np.ndarray:
        """Vectors (n, profile_width) float32 of ``items`` (n,) int64, where they are many."""
        raise NotImplementedError

    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        """Vectors (n, profile_width) float32 of ``items`` (n,) int64."""
        return self.decode(items) if self.items is None else self.items[items]

    def span(self, first: int, end: int) -> np.ndarray:
        """Vectors (end - first, profile_width) float32 of items ``first`` to ``end`` - 1."""
        return self.decode(np.arange(first, end)) if self.items is None else self.items[first:end]

    def item_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The first item and the vectors of every block of items."""
        step = max(1, BLOCK // max(1, self.profile_width))
        for first in range(0, self.n_items, step):
            yield first, self.span(first, min(first + step, self.n_items))

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
        if self.items is not None and len(profiles) <= FEW:
            return super().top(profiles, k, seen)  # blocks would only cost
        return top_products(profiles, self.span, self.n_items, k, seen)

    def similarity(self, item: int) -> np.ndarray:
        """Cosines of the items' vectors."""
        vector = self.item_vectors(np.array([item]))[0]
        return self.scores(unit_rows(vector[None]))[0] / self._item_lengths

    @cached_property
    def _item_lengths(self) -> np.ndarray:
        return np.concatenate([lengths(block) for _, block in self.item_blocks()])

    @cached_property
    def _gram(self) -> np.ndarray:
        """V'V (profile_width, profile_width) float64 of the item vectors V."""
        gram = np.zeros((self.profile_width, self.profile_width))
        for _, block in self.item_blocks():
            gram += block.T @ block
        return gram

    def fold_in(self, histories: Histories) -> np.ndarray:
        return solve_rows(self.equation, self._gram, self.n_items, histories, self.item_vectors)

    @cached_property
    def _user_gram(self) -> np.ndarray:
        """U'U (profile_width, profile_width) float64 of the users' vectors U."""
        gram = np.zeros((self.profile_width, self.profile_width))
        step = max(1, BLOCK // max(1, self.profile_width))
        for first in range(0, self.n_users, step):
            block = self.profiles(np.arange(first, min(first + step, self.n_users)))
            gram += block.T @ block
        return gram

    def fold_in_item(self, users: np.ndarray) -> np.ndarray:
        solution = self._solve_items(Histories(np.array([0, len(users)]), users))
        return (self._item_map(solution) if self.equation.relative else solution)[0]

    def _solve_items(self, histories: Histories) -> np.ndarray:
        """Solutions (b, profile_width) float32 for items that these users have had."""
        equation = ITEM_EQUATION if self.equation.relative else self.equation
        return solve_rows(equation, self._user_gram, self.n_users, histories, self.profiles)

    @cached_property
    def _item_map(self) -> ItemMap:
        if self.lists is None:
            raise NotImplementedError(
                "nothing in it says on which scale a new item's scores are; write it with the "
                "histories of its users"
            )
        by_item = Interactions(self.lists).by_item
        items = np.flatnonzero(by_item.sizes)
        if not len(items):
            raise NotImplementedError("nobody in it has had anything, so no item can be compared")
        items = items[:: -(-len(items) // MOST_ITEMS)]
        return fit_map(self._solve_items(by_item.take(items)), self.item_vectors(items))


class VectorScorer(InnerProductScorer):
    """Rows of a table of one copy: users' first, then items'."""

    def __init__(self, table: TableFile, equation: RowEquation, lists: ItemLists | None):
        self.table, self.equation, self.lists = table, equation, lists
        self.n_users, self.n_items = table.n_users, table.n_items
        self.profile_width = table.width

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return self.table.rows(users)[:, 0]

    def decode(self, items: np.ndarray) -> np.ndarray:
        return self.table.rows(items + self.n_users)[:, 0]

    def top(self, profiles: np.ndarray, k: int, seen: Histories | None) -> RankedRows:
        if self.items is not None or not isinstance(self.table, PackedFile):
            return super().top(profiles, k, seen)
        return top_items(profiles, self.table, self.n_users, k, seen)

    @cached_property
    def items(self) -> np.ndarray | None:  # type: ignore[override]
        """Decoded once."""
        if 4 * self.n_items * self.profile_width > MOST_DECODED:
            return None
        vectors = np.empty((self.n_items, self.profile_width), dtype=np.float32)
        for first in range(0, self.n_items, AT_ONCE):
            part = vectors[first : first + AT_ONCE]
            part[:] = self.decode(np.arange(first, first + len(part)))
        return vectors


def lengths(rows: np.ndarray) -> np.ndarray:
    """Euclidean lengths (n,) of ``rows`` (n, d), above 0."""
    return np.maximum(np.linalg.norm(rows, axis=1), TINY)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """``rows`` (n, d) of length 1; zeros stay zeros."""
    return rows / lengths(rows)[:, None]
