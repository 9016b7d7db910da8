"""NCF from a file: a . relu(W_u p_u + W_v p_v + b) + c . (g_u * g_v) (NeuMF; He et al. 2017)."""

from functools import cached_property

import numpy as np

from bet.packed import RecommenderFile
from bet.recommend.parts import check_room, take_table, take_weight
from bet.recommend.ranking import Histories
from bet.recommend.scorer import BLOCK, Scorer
from bet.recommend.vectors import unit_rows

STEPS = 60  # of gradient descent for a new user
RATE = 0.1  # of a step, in deviations of the known users
CANDIDATES = 4_096  # items that a new user's are compared with


class NcfScorer(Scorer):
    """A profile is a user's hidden units W_u p_u + b, and behind them c * g_u: both halves of a
    score are then linear in it but for the relu.
    """

    def __init__(self, file: RecommenderFile):
        self.n_users, self.n_items = file.n_users, file.n_items
        self.table = table = take_table(file, copies=2)
        width = table.width
        self.w_user = take_weight(file, "w_user", (-1, width))  # (hidden, width)
        self.hidden = len(self.w_user)
        w_item = take_weight(file, "w_item", (self.hidden, width))
        self.bias = take_weight(file, "bias", (self.hidden,))
        self.a = take_weight(file, "a", (self.hidden,)).astype(np.float32)
        self.c = take_weight(file, "c", (width,))
        check_room(file, self.n_items * (self.hidden + 2 * width))
        rows = table.rows(np.arange(self.n_users, self.n_users + self.n_items))
        self.items_hidden = np.ascontiguousarray(rows[:, 0] @ w_item.T)  # (n_items, hidden)
        self.items_factors = np.ascontiguousarray(rows[:, 1])  # (n_items, width)
        self.profile_width = self.hidden + width

    def profiles(self, users: np.ndarray) -> np.ndarray:
        rows = self.table.rows(users)  # (b, 2, width)
        return np.hstack([rows[:, 0] @ self.w_user.T + self.bias, rows[:, 1] * self.c])

    def scores(self, profiles: np.ndarray) -> np.ndarray:
        scores = profiles[:, self.hidden :] @ self.items_factors.T
        step = max(1, BLOCK // max(1, self.hidden))
        for row, units in enumerate(profiles[:, : self.hidden]):
            for first in range(0, self.n_items, step):
                hidden = np.maximum(self.items_hidden[first : first + step] + units, 0)
                scores[row, first : first + step] += hidden @ self.a
        return scores

    def similarity(self, item: int) -> np.ndarray:
        """Cosines of what the items give both halves."""
        return self._units @ self._units[item]

    @cached_property
    def _units(self) -> np.ndarray:
        scale = np.abs(np.concatenate([self.a, self.c]))
        return unit_rows(np.hstack([self.items_hidden, self.items_factors]) * np.sqrt(scale))

    @cached_property
    def _spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of known users' profiles, (profile_width,) each."""
        step = max(1, self.n_users // CANDIDATES)
        profiles = self.profiles(np.arange(0, self.n_users, step))
        if not len(profiles):
            return np.zeros(self.profile_width), np.ones(self.profile_width)
        return profiles.mean(0), profiles.std(0)

    def fold_in(self, histories: Histories) -> np.ndarray:
        lists = [histories.part(row, row + 1).items for row in range(len(histories))]
        profiles = [self._fit(items) for items in lists]
        return np.array(profiles, dtype=np.float32).reshape(len(lists), self.profile_width)

    def _fit(self, seen: np.ndarray) -> np.ndarray:
        """The profile (profile_width,) under which ``seen`` (m,) are most likely among the items, a
        softmax over scores, when profiles are spread as those of known users.
        """
        step = max(1, self.n_items // CANDIDATES)
        items = np.union1d(np.arange(0, self.n_items, step), seen)
        units, factors = self.items_hidden[items], self.items_factors[items]
        is_seen = np.isin(items, seen)
        mean, deviation = self._spread
        z = np.zeros(self.profile_width)  # in deviations from the mean
        momentum, square = np.zeros_like(z), np.zeros_like(z)
        for number in range(1, STEPS + 1):
            profile = (mean + deviation * z).astype(np.float32)
            hidden = np.maximum(units + profile[: self.hidden], 0)  # (n, hidden)
            scores = hidden @ self.a + factors @ profile[self.hidden :]  # (n,)
            likely = np.exp(scores - scores.max())
            at_scores = len(seen) * likely / likely.sum() - is_seen
            at_hidden = self.a * ((hidden > 0).T.astype(np.float32) @ at_scores)
            gradient = deviation * np.concatenate([at_hidden, at_scores @ factors]) + z
            # Adam (Kingma and Ba, 2015) with its usual constants.
            momentum += 0.1 * (gradient - momentum)
            square += 0.001 * (gradient**2 - square)
            scale = np.sqrt(square / (1 - 0.999**number)) + 1e-8
            z -= RATE * momentum / (1 - 0.9**number) / scale
        return mean + deviation * z
