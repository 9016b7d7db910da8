"""Synthetic interactions for tests, the smoke profile and benchmarks."""

import numpy as np

from bet.data.interactions import Interactions, binary_matrix
from bet.seeds import numpy_generator


def power_law(n_users: int, n_items: int, n_interactions: int) -> Interactions:
    """About ``n_interactions`` pairs (repeated ones count once) with long-tailed frequencies on
    both sides.
    """
    rng = numpy_generator(0, "power law")
    # A power of a uniform number is small more often than large: low indices are frequent.
    users = (n_users * rng.random(n_interactions) ** 2).astype(np.int64)
    items = (n_items * rng.random(n_interactions) ** 2).astype(np.int64)
    name = f"power-law-{n_users}x{n_items}"
    return Interactions(name, binary_matrix(users, items, (n_users, n_items)))


def planted(seed: int = 0) -> Interactions:
    """Users and items in groups, nine of ten interactions inside the group, so that a model which
    tells users apart ranks better than popularity does.
    """
    n_users, n_items, n_interactions, n_groups = 120, 90, 2400, 6
    rng = numpy_generator(seed, "planted")
    users = (n_users * rng.random(n_interactions) ** 1.5).astype(np.int64)
    items = (n_items * rng.random(n_interactions) ** 1.5).astype(np.int64)
    inside = rng.random(n_interactions) < 0.9
    moved = items - items % n_groups + users % n_groups  # the nearby item of the user's group
    items = np.where(inside & (moved < n_items), moved, items)
    return Interactions("tiny", binary_matrix(users, items, (n_users, n_items)))
