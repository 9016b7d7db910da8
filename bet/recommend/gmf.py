"""GMF from a file: c . (g_u * g_v) (He et al., WWW 2017)."""

import numpy as np

from bet.packed import RecommenderFile
from bet.recommend.least_squares import RowEquation
from bet.recommend.parts import take_table, take_weight
from bet.recommend.vectors import VectorScorer


class GmfScorer(VectorScorer):
    """A profile is c * g_u, and a score its inner product with an item's row."""

    def __init__(self, file: RecommenderFile):
        super().__init__(take_table(file, copies=1), RowEquation(), file.seen)
        self.c = take_weight(file, "c", (self.profile_width,))

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return super().profiles(users) * self.c
