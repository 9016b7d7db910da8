"""The figure below the answers: quality against bytes to serve, at most seven lines by name."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bet.analysis.answers import best_to_serve
from bet.analysis.results import METRIC, REFERENCE, TO_SERVE, Group, Results
from bet.analysis.statistics import best_cells
from bet.analysis.summaries import SETTING
from bet.report.drawing import OTHERS, WIDTH, look
from bet.report.style import BACKBONES, on_backbone
from bet.report.table import LONG

NAMED = 7  # lines and points with a name
TICK = 12.8  # bytes per entity: the sizes that the answers name are doublings
SMALL = 51.2  # bytes per entity to serve: who is best within so many gets a name
LOWEST = 0.6  # of the full LightGCN's quality, or the best: where the picture begins
GAP = 0.055  # between two names, of the axis' height
LINE = ["method", "backbone"]
Line = tuple[str, str]  # method and backbone


def quality_against_bytes(results: Results, group: Group) -> Figure | None:
    """Test NDCG@20 against bytes to serve, means over seeds: at most ``NAMED`` methods as lines
    with names at their ends, or as points with names beside them; all others as gray dots. None
    where there are no tables.
    """
    cells = group.of(results.by_bytes)
    points = cells.groupby([*LINE, "budget"], sort=False)[[TO_SERVE, METRIC]].mean().reset_index()
    tables = points[points["backbone"] != REFERENCE]
    if tables.empty:
        return None
    first = tables["backbone"].iloc[0]
    best = best_to_serve(results, group)
    good = best[best[METRIC] >= LOWEST * best[METRIC].max()]  # no bare order of popularity
    least = np.nanmin([tables[TO_SERVE].min() / 1.5, good[TO_SERVE].min()])
    most = tables[TO_SERVE].max() * 1.2
    inside = points[points[TO_SERVE].between(least, most)]
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2))
    named = _named(cells, best, inside, first)
    dots: dict[str, Any] = OTHERS | {"linestyle": ""}
    ends: list[tuple[float, float, str]] = []
    alone: list[tuple[float, float, str]] = []
    for line, of_line in inside.groupby(LINE, sort=False):
        curve = of_line.sort_values(TO_SERVE)
        if line not in named:
            axis.plot(curve[TO_SERVE], curve[METRIC], **dots)
            continue
        drawn = look(str(line[0])) | {"linewidth": 1.6, "markersize": 5}
        if line[1] not in (first, REFERENCE):
            drawn["markerfacecolor"] = "white"  # a method on two backbones has one color
        axis.plot(curve[TO_SERVE], curve[METRIC], **drawn)
        name = on_backbone(*line) if line[0] != "full" else f"full {BACKBONES[line[1]]}"
        end = curve[[TO_SERVE, METRIC]].iloc[-1]
        (alone if len(curve) == 1 else ends).append((*end, name))
    _limit(axis, inside)
    _name_points(axis, alone, middle=np.sqrt(least * most))
    _name(axis, ends)
    axis.set(
        title=f"{group}: higher is better, and further to the left",
        xlabel=f"{TO_SERVE} (user or item), a doubling from tick to tick",
        ylabel=f"{LONG[METRIC]} on test",
    )
    return figure


def _named(cells: pd.DataFrame, best: pd.DataFrame, points: pd.DataFrame, first: str) -> list[Line]:
    """The full LightGCN, what serves ``best`` at any size, of ``cells`` the best reference within
    ``SMALL`` bytes, searches of sizes and the power law on the ``first`` backbone, the full tables
    of what serves best, then the best of every backbone within ``SMALL`` bytes, all by validation;
    of these what ``points``, the picture's, have.
    """
    small = cells[cells[TO_SERVE] <= SMALL]
    parts = [best_cells(part, SETTING) for _, part in small.groupby("backbone")]
    parts.sort(key=lambda part: -part["validation"].mean())
    of_backbones = [(part["method"].iloc[0], part["backbone"].iloc[0]) for part in parts]
    wanted: list[Line] = [("full", "lightgcn")]
    wanted += best[LINE].itertuples(index=False, name=None)
    wanted += [line for line in of_backbones if line[1] == REFERENCE]
    wanted += [("bet", first), ("bet-plus", first), ("powerlaw", first)]
    wanted += [("full", backbone) for backbone in best["backbone"]]
    wanted += of_backbones
    seen = points[points[METRIC] >= _lowest(points)]
    drawn = set(seen[LINE].itertuples(index=False, name=None))
    return [line for line in dict.fromkeys(wanted) if line in drawn][:NAMED]


def _lowest(points: pd.DataFrame) -> float:
    """The quality where the picture begins."""
    full = points[(points["method"] == "full") & (points["backbone"] == "lightgcn")]
    ceiling = full[METRIC].mean() if len(full) else points[METRIC].max()
    return max(LOWEST * ceiling, 0.97 * points[METRIC].min())


def _limit(axis: Axes, points: pd.DataFrame) -> None:
    """Bytes in doublings of ``TICK``."""
    axis.set_xscale("log")
    least, most = np.log2(points[TO_SERVE].min() / TICK), np.log2(points[TO_SERVE].max() / TICK)
    ticks = TICK * 2 ** np.arange(np.ceil(least - 0.3), most + 0.3)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axis.minorticks_off()
    axis.set_xlim(TICK * 2 ** (least - 0.3), TICK * 2 ** (most + 0.3))
    axis.set_ylim(_lowest(points), 1.03 * points[METRIC].max())


def _name_points(axis: Axes, points: Sequence[tuple[float, float, str]], middle: float) -> None:
    """A name beside every point (x, y), toward the ``middle`` of the picture; below it where a
    higher point is so near that both names would stand in one place.
    """
    low, high = axis.get_ylim()
    near = GAP * (high - low)
    for x, y, name in points:
        crowded = any(y < up < y + near and x / 2 < at < 2 * x for at, up, _ in points)
        axis.annotate(
            name,
            (x, y),
            xytext=(6 if x < middle else -6, -5 if crowded else 5),
            textcoords="offset points",
            fontsize=8,
            ha="left" if x < middle else "right",
            va="top" if crowded else "baseline",
            bbox={"color": "white", "alpha": 0.6, "pad": 0.5, "linewidth": 0},
        )


def _name(axis: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """A name in the right margin for the end (x, y) of every line, with a thin line to it."""
    low, high = axis.get_ylim()
    ends = sorted(ends, key=lambda end: end[1])
    heights = spread([min(max((y - low) / (high - low), 0.0), 1.0) for _, y, _ in ends], GAP)
    for (x, y, name), height in zip(ends, heights, strict=True):
        axis.annotate(
            name,
            (x, max(y, low)),
            xytext=(1.03, height),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            zorder=1,  # its line runs below the points and the names beside them
            arrowprops={"arrowstyle": "-", "color": "0.5", "linestyle": ":", "shrinkB": 4},
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending ``heights`` moved apart by at least ``gap``, from the top one, at 1 or below, down.

    >>> spread([0.2, 0.2, 0.95], 0.1)
    [0.2, 0.3, 0.95]
    """
    moved = list(heights)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    for i in range(len(moved) - 1, -1, -1):
        above = moved[i + 1] - gap if i + 1 < len(moved) else 1.0
        moved[i] = min(moved[i], above)
    return [round(height, 6) for height in moved]
