"""The figures of a report; each works on whatever cells are finished and says what is missing."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bet.analysis.results import Results, in_group
from bet.analysis.statistics import average_ranks
from bet.files import atomic_path
from bet.methods import IN_BYTES
from bet.report.published import published
from bet.report.style import METHOD_COLORS, METHOD_MARKERS
from bet.report.tables import rank_blocks

METRIC = "ndcg@20"
LABEL = "NDCG@20 on test"
BYTES_SHOWN = (
    "su",
    "powerlaw",
    "bet",
    *IN_BYTES,
)  # by name where bytes are compared, the others in gray
BYTES_RANGE = (1.0, 512.0)  # per entity, of the axis
NEAR = 0.85  # of the full table's quality: where tables in bytes differ
OTHERS = {
    "color": "0.75",
    "marker": ".",
    "markersize": 4,
    "linewidth": 0.8,
    "zorder": 1,
    "label": "other float32 methods",
}


def quality_against_budget(study: Results, dataset: str, protocol: str) -> Figure:
    """Test NDCG@20 against the share of parameters kept, a panel per backbone; the full table is
    the dashed ceiling.
    """
    cells = in_group(study.main, dataset, protocol)
    figure, panels = _panels(_backbones(cells), sharey=False)
    for backbone, axis in panels.items():
        own = cells[(cells["backbone"] == backbone) & cells["finished"]]
        ceiling = own.loc[own["method"] == "full", METRIC]
        if len(ceiling):
            axis.axhline(ceiling.mean(), color="black", linestyle="--", label="full table")
        methods = list(own[own["budget"] != "none"].groupby("method", sort=False))
        for i, (method, block) in enumerate(methods):
            by_budget = block.assign(share=100 * block["limit"] / block["full_parameters"]).groupby(
                "share"
            )[METRIC]
            mean, deviation = by_budget.mean(), by_budget.std()
            apart = 1.03 ** (
                i - (len(methods) - 1) / 2
            )  # so that error bars do not hide each other
            axis.errorbar(
                mean.index * apart, mean, yerr=_bars(deviation), capsize=2, **_look(str(method))
            )
        free = own[(own["budget"] == "none") & (own["method"] != "full")]
        for method, block in free.groupby("method", sort=False):
            share = 100 * (block["parameters"] / block["full_parameters"]).mean()
            look = _look(str(method)) | {"label": f"{method}, own size"}
            axis.errorbar(
                [share],
                [block[METRIC].mean()],
                yerr=_bars(pd.Series([block[METRIC].std()])),
                mfc="white",
                **look,
            )
        shares = sorted(set((100 * own["limit"] / own["full_parameters"]).dropna()))
        for method, values in _published(dataset, protocol, backbone, shares).items():
            axis.plot(
                values.index,
                values,
                linestyle=":",
                mfc="white",
                **(_look(method) | {"label": f"{method}, published"}),
            )
        axis.set(title=backbone, xlabel="parameters kept (% of full)", xscale="log")
        axis.set_xticks(shares, [f"{share:.3g}" for share in shares], minor=False)
        axis.minorticks_off()
        if shares:
            drawn = [*shares, *(100 * free["parameters"] / free["full_parameters"])]
            axis.set_xlim(min(drawn) / 1.3, max(drawn) * 1.3)
        _nothing(axis, own)
    figure.suptitle(f"{dataset}, protocol {protocol}", fontsize=9)
    _share_legend(figure, panels.values(), LABEL)
    return figure


def _published(
    dataset: str, protocol: str, backbone: str, shares: list[float]
) -> dict[str, pd.Series]:
    """The paper's SU and BET by share of parameters kept, where it has them; its models see as much
    data as ``merged``'s.
    """
    if protocol != "merged":
        return {}
    printed = published()
    own = printed[
        (printed["dataset"] == dataset)
        & (printed["backbone"] == backbone)
        & (printed["metric"] == METRIC)
    ]
    found = {}
    for method in ("su", "bet"):
        values = own[(own["method"] == method)].set_index("budget")["value"]
        values.index = [100.0 - float(budget.rstrip("%")) for budget in values.index]
        values = values[
            [any(abs(share - kept) < 0.01 for share in shares) for kept in values.index]
        ].sort_index()
        if len(values):
            found[method] = values
    return found


def quality_against_bytes(study: Results, dataset: str, protocol: str) -> Figure:
    """Test NDCG@20 against what a file takes, a column per backbone; below, from ``NEAR`` of the
    full table's quality on.

    Float32 tables dashed; the full one is the ceiling, and a point where its file is.
    """
    cells = in_group(study.by_bytes, dataset, protocol)
    backbones = _backbones(cells)
    size = (3.0 * len(backbones) + 1.0, 5.8)
    figure, axes = plt.subplots(
        2, len(backbones), figsize=size, height_ratios=(1, 1.3), squeeze=False
    )
    for (whole, near), backbone in zip(axes.T, backbones, strict=True):
        own = cells[cells["backbone"] == backbone]
        for axis in (whole, near):
            _bytes_curves(axis, own, dataset, protocol, backbone)
        full, others = own[own["method"] == "full"], own[own["budget"] != "none"]
        low, high = BYTES_RANGE
        whole.set(title=backbone, xlim=(low / 1.2, max([high, *full["bytes_per_entity"]]) * 1.2))
        if len(full):
            ceiling = full[METRIC].mean()
            whole.plot(
                full["bytes_per_entity"].mean(),
                ceiling,
                color="black",
                marker=METHOD_MARKERS["full"],
            )
            near.set_ylim(NEAR * ceiling, max(1.02 * ceiling, whole.get_ylim()[1]))
            others = others[others[METRIC] >= NEAR * ceiling]
        if len(others):
            octaves = np.log2(
                others["bytes_per_entity"]
            )  # from tick to tick, also around a single point
            near.set_xlim(2 ** np.floor(octaves.min() - 0.1), 2 ** np.ceil(octaves.max() + 0.1))
        for axis, step in ((whole, 2), (near, 1)):
            axis.set(xlabel="bytes per entity (file)", xscale="log")
            left, right = axis.get_xlim()
            ticks = [2.0**i for i in range(0, 11, step) if left <= 2**i <= right]
            axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks], minor=False)
            axis.minorticks_off()
    figure.suptitle(f"{dataset}, protocol {protocol}", fontsize=9)
    for axis in axes[:, 0]:
        axis.set_ylabel(LABEL)
    _share_legend(figure, axes[0])
    return figure


def _bytes_curves(
    axis: Axes, own: pd.DataFrame, dataset: str, protocol: str, backbone: str
) -> None:
    """Every method's points and, of a backbone with published ones, those."""
    ceiling = own[own["method"] == "full"]
    if len(ceiling):
        axis.axhline(ceiling[METRIC].mean(), color="black", linestyle="--", label="full table")
    for method, block in own[own["budget"] != "none"].groupby("method", sort=False):
        budgets = block.groupby("budget")
        points = pd.DataFrame(
            {
                "at": budgets["bytes_per_entity"].mean(),
                "mean": budgets[METRIC].mean(),
                "deviation": budgets[METRIC].std(),
            }
        )
        points = points.sort_values("at")
        look = (
            _look(str(method)) | {"linestyle": "-" if method in IN_BYTES else "--"}
            if method in BYTES_SHOWN
            else OTHERS
        )
        axis.errorbar(
            points["at"], points["mean"], yerr=_bars(points["deviation"]), capsize=2, **look
        )
    shares = sorted(set((100 * own["limit"] / own["full_parameters"]).dropna()))
    if len(ceiling):
        whole = 4 * float((ceiling["full_parameters"] / ceiling["entities"]).mean())
        for method, values in _published(dataset, protocol, backbone, shares).items():
            look = _look(method) | {"label": f"{method}, published"}
            axis.plot(values.index / 100 * whole, values, linestyle=":", mfc="white", **look)
    _nothing(axis, own)


