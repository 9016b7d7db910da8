"""Figures of notebook 02: a masked table, signals on a small graph, where the bytes are."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def plot_mask(rows: np.ndarray, sizes: np.ndarray, names: Sequence[str]) -> Figure:
    """The numbers of a table ``rows`` (n, d_max), those in gray that ``sizes`` (n,) do not keep."""
    n, d_max = rows.shape
    kept = np.arange(d_max) < sizes[:, None]  # (n, d_max)
    figure, axis = plt.subplots(figsize=(4.4, 0.5 + 0.36 * n))
    axis.imshow(kept, cmap="Blues", vmin=0, vmax=3, aspect="auto")
    for (row, column), number in np.ndenumerate(rows):
        color = "black" if kept[row, column] else "0.75"
        axis.text(column, row, f"{number:.1f}", ha="center", va="center", color=color)
    axis.set_xticks(range(d_max), [str(column + 1) for column in range(d_max)])
    labels = [f"{name}, size {size}" for name, size in zip(names, sizes, strict=True)]
    axis.set_yticks(range(n), labels)
    axis.set(xlabel="column", ylabel="entity")
    axis.grid(False)
    return figure


def plot_propagation(
    met: np.ndarray, names: Sequence[str], signals: Mapping[str, np.ndarray]
) -> Figure:
    """The graph of ``met`` (|U|, |V|), users left and items right, once for each of ``signals``:
    a number for every node (n,).
    """
    figure, axes = plt.subplots(1, len(signals), figsize=(1.75 * len(signals), 2.5))
    for axis, (title, signal) in zip(axes, signals.items(), strict=True):
        _draw_graph(axis, met, names, signal)
        axis.set_title(title, fontsize=9)
    return figure


def _draw_graph(axis: Axes, met: np.ndarray, names: Sequence[str], signal: np.ndarray) -> None:
    n_users, n_items = met.shape
    users = [(0.0, -0.5 - user) for user in range(n_users)]
    places = users + [(1.0, -float(item)) for item in range(n_items)]
    for user, item in np.argwhere(met):
        ends = np.array([places[user], places[n_users + item]])
        axis.plot(*ends.T, color="0.6", linewidth=1.2, zorder=1)
    x, y = np.array(places).T
    look = {"cmap": "Blues", "edgecolors": "0.3", "zorder": 2}
    axis.scatter(x, y, 480, signal, vmin=0, vmax=1.4, **look)  # type: ignore[arg-type]
    for place, name, number in zip(places, names, signal, strict=True):
        axis.text(*place, f"{number:.2f}", ha="center", va="center", fontsize=7, zorder=3)
        axis.text(place[0], place[1] - 0.36, name, ha="center", va="center", fontsize=8)
    axis.set(xlim=(-0.4, 1.4), ylim=(-n_items + 0.4, 0.4))
    axis.axis("off")


def plot_bytes(kilobytes: pd.DataFrame) -> Figure:
    """Stacked bars: a row of ``kilobytes`` each, a color per column."""
    figure, axis = plt.subplots(figsize=(6.8, 0.8 + 0.34 * len(kilobytes)))
    left = np.zeros(len(kilobytes))
    for part, hatch in zip(kilobytes, ("", "//", ".."), strict=False):
        axis.barh(list(kilobytes.index), kilobytes[part], left=left, label=part, hatch=hatch)
        left += kilobytes[part].to_numpy()
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set(xlim=(0, 1.04 * left.max()), xlabel="kB in float32 (interactions: 4 bytes each)")
    figure.legend(loc="outside upper center", ncols=kilobytes.shape[1], fontsize=8)
    return figure
