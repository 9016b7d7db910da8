"""Scores from the interactions, without vectors: a profile is a row of the binary matrix."""

from abc import abstractmethod
from functools import cached_property

import numpy as np

from bet.errors import BetError
from bet.lazy_loops import LazyLoops
from bet.packed import RecommenderFile
from bet.recommend.interactions import (
    Interactions,
    dense_rows,
    histories_of,
    negative_power,
    sum_rows,
)
from bet.recommend.parts import cannot_score, take_lists, take_number, take_weight
from bet.recommend.ranking import Histories, RankedRows
from bet.recommend.scorer import TINY, Scorer
from bet.recommend.top import top_k

LOOPS = LazyLoops(worth=128)  # users


class RuleScorer(Scorer):
    """A rule that reads a user's items and nothing else about them."""

    def __init__(self, file: RecommenderFile):
        self.n_users, self.n_items = file.n_users, file.n_items
        self.profile_width = file.n_items
        self.lists = take_lists(file)

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return dense_rows(Histories(*self.lists.items_of(users)), self.n_items)

    def fold_in(self, histories: Histories) -> np.ndarray:
        return dense_rows(histories, self.n_items)

    def scores(self, profiles: np.ndarray) -> np.ndarray:
        return self.scores_of(histories_of(profiles))

    @abstractmethod
    def scores_of(self, histories: Histories) -> np.ndarray:
        """Scores (b, n_items) float32, a new array."""

    def similarity(self, item: int) -> np.ndarray:
        """The scores of a user who has nothing but ``item``."""
        return self.scores_of(Histories(np.array([0, 1]), np.array([item])))[0]


class PopularityScorer(Scorer):
    """Items are numbered by how often they occur, which is all that is known: a score is minus the
    number. A profile has no numbers.
    """

    profile_width = 0

    def __init__(self, file: RecommenderFile):
        self.n_users, self.n_items = file.n_users, file.n_items

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return np.zeros((len(users), 0), dtype=np.float32)

    def fold_in(self, histories: Histories) -> np.ndarray:
        return np.zeros((len(histories), 0), dtype=np.float32)

    def scores(self, profiles: np.ndarray) -> np.ndarray:
        return np.tile(-np.arange(self.n_items, dtype=np.float32), (len(profiles), 1))

    def top(self, profiles: np.ndarray, k: int, seen: Histories | None) -> RankedRows:
        longest = 0 if seen is None else int(seen.sizes.max(initial=0))
        first = np.arange(min(self.n_items, k + longest), dtype=np.float32)  # enough for everybody
        if seen is not None:
            left = seen.items < len(first)
            starts = np.concatenate([[0], np.cumsum(left)])[seen.indptr]
            seen = Histories(starts, seen.items[left])
        return top_k(np.tile(-first, (len(profiles), 1)), k, seen)

    def similarity(self, item: int) -> np.ndarray:
        raise BetError(
            "popularity says nothing about which items are alike; ask a file of another backbone"
        )


