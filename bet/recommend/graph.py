"""LightGCN and NGCF from a file: the table is propagated once, then scores are inner products.

A new user gets the vector that least squares gives for the items' final vectors, as where only
those are known: on validation data that was better than the sum of the items' layers, which the
model has for a user without an ego row.
"""

from abc import abstractmethod

import numpy as np

from bet.packed import RecommenderFile
from bet.recommend.interactions import Interactions, negative_power, sum_rows
from bet.recommend.least_squares import RowEquation
from bet.recommend.parts import (
    cannot_score,
    check_room,
    take_lists,
    take_number,
    take_table,
    take_weight,
)
from bet.recommend.vectors import InnerProductScorer, unit_rows

SLOPE = np.float32(0.2)  # of NGCF's LeakyReLU below 0
MOST_LAYERS = 64


class Graph:
    """D^-1/2 A D^-1/2 of users and items; whoever never occurs has an empty row."""

    def __init__(self, interactions: Interactions):
        self.interactions = interactions
        self.of_users = negative_power(interactions.user_counts, 0.5)
        self.of_items = negative_power(interactions.item_counts, 0.5)

    def near_users(self, items: np.ndarray) -> np.ndarray:
        """The users' rows of the product with rows of ``items`` (n_items, d): (n_users, d)."""
        near = sum_rows(self.interactions.by_user, items, self.of_items)
        return near * self.of_users[:, None]

    def near_items(self, users: np.ndarray) -> np.ndarray:
        """The items' rows of the product with rows of ``users`` (n_users, d): (n_items, d)."""
        near = sum_rows(self.interactions.by_item, users, self.of_users)
        return near * self.of_items[:, None]


class GraphScorer(InnerProductScorer):
    """Final vectors ``users`` (n_users, d) and ``items`` (n_items, d) of all."""

    users: np.ndarray
    items: np.ndarray

    def __init__(self, file: RecommenderFile):
        self.n_users, self.n_items, self.equation = file.n_users, file.n_items, RowEquation()
        self.layers = int(take_number(file, "layers"))
        if not 0 <= self.layers <= MOST_LAYERS:
            raise cannot_score(file, f"layers must be from 0 to {MOST_LAYERS}, it is {self.layers}")
        table = take_table(file, copies=1)
        columns = self._take_weights(file, table.width)
        check_room(file, (self.n_users + self.n_items) * columns)
        self.lists = take_lists(file)
        self.graph = Graph(Interactions(self.lists))
        ego = table.rows(np.arange(self.n_users + self.n_items))[:, 0]
        self._represent(ego[: self.n_users], ego[self.n_users :])
        self.profile_width = self.users.shape[1]

    def _take_weights(self, file: RecommenderFile, width: int) -> int:
        """Take what the layers need besides ego rows of ``width`` numbers; columns of the final
        vectors.
        """
        return width

    @abstractmethod
    def _represent(self, users: np.ndarray, items: np.ndarray) -> None:
        """Set the final vectors that ego rows of ``users`` and ``items`` get."""

    def profiles(self, users: np.ndarray) -> np.ndarray:
        return self.users[users]


class LightGcnScorer(GraphScorer):
    """The mean over layers 0 to L of A^l times the ego rows (He et al., SIGIR 2020)."""

    def _represent(self, users: np.ndarray, items: np.ndarray) -> None:
        sum_users, sum_items = users.copy(), items.copy()
        for _ in range(self.layers):
            users, items = self.graph.near_users(items), self.graph.near_items(users)
            sum_users += users
            sum_items += items
        self.users, self.items = sum_users / (self.layers + 1), sum_items / (self.layers + 1)


class NgcfScorer(GraphScorer):
    """x' = LeakyReLU((A x + x) W_1 + (A x * x) W_2 + b), outputs of length 1 side by side (Wang et
    al., SIGIR 2019).
    """

    def _take_weights(self, file: RecommenderFile, width: int) -> int:
        self.bias = take_weight(file, "bias", (self.layers, -1))
        units = self.bias.shape[1]
        self.weights = []
        for layer in range(self.layers):
            shape = (units if layer else width, units)
            names = f"w_sum_{layer}", f"w_product_{layer}"
            self.weights.append(tuple(take_weight(file, name, shape) for name in names))
        return width + self.layers * units

    def _layer(self, layer: int, x: np.ndarray, near: np.ndarray) -> np.ndarray:
        """The next layer of rows ``x`` (n, d), whose rows of A x are ``near`` (n, d)."""
        w_sum, w_product = self.weights[layer]
        messages = (near + x) @ w_sum + (near * x) @ w_product + self.bias[layer]
        return np.where(messages > 0, messages, SLOPE * messages)

    def _represent(self, users: np.ndarray, items: np.ndarray) -> None:
        of_users, of_items = [users], [items]
        for layer in range(self.layers):
            near_users, near_items = self.graph.near_users(items), self.graph.near_items(users)
            users = self._layer(layer, users, near_users)
            items = self._layer(layer, items, near_items)
            of_users.append(unit_rows(users))
            of_items.append(unit_rows(items))
        self.users = np.concatenate(of_users, axis=1)
        self.items = np.concatenate(of_items, axis=1)
