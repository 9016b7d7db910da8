"""Vectors to pack, and interactions of the same users and items."""

import numpy as np
import pandas as pd

from bet.data import Interactions
from bet.data.interactions import binary_matrix
from bet.pack import open_vectors

N_USERS, N_ITEMS, D = 70, 110, 12


def both_sides():
    """Users and items whose numbers differ in size along the columns."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((D, D)) * np.linspace(1, 0.05, D)[:, None]
    return tuple(
        (rng.standard_normal((n, D)) @ mixing).astype(np.float32) for n in (N_USERS, N_ITEMS)
    )


def saved(folder, both, **columns):
    """The vectors in Parquet with ids of text and of numbers; opened."""
    folder.mkdir(exist_ok=True)
    ids = [f"ü{i}" for i in range(len(both[0]))], np.arange(len(both[1])) * 7 + 3
    opened = []
    for name, values, names in zip(("users", "items"), both, ids, strict=True):
        frame = pd.DataFrame({"id": names, "features": list(values)})
        for column, numbers in columns.items():
            frame[column] = numbers[: len(frame)]
        frame.to_parquet(folder / f"{name}.parquet")
        opened.append(open_vectors(folder / f"{name}.parquet"))
    return opened


def as_arrays(folder, both):
    """The vectors in ``.npy``; opened."""
    folder.mkdir(exist_ok=True)
    for name, values in zip(("users", "items"), both, strict=True):
        np.save(folder / f"{name}.npy", values)
    return [open_vectors(folder / f"{name}.npy") for name in ("users", "items")]


def interactions(seed=0, k=900):
    """Of the users and items of ``saved``, by their ids; the first ones occur most."""
    rng = np.random.default_rng(seed)
    pairs = (N_USERS * rng.random(k) ** 2).astype(int), (N_ITEMS * rng.random(k) ** 2).astype(int)
    matrix = binary_matrix(*pairs, (N_USERS, N_ITEMS))
    ids = np.array([f"ü{i}" for i in range(N_USERS)]), np.arange(N_ITEMS) * 7 + 3
    return Interactions("shop", matrix, *ids)
