"""What notebook 01 shows: the long tail, and why the data that chose a model must not judge it."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from bet.data import FrequencyOrder, Split
from bet.seeds import numpy_generator
from bet.training import evaluate


def plot_long_tail(order: FrequencyOrder) -> Figure:
    """Left, interactions against frequency rank; right, the share of a side's interactions that its
    most frequent entities hold.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0))
    sides = (("users", order.sorted_users), ("items", order.sorted_items))
    for (side, frequency), line in zip(sides, ("-", "--"), strict=True):
        ranks = np.arange(1, len(frequency) + 1)
        left.plot(ranks, frequency, line, drawstyle="steps-post", label=side)
        held = np.cumsum(frequency) / frequency.sum()
        right.plot(100 * ranks / len(ranks), 100 * held, line, label=side)
    right.plot([0, 100], [0, 100], ":", color="0.5", label="if all were alike")
    left.set(xscale="log", yscale="log", xlabel="frequency rank (1 = most frequent)")
    left.set(ylabel="interactions")
    right.set(xlabel="rows, most frequent first (%)", ylabel="their interactions (%)")
    left.legend(loc="lower left")
    right.legend(loc="lower right")
    return figure


def score_equal_rankings(split: Split, count: int, seed: int) -> pd.DataFrame:
    """Quality on validation and test of ``count`` rankings, a row each, that differ by chance only:
    every user's items by popularity times a random factor.
    """
    rng = numpy_generator(seed, "equal rankings")
    popularity = FrequencyOrder.of(split.train).item_frequency + 1.0  # (|V|,)
    rows = []
    for _ in range(count):
        factors = rng.lognormal(0.0, 0.3, split.train.shape)
        scores = torch.from_numpy(popularity * factors)  # (|U|, |V|)
        validation = evaluate(scores.__getitem__, split.validation, [split.train])
        test = evaluate(scores.__getitem__, split.test, [split.train, split.validation])
        rows.append((validation.means()["quality"], test.means()["quality"]))
    return pd.DataFrame(rows, columns=["validation", "test"])


def plot_winner(qualities: pd.DataFrame) -> Figure:
    """Every ranking's quality on both parts, relative to the mean there; marked the one that
    validation chooses.
    """
    relative = 100 * (qualities / qualities.mean() - 1)
    figure, axis = plt.subplots(figsize=(4.6, 3.2))
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.axvline(0, color="0.6", linewidth=0.8)
    axis.plot(relative["validation"], relative["test"], "o", markersize=4, label="a ranking")
    winner = relative.loc[relative["validation"].idxmax()]
    axis.plot(winner["validation"], winner["test"], "D", color="C3", label="chosen on validation")
    axis.set(xlabel="validation quality, above the mean (%)")
    axis.set(ylabel="test quality, above the mean (%)")
    axis.legend(loc="best", fontsize=8)
    return figure
