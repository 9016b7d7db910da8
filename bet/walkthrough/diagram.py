"""Algorithm 1 as a drawing, for notebook 05."""

from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

WIDTH, HEIGHT = 2.3, 0.8  # of a box


class Box(NamedTuple):
    """A step: its center, what it says, and the color of its part of the algorithm."""

    x: float
    y: float
    text: str
    color: str


ONCE, EVERY, LAST = "0.93", "#dcebf7", "#fdebd3"
BOXES = {
    "full": Box(6, 4.5, "train the full table\n(line 2)", ONCE),
    "sample": Box(0, 3, "sample m actions\n(lines 4, 5)", EVERY),
    "choose": Box(3, 3, "choose one of them\nby I, II or III (6 to 12)", EVERY),
    "tune": Box(6, 3, "cut the full table to it,\nfine-tune (13, 14)", EVERY),
    "learn": Box(3, 1.5, "N updates of the\npredictor (16 to 20)", EVERY),
    "population": Box(6, 1.5, "population A of\nmeasured actions (15)", EVERY),
    "retrain": Box(6, 0, "train the best five\nfrom scratch (22)", LAST),
    "keep": Box(3, 0, "keep the best\non validation, Eq. 14", LAST),
    "test": Box(0, 0, "score it on test,\nonce", LAST),
}
ARROWS = (
    ("full", "tune", "once"),
    ("sample", "choose", ""),
    ("choose", "tune", ""),
    ("tune", "population", "fitness, Eq. 12"),
    ("population", "learn", ""),
    ("learn", "choose", "predicts"),
    ("population", "retrain", "after T iterations"),
    ("retrain", "keep", ""),
    ("keep", "test", ""),
)


def plot_search_loop() -> Figure:
    """The steps of Algorithm 1: gray once, blue in each of T iterations, orange at the end."""
    figure, axis = plt.subplots(figsize=(7.4, 4.4))
    for box in BOXES.values():
        corner = (box.x - WIDTH / 2, box.y - HEIGHT / 2)
        frame = FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0.06", fc=box.color, ec="0.4")
        axis.add_patch(frame)
        axis.text(box.x, box.y, box.text, ha="center", va="center", fontsize=8)
    for start, end, label in ARROWS:
        _connect(axis, BOXES[start], BOXES[end], label)
    # Back to the first step.
    left = (BOXES["learn"].x - WIDTH / 2 - 0.08, BOXES["learn"].y)
    below = (BOXES["sample"].x, BOXES["sample"].y - HEIGHT / 2 - 0.08)
    style = {"arrowstyle": "->", "color": "0.3", "connectionstyle": "angle,angleA=180,angleB=90"}
    axis.annotate("", below, left, arrowprops=style)
    axis.text(below[0] + 0.12, left[1] + 0.12, "next t", fontsize=7.5, color="0.3")
    axis.set(xlim=(-1.4, 7.4), ylim=(-0.6, 5.1), aspect="equal")
    axis.axis("off")
    return figure


def _connect(axis: Axes, start: Box, end: Box, label: str) -> None:
    """An arrow from border to border of two boxes in a row or a column."""
    across, up = end.x - start.x, end.y - start.y
    reach_x = (WIDTH / 2 + 0.08) * (across > 0) - (WIDTH / 2 + 0.08) * (across < 0)
    reach_y = (HEIGHT / 2 + 0.08) * (up > 0) - (HEIGHT / 2 + 0.08) * (up < 0)
    tail, head = (start.x + reach_x, start.y + reach_y), (end.x - reach_x, end.y - reach_y)
    axis.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": "0.3"})
    middle = ((tail[0] + head[0]) / 2 + 0.1, (tail[1] + head[1]) / 2)
    axis.text(*middle, label, va="center", fontsize=7.5, color="0.3")