class GraphFilterScorer(RuleScorer):
    """R N'N with N = D_u^-a R D_i^-b, as ``bet.methods.graph_filter`` states it."""

    def __init__(self, file: RecommenderFile):
        super().__init__(file)
        self.interactions = interactions = Interactions(self.lists)
        a, b = take_number(file, "user_exponent"), take_number(file, "item_exponent")
        self.of_users = negative_power(interactions.user_counts, 2 * a)
        self.of_items = negative_power(interactions.item_counts, b)
        self.item_exponent = b

    def fold_in_item(self, users: np.ndarray) -> np.ndarray:
        """What each item of a profile adds to the score; a known item that the same ``users`` have
        gets the same.
        """
        theirs = self.interactions.by_user.take(users)
        each = np.repeat(self.of_users[users], theirs.sizes)
        near = np.bincount(theirs.items, each, self.n_items) * self.of_items
        return (near * negative_power(np.array([len(users)]), self.item_exponent)).astype("f4")

    def new_item_scores(self, vector: np.ndarray, users: np.ndarray) -> np.ndarray:
        return sum_rows(Histories(*self.lists.items_of(users)), vector[:, None])[:, 0]

    def similarity(self, item: int) -> np.ndarray:
        """Cosines of the columns of D_u^-a R: how far two items have the same users."""
        products = super().similarity(item)
        return products / np.maximum(self._lengths * self._lengths[item], TINY)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """Of the columns of N, (n_items,)."""
        by_user = self.interactions.by_user
        each = np.repeat(self.of_users, by_user.sizes)
        squares = np.bincount(by_user.items, each, self.n_items)
        return (self.of_items * np.sqrt(squares)).astype(np.float32)

    def scores_of(self, histories: Histories) -> np.ndarray:
        if LOOPS.pay(len(histories)):
            return self.by_loop(histories)
        return self.by_counting(histories)

    def by_counting(self, histories: Histories) -> np.ndarray:
        """Scores by weighted counts, a user at a time."""
        by_user, by_item = self.interactions.by_user, self.interactions.by_item
        scores = np.empty((len(histories), self.n_items), dtype=np.float32)
        for row in range(len(histories)):
            items = histories.part(row, row + 1).items
            owners = by_item.take(items)
            each = np.repeat(self.of_items[items], owners.sizes)
            near = np.bincount(owners.items, each, self.n_users)  # to every user
            others = np.flatnonzero(near)
            theirs = by_user.take(others)
            each = np.repeat(near[others] * self.of_users[others], theirs.sizes)
            scores[row] = np.bincount(theirs.items, each, self.n_items) * self.of_items
        return scores

    def by_loop(self, histories: Histories) -> np.ndarray:
        """The same numbers by a compiled loop."""
        from bet.recommend.filter_loop import add_up

        scores = np.zeros((len(histories), self.n_items))  # float64, as numpy counts
        lists = (histories, self.interactions.by_user, self.interactions.by_item)
        pairs = [(part.indptr, part.items) for part in lists]
        add_up(*pairs, (self.of_users, self.of_items), scores)
        return scores.astype(np.float32)


class ItemKnnScorer(RuleScorer):
    """The sum of an item's similarities to those of its nearest items that the user has."""

    def __init__(self, file: RecommenderFile):
        super().__init__(file)
        neighbors = take_weight(file, "neighbors", (self.n_items, -1), kind="u")
        weights = take_weight(file, "weights", neighbors.shape)
        if neighbors.max(initial=0) >= max(1, self.n_items):
            raise cannot_score(file, f"a neighbor is none of the {self.n_items:,} items")
        known = np.flatnonzero(weights.ravel() > 0)
        order = known[np.argsort(neighbors.ravel()[known], kind="stable")]
        counts = np.bincount(neighbors.ravel()[order], minlength=self.n_items)
        # For every item: the items that it is a neighbor of, and how similar they are.
        starts = np.concatenate([[0], np.cumsum(counts)])
        self.near = Histories(starts, (order // max(1, neighbors.shape[1])).astype(np.int32))
        self.weights = weights.ravel()[order].astype(np.float32)

    def scores_of(self, histories: Histories) -> np.ndarray:
        scores = np.empty((len(histories), self.n_items), dtype=np.float32)
        for row in range(len(histories)):
            items = histories.part(row, row + 1).items
            places = self.near.places(items)
            scores[row] = np.bincount(self.near.items[places], self.weights[places], self.n_items)
        return scores


class EaseScorer(RuleScorer):
    """The sum of the rows of a matrix of items by items (Steck, WWW 2019)."""

    def __init__(self, file: RecommenderFile):
        super().__init__(file)
        self.weights = take_weight(file, "weights", (self.n_items, self.n_items))

    def scores_of(self, histories: Histories) -> np.ndarray:
        scores = np.empty((len(histories), self.n_items), dtype=np.float32)
        for row in range(len(histories)):
            self.weights[histories.part(row, row + 1).items].sum(0, out=scores[row])
        return scores
