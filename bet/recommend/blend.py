"""The graph filter's scores and those of vectors, standardized for each user and added."""

import numpy as np

from bet.packed import RecommenderFile
from bet.recommend.least_squares import equation_of
from bet.recommend.parts import take_number, take_table
from bet.recommend.ranking import Histories
from bet.recommend.rules import GraphFilterScorer
from bet.recommend.scorer import Scorer
from bet.recommend.vectors import VectorScorer


class BlendScorer(Scorer):
    """A profile is the vector, and behind it the row of the binary matrix."""

    def __init__(self, file: RecommenderFile):
        self.n_users, self.n_items = file.n_users, file.n_items
        self.rule = GraphFilterScorer(file)
        equation = equation_of(file.facts, file.path)
        self.vectors = VectorScorer(take_table(file, copies=1), equation, self.rule.lists)
        self.weight = np.float32(take_number(file, "weight"))
        self.profile_width = self.vectors.profile_width + self.rule.profile_width

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return np.hstack([self.vectors.profiles(users), self.rule.profiles(users)])

    def fold_in(self, histories: Histories) -> np.ndarray:
        return np.hstack([self.vectors.fold_in(histories), self.rule.fold_in(histories)])

    def fold_in_item(self, users: np.ndarray) -> np.ndarray:
        return np.concatenate([self.vectors.fold_in_item(users), self.rule.fold_in_item(users)])

    def new_item_scores(self, vector: np.ndarray, users: np.ndarray) -> np.ndarray:
        """Both parts stand among the user's scores of known items."""
        of_vectors, of_rule = np.split(vector, [self.vectors.profile_width])
        total = np.zeros(len(users), dtype=np.float32)
        for part, own, weight in ((self.rule, of_rule, 1), (self.vectors, of_vectors, self.weight)):
            means, deviations = spread(part.scores(part.profiles(users)))
            new = part.new_item_scores(own, users)
            total += weight * (new - means[:, 0]) / deviations[:, 0]
        return total

    def scores(self, profiles: np.ndarray) -> np.ndarray:
        vectors, rows = np.split(profiles, [self.vectors.profile_width], axis=1)
        return self._sum(self.rule.scores(rows), self.vectors.scores(vectors))

    def similarity(self, item: int) -> np.ndarray:
        return self._sum(*(part.similarity(item)[None] for part in (self.rule, self.vectors)))[0]

    def _sum(self, of_rule: np.ndarray, of_vectors: np.ndarray) -> np.ndarray:
        return standardize(of_rule) + self.weight * standardize(of_vectors)


def standardize(scores: np.ndarray) -> np.ndarray:
    """``scores`` (b, n) with mean 0 and deviation 1 in each row; 0 where all are equal.

    >>> standardize(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    means, deviations = spread(scores)
    return (scores - means) / deviations


def spread(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations (b, 1) of the rows of ``scores`` (b, n); 1 where all are equal."""
    means = scores.mean(1, keepdims=True)
    deviations = np.sqrt(np.square(scores - means).mean(1, keepdims=True))
    return means, np.where(deviations > 0, deviations, 1)
