"""Synthetic interactions for tests, the smoke profile and benchmarks."""

from dataclasses import replace

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


def planted_groups(
    n_users: int, n_items: int, n_interactions: int, n_groups: int, seed: int = 0
) -> Interactions:
    """Users and items in groups, nine of ten interactions inside the group, so that a model which
    tells users apart ranks better than popularity does; frequencies are uneven on both sides.

    Pairs are about ``n_interactions``: repeated ones count once.
    """
    rng = numpy_generator(seed, "planted")
    users = (n_users * rng.random(n_interactions) ** 1.5).astype(np.int64)
    items = (n_items * rng.random(n_interactions) ** 1.5).astype(np.int64)
    inside = rng.random(n_interactions) < 0.9
    moved = items - items % n_groups + users % n_groups  # the nearby item of the user's group
    items = np.where(inside & (moved < n_items), moved, items)
    name = f"planted-{n_users}x{n_items}"
    return Interactions(name, binary_matrix(users, items, (n_users, n_items)))


def planted(seed: int = 0) -> Interactions:
    """``planted_groups`` of a size that is trained in seconds."""
    small = planted_groups(n_users=120, n_items=90, n_interactions=2400, n_groups=6, seed=seed)
    return replace(small, name="tiny")
