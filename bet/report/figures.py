"""The figures of tables and their training; None where no record has anything to show."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bet.analysis.answers import curves, shown_methods
from bet.analysis.published import published_curves
from bet.analysis.results import METRIC, NO_BUDGET, REFERENCE, TABLE_BYTES, TO_SERVE, Group, Results
from bet.analysis.summaries import SETTING
from bet.methods import IN_BYTES
from bet.report.drawing import ceiling, finish, lines, look, rows
from bet.report.style import BACKBONES, METHOD_COLORS, METHOD_MARKERS
from bet.report.table import LONG, decimal

NAMED = 6  # methods of a figure, the full table not counted
RULES = ("su", "powerlaw", "bet")  # by name wherever they are
SEARCHED = ("powerlaw", "bet")  # by name where bytes are compared
LOWEST = 0.6  # of the weakest backbone's best quality: where a picture of bytes begins


def bytes_by_backbone(results: Results, group: Group) -> Figure | None:
    """Test NDCG@20 against bytes to serve and, beside it, against table bytes, a row per backbone.
    Float32 tables dashed; references and the full tables of LightGCN and iALS are points in every
    row.
    """
    cells = group.of(results.by_bytes)
    ceilings = (cells["method"] == "full") & cells["backbone"].isin(("lightgcn", "ials"))
    points = cells[(cells["backbone"] == REFERENCE) | ceilings]
    backbones = list(dict.fromkeys(cells.loc[cells["backbone"] != REFERENCE, "backbone"]))
    if not backbones:
        return None
    figure, axes = rows(backbones, sharex=True, sharey=True)
    drawn = cells[cells["method"].isin((*SEARCHED, *IN_BYTES))]
    named = shown_methods(drawn, SEARCHED, NAMED - 1)  # popularity is a line, too
    named = shown_methods(cells, tuple(named), NAMED - 1)  # where few meet bytes, others
    for column, counted in zip(axes.T, (TO_SERVE, TABLE_BYTES), strict=True):
        at = cells.groupby(SETTING)[counted].transform("mean")
        for axis, backbone in zip(column, backbones, strict=True):
            on_axis = cells["backbone"] == backbone
            ceiling(axis, cells[on_axis])
            lines(axis, cells[on_axis].assign(at=at), "at", named)
            axis.set(xlabel=counted, xscale="log", title=BACKBONES[backbone])
            axis.xaxis.set_tick_params(labelbottom=True)
    _limit(axes[0, 0], cells)
    for axis in axes[:, 0]:
        _points(axis, points)
        axis.set_ylabel(f"{LONG[METRIC]} on test")
    finish(figure, str(group), axes.flat)
    return figure


def _limit(axis: Axes, cells: pd.DataFrame) -> None:
    """From the smallest table to the largest, references aside, in powers of two; and from
    ``LOWEST`` on.
    """
    sizes = cells.loc[cells["backbone"] != REFERENCE, [TO_SERVE, TABLE_BYTES]]
    least, most = np.log2(np.nanmin(sizes)), np.log2(np.nanmax(sizes))
    axis.set_xlim(2 ** (least - 0.5), 2 ** (most + 0.5))
    ticks = 2 ** np.arange(np.ceil(least), most + 0.5, 2)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axis.minorticks_off()
    means = cells.groupby(SETTING)[METRIC].mean()
    weakest = means.groupby("backbone").max().drop(REFERENCE, errors="ignore").min()
    axis.set_ylim(max(LOWEST * weakest, 0.97 * means.min()), 1.03 * means.max())


def _points(axis: Axes, cells: pd.DataFrame) -> None:
    """References and full tables by bytes to serve, means over seeds; what is left of all tables is
    a line, what is right of them stands at the edge.
    """
    (left, right), lowest = axis.get_xlim(), axis.get_ylim()[0]
    for (backbone, method), means in cells.groupby(["backbone", "method"], sort=False):
        at, quality = means[TO_SERVE].mean(), means[METRIC].mean()
        name = method if backbone == REFERENCE else f"full {BACKBONES[backbone]}"
        label = f"{name}, {f'{at:,.0f}' if at > 100 else f'{at:.2g}'} bytes"
        label += f" ({decimal(quality)}, below)" if quality < lowest else ""
        color, fill = METHOD_COLORS[method], "none" if backbone == "ials" else "full"
        if at < left:
            axis.axhline(quality, color=color, linestyle=":", label=label)
            continue
        marker = ">" if at > right else "D" if backbone == "ials" else METHOD_MARKERS[method]
        (point,) = axis.plot(min(at, right), quality, marker, color=color, mec="black", label=label)
        point.set(markersize=7, zorder=3, clip_on=False, fillstyle=fill)


def quality_against_budget(results: Results, group: Group) -> Figure | None:
    """Test Recall@20 and NDCG@20 against the share of parameters kept, a row per backbone; the full
    table is the dashed ceiling, the paper's numbers are dotted.
    """
    cells = group.of(results.main)
    cells = cells[cells["finished"]]
    backbones = list(dict.fromkeys(cells.loc[cells["limit"].notna(), "backbone"]))
    if not backbones:
        return None
    figure, axes = rows(backbones)
    printed = any(published_curves(group, name, METRIC) for name in backbones)
    named = shown_methods(cells, (*RULES, "bet-plus"), NAMED - 2 * printed)
    for backbone, row in zip(backbones, axes, strict=True):
        panel_cells = cells[cells["backbone"] == backbone]
        share = 100 * panel_cells["limit"] / panel_cells["full_parameters"]
        panel_cells, shares = panel_cells.assign(share=share), sorted(set(share.dropna()))
        for axis, metric in zip(row, ("recall@20", METRIC), strict=True):
            ceiling(axis, panel_cells, metric)
            lines(axis, panel_cells, "share", named, metric)
            for method, values in published_curves(group, backbone, metric).items():
                kept = [np.isclose(shares, at, atol=0.01).any() for at in values.index]
                dotted = {"linestyle": ":", "mfc": "white", "label": f"{method}, published"}
                axis.plot(values[kept].index, values[kept], **(look(method) | dotted))
            axis.set(title=BACKBONES[backbone], ylabel=f"{LONG[metric]} on test")
            axis.set(xlabel="parameters kept (% of full)", xscale="log")
            axis.set_xticks(shares, [f"{share:.3g}" for share in shares], minor=False)
            axis.minorticks_off()
            axis.set_xlim(min(shares) / 1.3, max(shares) * 1.3)
    finish(figure, str(group), axes.flat)
    return figure


def sizes_against_frequency(results: Results, group: Group) -> Figure | None:
    """Mean size against training frequency at the middle budget, first seed: a row per backbone,
    users and items.
    """
    cells = group.of(results.main)
    budgets = [budget for budget in dict.fromkeys(cells["budget"]) if budget != NO_BUDGET]
    budget = budgets[len(budgets) // 2] if budgets else NO_BUDGET
    chosen = cells[(cells["budget"] == budget) & (cells["seed"] == cells["seed"].min())]
    chosen = chosen[chosen["finished"]]
    backbones = list(dict.fromkeys(chosen["backbone"]))
    if not (budgets and backbones):
        return None
    figure, axes = rows(backbones, sharey="col")
    named = shown_methods(chosen, (*RULES, "bet-random"), NAMED)
    for row, backbone in zip(axes, backbones, strict=True):
        for cell_id, method in chosen.loc[chosen["backbone"] == backbone, "method"].items():
            record = results.record(str(cell_id))
            assert record is not None
            sides = (record.sizes.users, record.sizes.items)
            for axis, bins in zip(row, sides, strict=True):
                frequency = np.maximum(bins.frequency, 0.7)  # on a log axis, never seen is near 1
                # Bins are dense on the right; markers keep their distance.
                axis.plot(frequency, bins.size, markevery=0.05, **look(method, named))
        for axis, side in zip(row, ("users", "items"), strict=True):
            title = f"{BACKBONES[backbone]}, {side}"
            axis.set(title=title, xlabel=f"training frequency of {side}", xscale="log")
    for axis in axes.flat:
        axis.set(ylabel="size (columns kept)", ylim=(0, None))
    finish(figure, f"{group}, sparsity {budget}", axes.flat)
    return figure


def quality_against_epochs(results: Results, group: Group) -> Figure | None:
    """Quality on validation against the epoch of training, a row per backbone: the full table, and
    ``su`` at its smallest budget, a line per seed; a ring is the best epoch.
    """
    points = curves(results, group)
    if points.empty:
        return None
    backbones = list(dict.fromkeys(points["backbone"]))
    methods = list(dict.fromkeys(points["method"]))
    figure, axes = rows(backbones, len(methods))
    for (backbone, method), of_method in points.groupby(["backbone", "method"], sort=False):
        axis = axes[backbones.index(backbone), methods.index(method)]
        budget = of_method["budget"].iloc[0]
        label = "full table" if method == "full" else "su at its smallest budget"
        drawn = look(str(method)) | {"markersize": 2, "label": label}
        for _, curve in of_method.groupby("seed"):
            axis.plot(curve["epoch"], curve["quality"], **drawn)
            best = curve.loc[curve["quality"].idxmax()]
            axis.plot(best["epoch"], best["quality"], "o", mfc="none", color=drawn["color"])
        what = "full table" if budget == NO_BUDGET else f"su at {budget}"
        unit = "sweep" if backbone == "ials" else "epoch"
        axis.set(title=f"{BACKBONES[backbone]}, {what}", xlabel=unit)
        axis.set_ylabel("quality on validation")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes.flat:
        if not axis.lines:  # the other method alone has run on this backbone
            axis.remove()
    finish(figure, str(group), figure.axes)
    return figure
