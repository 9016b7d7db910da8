"""The figures of a report; None where no record has anything to show.

At most seven lines are named; the others are gray and share an entry of the legend.
"""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bet.analysis.answers import shown_methods
from bet.analysis.published import published_curves
from bet.analysis.results import METRIC, NO_BUDGET, REFERENCE, TABLE_BYTES, TO_SERVE, Group, Results
from bet.analysis.summaries import SETTING, over_seeds, selected_after
from bet.files import atomic_path
from bet.methods import IN_BYTES
from bet.report.style import BACKBONES, METHOD_COLORS, METHOD_MARKERS
from bet.report.table import LONG, decimal

NAMED = 6  # methods of a figure, the full table not counted
RULES = ("su", "powerlaw", "bet")  # by name wherever they are
SEARCHED = ("powerlaw", "bet")  # by name where bytes are compared
LOWEST = 0.6  # of the weakest backbone's best quality: where a picture of bytes begins
OTHERS = {"color": "0.75", "marker": ".", "markersize": 4, "linewidth": 0.8, "zorder": 1}


def quality_against_bytes(results: Results, group: Group) -> Figure | None:
    """Test NDCG@20 against bytes to serve and, below, against table bytes, a column per backbone.
    Float32 tables dashed; references and the full tables of LightGCN and iALS are points in every
    column.
    """
    cells = group.of(results.by_bytes)
    ceilings = (cells["method"] == "full") & cells["backbone"].isin(("lightgcn", "ials"))
    points = cells[(cells["backbone"] == REFERENCE) | ceilings].dropna(subset=TO_SERVE)
    backbones = list(dict.fromkeys(cells.loc[cells["backbone"] != REFERENCE, "backbone"]))
    if not backbones:
        return None
    n = len(backbones)
    size = (2.1 * n + 1.6, 6)
    figure, axes = plt.subplots(2, n, figsize=size, sharex=True, sharey=True, squeeze=False)
    drawn = cells[cells["method"].isin((*SEARCHED, *IN_BYTES))]
    named = shown_methods(drawn, SEARCHED, NAMED - 1)  # popularity is a line, too
    for row, counted in zip(axes, (TO_SERVE, TABLE_BYTES), strict=True):
        at = cells.groupby(SETTING)[counted].transform("mean")
        for axis, backbone in zip(row, backbones, strict=True):
            on_axis = cells["backbone"] == backbone
            _ceiling(axis, cells[on_axis])
            _lines(axis, cells[on_axis].assign(at=at), "at", named)
            axis.set(xlabel=counted, xscale="log")
            axis.xaxis.set_tick_params(labelbottom=True)
    _limit(axes[0, 0], cells)
    for axis, backbone in zip(axes[0], backbones, strict=True):
        axis.set_title(BACKBONES[backbone])
        _points(axis, points)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"{LONG[METRIC]} on test")
    _finish(figure, str(group), axes.flat)
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
    """Test NDCG@20 against the share of parameters kept, a panel per backbone; the full table is
    the dashed ceiling, the paper's numbers are dotted.
    """
    cells = group.of(results.main)
    cells = cells[cells["finished"]]
    backbones = list(dict.fromkeys(cells.loc[cells["limit"].notna(), "backbone"]))
    if not backbones:
        return None
    figure, axes = _panels(len(backbones))
    printed = {name: published_curves(group, name, METRIC) for name in backbones}
    named = shown_methods(cells, (*RULES, "bet-random"), NAMED - 2 * any(printed.values()))
    for backbone, axis in zip(backbones, axes, strict=True):
        panel_cells = cells[cells["backbone"] == backbone]
        share = 100 * panel_cells["limit"] / panel_cells["full_parameters"]
        panel_cells, shares = panel_cells.assign(share=share), sorted(set(share.dropna()))
        _ceiling(axis, panel_cells)
        _lines(axis, panel_cells, "share", named)
        for method, values in printed[backbone].items():
            values = values[[np.isclose(shares, kept, atol=0.01).any() for kept in values.index]]
            look = _look(method) | {"linestyle": ":", "mfc": "white"}
            axis.plot(values.index, values, **(look | {"label": f"{method}, published"}))
        axis.set(title=BACKBONES[backbone], xlabel="parameters kept (% of full)", xscale="log")
        axis.set_xticks(shares, [f"{share:.3g}" for share in shares], minor=False)
        axis.minorticks_off()
        axis.set_xlim(min(shares) / 1.3, max(shares) * 1.3)
    axes[0].set_ylabel(f"{LONG[METRIC]} on test")
    _finish(figure, str(group), axes)
    return figure