def sizes_against_frequency(study: Results, dataset: str, protocol: str) -> Figure:
    """Mean size against training frequency at the middle budget, first seed, users above and items
    below.
    """
    cells = in_group(study.main, dataset, protocol)
    budgets = [budget for budget in dict.fromkeys(cells["budget"]) if budget != "none"]
    budget = budgets[len(budgets) // 2]
    chosen = cells[
        (cells["budget"] == budget) & cells["finished"] & (cells["seed"] == cells["seed"].min())
    ]
    backbones = _backbones(cells)
    figure, axes = plt.subplots(
        2, len(backbones), figsize=(2.6 * len(backbones) + 0.8, 4.6), sharey="row", squeeze=False
    )
    for column, backbone in enumerate(backbones):
        own = chosen[chosen["backbone"] == backbone]
        for row, side in enumerate(("users", "items")):
            axis = axes[row, column]
            for cell_id, method in own["method"].items():
                record = study.record(str(cell_id))
                assert record is not None
                binned = record["sizes"][side]
                axis.plot(
                    np.maximum(binned["frequency"], 0.7),
                    binned["size"],
                    **_look(method, markersize=3),
                )
            title = f"{backbone}, {side}"
            axis.set(title=title, xlabel=f"training frequency of {side}", xscale="log")
            _nothing(axis, own)
    for axis in axes[:, 0]:
        axis.set(ylabel="size (columns kept)", ylim=(0, None))
    figure.suptitle(f"{dataset}, protocol {protocol}, sparsity {budget}", fontsize=9)
    _share_legend(figure, axes.flat)
    return figure


def budget_use(study: Results, dataset: str, protocol: str) -> Figure:
    """Share of the limit that every finished table uses; 1 is all of it, more would break the
    promise.
    """
    cells = in_group(study.main, dataset, protocol)
    cells = cells[cells["finished"] & (cells["budget"] != "none")]
    figure, axis = plt.subplots(figsize=(6.5, 2.4))
    share = cells["parameters"] / cells["limit"]
    for i, method in enumerate(methods := list(dict.fromkeys(cells["method"]))):
        values = share[cells["method"] == method]
        axis.plot(
            np.full(len(values), i), values, linestyle="", **(_look(method) | {"label": None})
        )
        note = (
            f"min {values.min():.4f}\n{len(values)} tables"
            if len(methods) <= 6
            else f"{values.min():.3f}"
        )
        axis.annotate(note, (i, values.min()), (0, -26), textcoords="offset points", ha="center")
    axis.axhline(1.0, color="0.4", linestyle=":", label="the budget")
    axis.set(ylim=(0.9, 1.02), ylabel="parameters used / limit", xlabel="method")
    axis.set_xticks(range(len(methods)), methods, rotation=30 if len(methods) > 8 else 0)
    axis.margins(x=0.08)
    if len(share) and share.min() < 0.95:
        axis.set_ylim(share.min() - 0.1, 1.02)
    axis.legend(loc="lower right")
    _nothing(axis, cells)
    return figure


def cost(study: Results, dataset: str, protocol: str) -> Figure:
    """Mean wall-clock seconds of a cell by stage, a panel per backbone."""
    cells = in_group(study.main, dataset, protocol)
    figure, panels = _panels(_backbones(cells), sharey=False)
    for backbone, axis in panels.items():
        own = cells[(cells["backbone"] == backbone) & cells["finished"]]
        own = own[(own["budget"] != "none") | (own["method"] == "full")]
        stages = own.groupby("method", sort=False)[
            ["pretrain_seconds", "search_seconds", "retrain_seconds"]
        ].mean()
        left = np.zeros(len(stages))
        for stage, hatch in zip(stages.columns, ("", "//", ".."), strict=True):
            axis.barh(
                stages.index,
                stages[stage],
                left=left,
                hatch=hatch,
                label=stage.removesuffix("_seconds"),
                edgecolor="white",
            )
            left += stages[stage].to_numpy()
        axis.invert_yaxis()
        axis.set(title=backbone, xlabel="seconds per cell")
        _nothing(axis, own)
    figure.suptitle(f"{dataset}, protocol {protocol}", fontsize=9)
    _share_legend(figure, panels.values())
    return figure


def ranks(study: Results) -> Figure:
    """Average rank of every budgeted method with a bar as long as the critical difference: where
    bars part, methods differ.
    """
    found = average_ranks(rank_blocks(study, METRIC))
    figure, axis = plt.subplots(figsize=(5.2, 3.2))
    if found is None:
        _nothing(axis, study.main.iloc[:0])
        return figure
    for i, (method, rank) in enumerate(found.mean.items()):
        look = _look(str(method)) | {"label": None, "linestyle": ""}
        axis.errorbar([rank], [i], xerr=found.difference / 2, capsize=2, **look)
    axis.set_yticks(range(len(found.mean)), found.mean.index)
    axis.invert_yaxis()
    axis.set_xlabel(
        f"average rank by NDCG@20 over {found.blocks} cells, 1 is best; bars: critical difference",
        fontsize=8,
    )
    return figure


def quality_against_actions(study: Results) -> Figure:
    """Figure 4: test quality against m, the number of actions sampled per iteration."""
    cells, default = study.cells, _sampled(study)
    varied = cells[(cells["actions"] > 0)]
    keys = ["dataset", "backbone", "budget", "method", "protocol"]
    own = (
        study.main.reset_index()
        .merge(varied[keys].drop_duplicates(), on=keys)
        .assign(actions=default)
    )
    both = pd.concat([varied, own.set_index("cell_id")])
    figure, panels = _panels(["recall@20", "ndcg@20"], sharey=False)
    for metric, axis in panels.items():
        for method, block in both[both["finished"].astype(bool)].groupby("method"):
            values = block.groupby("actions")[metric]
            axis.errorbar(
                values.mean().index,
                values.mean(),
                yerr=_bars(values.std()),
                capsize=2,
                **_look(str(method)),
            )
        axis.set(xlabel="m, actions sampled per iteration", ylabel=f"{_pretty(metric)} on test")
        _nothing(axis, both[both["finished"].astype(bool)])
    _title(figure, varied)
    return figure


def quality_against_iterations(study: Results) -> Figure:
    """Figure 5: quality of the action selected after T iterations, on validation (where it is
    selected) and on test.
    """
    cells = study.cells[study.cells["iterations"] > 0]
    figure, panels = _panels(["quality on validation", "recall@20", "ndcg@20"], sharey=False)
    rows = [
        {"method": method, "T": winner["t"], "quality on validation": winner["quality"]}
        | winner["test"]
        for cell_id, method in cells["method"].items()
        for winner in _search(study, str(cell_id))["winners"]
    ]
    frame = pd.DataFrame(
        rows, columns=["method", "T", "quality on validation", "recall@20", "ndcg@20"]
    )
    for metric, axis in panels.items():
        for method, block in frame.groupby("method", sort=False):
            values = block.groupby("T")[metric]
            axis.errorbar(
                values.mean().index,
                values.mean(),
                yerr=_bars(values.std()),
                capsize=2,
                **_look(str(method)),
            )
        axis.set(
            xlabel="T, iterations",
            ylabel=metric if metric.startswith("quality") else f"{_pretty(metric)} on test",
        )
        _nothing(axis, frame)
    _title(figure, cells)
    _share_legend(figure, panels.values())
    return figure


def predictor_loss(study: Results) -> Figure:
    """Figure 6: mean squared error of the predictor on its batch before each update, against the
    iteration.
    """
    cells = study.cells[
        study.cells["method"].isin(("bet", "bet-simple")) & (study.cells["actions"] == 0)
    ]
    longest = cells["iterations"].max() if len(cells) else 0
    cells = cells[cells["iterations"] == longest]
    figure, axis = plt.subplots(figsize=(4.2, 2.6))
    rows = [
        {"method": method, "t": row["t"], "loss": row["predictor_loss"]}
        for cell_id, method in cells["method"].items()
        for row in _search(study, str(cell_id))["iterations"]
    ]
    frame = pd.DataFrame(rows, columns=["method", "t", "loss"])
    for method, block in frame.groupby("method", sort=False):
        values = block.groupby("t")["loss"].mean()
        axis.plot(values.index, values, **_look(str(method), markersize=3))
    axis.set(
        xlabel="iteration t",
        ylabel="predictor loss (squared error)",
        yscale="log" if len(frame) else "linear",
    )
    if len(frame):
        axis.legend()
    _nothing(axis, frame)
    _title(figure, cells)
    return figure


def write(figure: Figure, name: str, folder: Path) -> None:
    """Save as ``<name>.png`` and ``<name>.pdf`` in ``folder``."""
    for suffix in ("png", "pdf"):
        with atomic_path(folder / f"{name}.{suffix}") as temporary:
            # Without dates in it, the same figure is the same file.
            metadata = {"CreationDate": None} if suffix == "pdf" else {"Software": None}
            figure.savefig(temporary, metadata=metadata)


def _backbones(cells: pd.DataFrame) -> list[str]:
    """The backbones with a finished cell; all of them while there is none."""
    finished = cells.loc[cells["finished"], "backbone"]
    return list(dict.fromkeys(finished if len(finished) else cells["backbone"]))


def _panels(names: list[str], sharey: bool) -> tuple[Figure, dict[str, Axes]]:
    figure, axes = plt.subplots(
        1, len(names), figsize=(2.6 * len(names) + 0.8, 2.9), sharey=sharey, squeeze=False
    )
    return figure, dict(zip(names, axes[0], strict=True))


def _look(method: str, markersize: float = 4) -> dict:
    look = {"color": METHOD_COLORS[method], "marker": METHOD_MARKERS[method], "label": method}
    return look | {"markersize": markersize, "linewidth": 1.2}


def _bars(deviation: pd.Series) -> np.ndarray | None:
    """Error bars where there are several seeds, none otherwise."""
    return None if deviation.isna().all() else deviation.fillna(0.0).to_numpy()


def _share_legend(figure: Figure, axes: Iterable[Axes], ylabel: str | None = None) -> None:
    """One legend below all panels; ``ylabel`` on the first."""
    axes = list(axes)
    if ylabel:
        axes[0].set_ylabel(ylabel)
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if handles:
        wide = max(1.2, 0.5 + 0.055 * max(map(len, handles)))  # inches of a column
        columns = max(1, min(len(handles), int(figure.get_figwidth() / wide)))
        rows = -(-len(handles) // columns)
        figure.set_figheight(
            figure.get_figheight() + 0.18 * max(0, rows - 2)
        )  # so that a long legend does not flatten the panels
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=columns, fontsize=8
        )


def _nothing(axis: Axes, frame: pd.DataFrame) -> None:
    if not len(frame):
        axis.text(
            0.5,
            0.5,
            "no finished cell yet",
            transform=axis.transAxes,
            ha="center",
            va="center",
            color="0.4",
        )


def _title(figure: Figure, cells: pd.DataFrame) -> None:
    """What the curves are of, with the cells that are missing from them."""
    kinds = dict.fromkeys(zip(cells["dataset"], cells["backbone"], cells["budget"], strict=True))
    what = "; ".join(
        f"{dataset}, {backbone}, sparsity {budget}" for dataset, backbone, budget in kinds
    )
    missing = int((~cells["finished"].astype(bool)).sum())
    figure.suptitle(
        what + (f" ({missing} of {len(cells)} cells missing)" if missing else ""), fontsize=9
    )


def _sampled(study: Results) -> int:
    """The profile's own m, from the records."""
    values = [r["settings"]["search"]["actions"] for r in study.records if not r["cell"]["actions"]]
    return values[0] if values else 0


def _search(study: Results, cell_id: str) -> dict:
    record = study.record(cell_id)
    return record["search"] if record and record["search"] else {"winners": [], "iterations": []}


def _pretty(metric: str) -> str:
    return metric.replace("recall", "Recall").replace("ndcg", "NDCG")
