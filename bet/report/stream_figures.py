"""Of a study of streams: bytes, quality and sizes over time, and what not forgetting costs."""

from dataclasses import replace
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from bet.analysis.streams import METRIC, StreamResults
from bet.report.drawing import UNNAMED, finish, panels
from bet.report.style import BACKBONES
from bet.report.table import LONG
from bet.stream import STREAM_METHODS
from bet.stream.bandit import Change, DiscountedLinUcb, regret
from bet.stream.methods.dess import FORGET
from bet.study.stream_record import Followed

COLORS = dict(
    zip(STREAM_METHODS, sns.color_palette("colorblind", len(STREAM_METHODS)), strict=True)
)
MARKERS = dict(zip(STREAM_METHODS, cycle("Xsv^>oDPH<"), strict=False))
FOLLOWED = ("stream-uniform", "scall-bayes", "dess-like-capped", "stream-bet-plus")
NAMED = (*FOLLOWED, "stream-full", "dess-like")  # of the lines over time; the others are gray
CHANGES = {  # how much is forgotten a step: of one context, and of a segment's as in ``dess-like``
    0.99: Change(),
    FORGET: Change(steps=40, at=20, together=200),
}


def _over_time(axis: Axes, table: pd.DataFrame, column: str) -> None:
    """Every method's mean over seeds, by segment."""
    means = table.groupby(["method", "number"], sort=False)[column].mean()
    for method, values in means.groupby(level="method", sort=False):
        values = values.droplevel("method").dropna()
        if len(values):
            axis.plot(values.index, values, **_look(method))
    axis.set(xlabel="segment")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _look(method: str) -> dict:
    """How a method's line looks: gray unless it is ``NAMED``."""
    if method not in NAMED:
        return UNNAMED
    look = {"color": COLORS[method], "marker": MARKERS[method]}
    return look | {"label": method, "markersize": 4, "linewidth": 1.2}


def _by_backbone(
    results: StreamResults, dataset: str, column: str, label: str
) -> tuple[Figure, list[Axes]]:
    """``column`` over time, a panel per backbone, without a legend."""
    backbones = [backbone for name, backbone in results.groups if name == dataset]
    figure, axes = panels(len(backbones))
    figure.set_figheight(3.1)  # the legend has two lines
    for axis, backbone in zip(axes, backbones, strict=True):
        _over_time(axis, results.of(dataset, backbone), column)
        axis.set(title=BACKBONES[backbone])
    axes[0].set_ylabel(label)
    return figure, axes


def bytes_over_time(results: StreamResults, dataset: str) -> Figure:
    """Bytes of every segment's table, a panel per backbone; the cap is a dashed line."""
    figure, axes = _by_backbone(results, dataset, "bytes", "size of the table")
    table = results.segments
    caps = table.loc[table["dataset"] == dataset, "limit_bytes"].dropna().unique()
    for axis in axes:
        for cap in caps:
            axis.axhline(cap, color="black", linestyle="--", label="the cap")
        axis.set(yscale="log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(EngFormatter("B"))  # 20 kB, 2 MB
        axis.yaxis.set_minor_formatter(NullFormatter())
    finish(figure, dataset, axes)
    return figure


def quality_over_time(results: StreamResults, dataset: str) -> Figure:
    """``METRIC`` on every segment's own test part, means over seeds, a panel per backbone."""
    figure, axes = _by_backbone(results, dataset, METRIC, f"{LONG[METRIC]} on test")
    finish(figure, dataset, axes)
    return figure


def wasted_over_time(results: StreamResults, dataset: str) -> Figure | None:
    """Share of the items' columns that are of items nobody asks for at a segment's end; None where
    that is not known.
    """
    table = results.segments
    if table.loc[table["dataset"] == dataset, "wasted"].isna().all():
        return None
    figure, axes = _by_backbone(results, dataset, "wasted", "wasted columns")
    for axis in axes:
        axis.set(ylim=(0, 1))
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    finish(figure, dataset, axes)
    return figure


def sizes_over_time(results: StreamResults, dataset: str, backbone: str) -> Figure | None:
    """Mean training frequency of the items that rise most and of those that fall most, and the mean
    columns that methods give them; the first seed. None without a run.
    """
    records = {
        record.cell.method: record
        for record in reversed(results.records)
        if (record.cell.dataset, record.cell.backbone) == (dataset, backbone)
    }
    shown = [name for name in FOLLOWED if name in records]
    if not shown:
        return None
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.9))
    first = records[shown[0]]
    for side, style in (("rising", "-"), ("falling", ":")):
        curve = _mean(getattr(first, side), "frequency")
        axes[0].plot(curve, style, color="black", label=side)
    for axis, side in zip(axes[1:], ("rising", "falling"), strict=True):
        for name in shown:
            curve = _mean(getattr(records[name], side), "size")
            axis.plot(curve, **_look(name))
        axis.set(title=f"{side} items", ylabel="columns")
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set(title="training frequency", ylabel="interactions")
    for axis in axes:
        axis.set(xlabel="segment")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(figure, f"{dataset}, {BACKBONES[backbone]}", axes)
    return figure


def _mean(followed: tuple[Followed, ...], column: str) -> np.ndarray:
    return np.mean([getattr(item, column) for item in followed], axis=0)


def regret_over_time(seeds: int = 5) -> Figure:
    """Regret of bandits on made-up rewards whose best arms change half way; a line per seed, a
    panel per number of contexts in a step.
    """
    figure, axes = panels(len(CHANGES))
    for axis, (forget, change) in zip(axes, CHANGES.items(), strict=True):
        for i, (each, label) in enumerate(((forget, "forgets"), (1.0, "forgets nothing"))):
            for seed in range(seeds):
                bandit = DiscountedLinUcb(change.n_arms, 3, forget=each)
                curve = regret(bandit, replace(change, seed=seed))
                axis.plot(curve, color=f"C{i}", linewidth=1, label=label)
        axis.axvline(change.at, color="0.5", linestyle=":", label="the best arms change")
        contexts = "1 context" if change.together == 1 else f"{change.together} contexts"
        axis.set(title=f"{contexts} a step, forgets {1 - forget:.0%}")
        axis.set(xlabel="step", yscale="log", ylim=(curve[change.at] / 10, None))
        axis.yaxis.set_major_formatter(EngFormatter())
    axes[0].set_ylabel("regret by context")
    finish(figure, "what not forgetting costs", axes)
    return figure