def sizes_against_frequency(results: Results, group: Group) -> Figure | None:
    """Mean size against training frequency at the middle budget, first seed, users above and items
    below.
    """
    cells = group.of(results.main)
    budgets = [budget for budget in dict.fromkeys(cells["budget"]) if budget != NO_BUDGET]
    budget = budgets[len(budgets) // 2] if budgets else NO_BUDGET
    chosen = cells[(cells["budget"] == budget) & (cells["seed"] == cells["seed"].min())]
    chosen = chosen[chosen["finished"]]
    backbones = list(dict.fromkeys(chosen["backbone"]))
    if not (budgets and backbones):
        return None
    size = (2.6 * len(backbones) + 0.8, 4.6)
    figure, axes = plt.subplots(2, len(backbones), figsize=size, sharey="row", squeeze=False)
    named = shown_methods(chosen, (*RULES, "bet-random"), NAMED)
    for column, backbone in enumerate(backbones):
        for cell_id, method in chosen.loc[chosen["backbone"] == backbone, "method"].items():
            record = results.record(str(cell_id))
            assert record is not None
            sides = (record.sizes.users, record.sizes.items)
            for axis, bins in zip(axes[:, column], sides, strict=True):
                frequency = np.maximum(bins.frequency, 0.7)  # on a log axis, never seen is near 1
                axis.plot(frequency, bins.size, **_look(method, named))
        for axis, side in zip(axes[:, column], ("users", "items"), strict=True):
            title = f"{BACKBONES[backbone]}, {side}"
            axis.set(title=title, xlabel=f"training frequency of {side}", xscale="log")
    for axis in axes[:, 0]:
        axis.set(ylabel="size (columns kept)", ylim=(0, None))
    _finish(figure, f"{group}, sparsity {budget}", axes.flat)
    return figure


def quality_against_actions(results: Results) -> Figure | None:
    """Figure 4: test quality against m, the number of actions sampled per iteration."""
    cells = results.cells[results.cells["finished"]]
    varied = cells[cells["actions"].notna()]
    if varied.empty:
        return None
    keys = ["dataset", "backbone", "budget", "method", "protocol"]
    usual = results.main.reset_index().merge(varied[keys].drop_duplicates(), on=keys)
    usual = usual[usual["finished"]]
    records = [results.record(cell_id) for cell_id in usual["cell_id"]]
    usual["actions"] = [record.settings.search["actions"] for record in records if record]
    both = pd.concat([varied, usual])
    figure, axes = _panels(2)
    for metric, axis in zip(("recall@20", METRIC), axes, strict=True):
        _lines(axis, both, "actions", ["bet"], metric)
        axis.set(xlabel="m, actions sampled per iteration", ylabel=f"{LONG[metric]} on test")
    _finish(figure, _what(varied), ())
    return figure


def quality_against_iterations(results: Results) -> Figure | None:
    """Figure 5: quality of the action selected after T iterations, on validation (where it is
    selected) and on test.
    """
    cells, frame = selected_after(results)
    if frame.empty:
        return None
    panels = {"quality": "quality on validation", "recall@20": "", METRIC: ""}
    figure, axes = _panels(len(panels))
    for (metric, label), axis in zip(panels.items(), axes, strict=True):
        _lines(axis, frame, "T", list(dict.fromkeys(frame["method"])), metric)
        axis.set(xlabel="T, iterations", ylabel=label or f"{LONG[metric]} on test")
    _finish(figure, _what(cells), axes)
    return figure


def predictor_loss(results: Results) -> Figure | None:
    """Figure 6: mean squared error of the predictor on its batch before each update, against the
    iteration.
    """
    cells = results.cells[results.cells["method"].isin(("bet", "bet-simple"))]
    cells = cells[cells["finished"] & cells["actions"].isna()]
    if cells["iterations"].notna().any():  # the longest search
        cells = cells[cells["iterations"] == cells["iterations"].max()]
    rows = []
    for record in map(results.record, cells.index):
        assert record is not None
        for measured in record.search.iterations if record.search else ():
            names = (record.cell.method, record.cell.budget)
            rows.append((*names, measured.t, measured.predictor_loss))
    if not rows:
        return None
    figure, axis = plt.subplots(figsize=(4.2, 2.9))
    frame = pd.DataFrame(rows, columns=["method", "budget", "t", "loss"])
    _lines(axis, frame, "t", list(dict.fromkeys(frame["method"])), "loss", bars=False)
    axis.set(xlabel="iteration t", ylabel="predictor loss (squared error)", yscale="log")
    axis.legend()
    _finish(figure, _what(cells), ())
    return figure


def write(figure: Figure, name: str, folder: Path) -> None:
    """Save as ``<name>.png`` and ``<name>.pdf`` in ``folder``; the same figure is the same file."""
    for suffix, undated in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        with atomic_path(folder / f"{name}.{suffix}") as temporary:
            figure.savefig(temporary, metadata=undated)


def _lines(
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
        axis.errorbar(means.index, means["mean"], yerr=deviation, capsize=2, **_look(method, named))


def _look(method: str, named: Iterable[str] | None = None) -> dict:
    if named is not None and method not in named:
        return OTHERS | {"label": "other methods"}
    look = {"color": METHOD_COLORS[method], "marker": METHOD_MARKERS[method], "label": method}
    dashes = "-" if method in IN_BYTES or method.startswith("bet") else "--"
    return look | {"markersize": 4, "linewidth": 1.2, "linestyle": dashes}


def _ceiling(axis: Axes, cells: pd.DataFrame) -> None:
    full = cells.loc[cells["method"] == "full", METRIC]
    if len(full):
        axis.axhline(full.mean(), color="black", linestyle="-.", label="full table")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(1, count, figsize=(2.6 * count + 0.8, 2.9), squeeze=False)
    return figure, list(axes[0])


def _finish(figure: Figure, title: str, axes: Iterable[Axes]) -> None:
    """A title, and one legend of ``axes`` below all panels, the gray lines last."""
    figure.suptitle(title, fontsize=9)
    handles: dict[str, Artist] = {}
    for axis in axes:
        drawn, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    gray = handles.pop("other methods", None)
    handles |= {} if gray is None else {"other methods": gray}
    if handles:
        widest = 0.5 + 0.06 * max(map(len, handles))  # inches, about
        columns = max(1, min(len(handles), int(figure.get_figwidth() / widest)))
        named = (list(handles.values()), list(handles))
        figure.legend(*named, loc="outside lower center", ncols=columns, fontsize=8)


def _what(cells: pd.DataFrame) -> str:
    """What the curves are of."""
    settings = cells[["dataset", "backbone", "budget"]].drop_duplicates().itertuples(index=False)
    return "; ".join(f"{s.dataset}, {BACKBONES[s.backbone]}, sparsity {s.budget}" for s in settings)
