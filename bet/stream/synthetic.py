"""A made-up stream whose items come and go, so that the best sizes are known at every time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bet.seeds import numpy_generator
from bet.stream.events import Events, arrange

LIFE = 0.4  # of the stream: how long an item is asked for


@dataclass(frozen=True)
class Drift:
    """Of a stream from time 0 to 1: when every item is asked for, from ``rises`` to ``falls``
    (|V|,). Outside of that nobody ever takes it, so a column of its row is wasted: the best size
    is the smallest one.
    """

    rises: np.ndarray
    falls: np.ndarray

    def is_alive(self, time: float) -> np.ndarray:
        """Who is asked for at ``time``, (|V|,) bool.

        >>> Drift(np.array([0.0, 0.5]), np.array([0.4, 0.9])).is_alive(0.3)
        array([ True, False])
        """
        return (self.rises <= time) & (time < self.falls)


def drift_of(n_items: int) -> Drift:
    """Items rise one after the other; the first ones are there from the start, the last ones stay
    to the end.
    """
    rises = np.linspace(-LIFE / 2, 1 - LIFE / 2, n_items)
    return Drift(rises, rises + LIFE)


def drifting(
    n_users: int, n_items: int, n_events: int, n_groups: int = 8, *, seed: int = 0, name: str
) -> Events:
    """``n_events`` draws: users join one after the other until half time and come back for ever;
    each takes items that are alive, nine of ten of the own group; pairs that occur again are left
    out. The original id of an item is its number in ``drift_of(n_items)``.
    """
    rng = numpy_generator(seed, "drifting")
    times = np.sort(rng.random(n_events))
    joined = np.maximum(1, n_users * np.minimum(1.0, 0.2 + 1.6 * times))  # users by then
    users = (joined * rng.random(n_events) ** 1.3).astype(np.int64)
    # Those alive at a time are consecutive; those in the middle of their life are taken most.
    middle = (n_items - 1) * times
    spread = n_items * LIFE / 2 * rng.triangular(-1, 0, 1, n_events)
    items = np.clip(np.rint(middle + spread), 0, n_items - 1).astype(np.int64)
    inside = rng.random(n_events) < 0.9
    moved = items - items % n_groups + users % n_groups
    lived = drift_of(n_items)
    fits = moved < n_items
    moved = np.minimum(moved, n_items - 1)
    fits &= (lived.rises[moved] <= times) & (times < lived.falls[moved])
    items = np.where(inside & fits, moved, items)
    alive = (lived.rises[items] <= times) & (times < lived.falls[items])
    columns = (pd.Series(values[alive]) for values in (users, items, times))
    return arrange(name, *columns)
