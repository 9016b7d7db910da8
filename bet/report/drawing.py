"""What all figures are drawn with: lines of methods, panels, one legend, files.

At most seven lines are named; the others are gray and share an entry of the legend.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bet.analysis.results import METRIC, NO_BUDGET
from bet.analysis.summaries import over_seeds
from bet.files import atomic_path
from bet.methods import IN_BYTES
from bet.report.finding import listed
from bet.report.style import BACKBONES, METHOD_COLORS, METHOD_MARKERS

WIDTH = 7.2  # inches, of a page in print
OTHERS = {"color": "0.75", "marker": ".", "markersize": 4, "linewidth": 0.8, "zorder": 1}
UNNAMED: dict[str, Any] = OTHERS | {"label": "other methods"}  # in the legend


def write(figure: Figure, name: str, folder: Path) -> None:
    """Save as ``<name>.png`` and ``<name>.pdf`` in ``folder``; the same figure is the same file."""
    for suffix, undated in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        with atomic_path(folder / f"{name}.{suffix}") as temporary:
            figure.savefig(temporary, metadata=undated)


def lines(
    axis: Axes,
    cells: pd.DataFrame,
    at: str,
    named: list[str],
    metric: str = METRIC,
    *,
    bars: bool = True,
) -> None:
    """Every method's means over seeds against the column ``at``; bars of those ``named``, where
    there are several seeds.
    """
    budgeted = cells[cells["budget"] != NO_BUDGET]
    points = over_seeds(budgeted, metric, by=["method", at])
    for method, means in points.groupby("method", sort=False):
        means = means.droplevel("method").sort_index()
        several = bars and method in named and means["std"].notna().any()
        deviation = means["std"].fillna(0.0) if several else None
        axis.errorbar(means.index, means["mean"], yerr=deviation, capsize=2, **look(method, named))


def look(method: str, named: Iterable[str] | None = None) -> dict:
    """How a method's line looks: gray, if others are ``named``."""
    if named is not None and method not in named:
        return UNNAMED
    named_look = {"color": METHOD_COLORS[method], "marker": METHOD_MARKERS[method], "label": method}
    dashes = "-" if method in IN_BYTES or method.startswith("bet") else "--"
    return named_look | {"markersize": 4, "linewidth": 1.2, "linestyle": dashes}


def ceiling(axis: Axes, cells: pd.DataFrame, metric: str = METRIC) -> None:
    """The full table's mean as a line."""
    full = cells.loc[cells["method"] == "full", metric]
    if len(full):
        axis.axhline(full.mean(), color="black", linestyle="-.", label="full table")


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A row of ``count`` panels as wide as the page."""
    figure, axes = plt.subplots(1, count, figsize=(WIDTH, 2.7), squeeze=False)
    return figure, list(axes[0])


def rows(names: Sequence[str], columns: int = 2, **sharing: Any) -> tuple[Figure, np.ndarray]:
    """A row of ``columns`` panels for each of ``names``, as wide as the page."""
    size = (WIDTH, 2.3 * len(names) + 0.7)
    return plt.subplots(len(names), columns, figsize=size, squeeze=False, **sharing)


def finish(figure: Figure, title: str, axes: Iterable[Axes]) -> None:
    """A title, and one legend of ``axes`` above all panels, the gray lines last."""
    handles: dict[str, Artist] = {}
    for axis in axes:
        drawn, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    gray = handles.pop(UNNAMED["label"], None)
    handles |= {} if gray is None else {UNNAMED["label"]: gray}
    if not handles:
        figure.suptitle(title, fontsize=9, parse_math=False)  # a $ in a name is no formula
        return
    widest = 0.5 + 0.06 * max(map(len, handles))  # inches, about
    columns = max(1, min(len(handles), int(figure.get_figwidth() / widest)))
    named = (list(handles.values()), list(handles))
    legend = figure.legend(
        *named, loc="outside upper center", ncols=columns, fontsize=8, title=title, title_fontsize=9
    )
    legend.get_title().set_parse_math(False)


def what(cells: pd.DataFrame) -> str:
    """What the curves are of, or are means over."""
    columns = (cells["dataset"], cells["backbone"].map(BACKBONES), cells["budget"])
    names = [listed(dict.fromkeys(column)) for column in columns]
    return "{}, {}, sparsity {}".format(*names)
