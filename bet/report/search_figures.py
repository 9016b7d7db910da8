"""The figures about the search; None where no record has anything to show."""

import pandas as pd
from matplotlib.figure import Figure

from bet.analysis.results import METRIC, Results
from bet.analysis.summaries import selected_after
from bet.report.drawing import finish, lines, panels, what
from bet.report.table import LONG


def quality_against_actions(results: Results) -> Figure | None:
    """Figure 4: test quality against m, the number of actions sampled per iteration."""
    cells = results.cells[results.cells["finished"]]
    varied = cells[cells["actions"].notna()]
    if varied.empty:
        return None
    keys = ["dataset", "backbone", "budget", "method", "protocol", "seed"]  # one line, one seed
    usual = results.main.reset_index().merge(varied[keys].drop_duplicates(), on=keys)
    usual = usual[usual["finished"]]
    records = [results.record(cell_id) for cell_id in usual["cell_id"]]
    usual["actions"] = [record.settings.search["actions"] for record in records if record]
    both = pd.concat([varied, usual])
    figure, axes = panels(2)
    for metric, axis in zip(("recall@20", METRIC), axes, strict=True):
        lines(axis, both, "actions", ["bet"], metric)
        axis.set(xlabel="m, actions sampled per iteration", ylabel=f"{LONG[metric]} on test")
    finish(figure, what(varied), ())
    return figure


def quality_against_iterations(results: Results) -> Figure | None:
    """Figure 5: quality of the action selected after T iterations, on validation (where it is
    selected) and on test.
    """
    cells, frame = selected_after(results)
    if frame.empty:
        return None
    labels = {"quality": "quality on validation", "recall@20": "", METRIC: ""}
    figure, axes = panels(len(labels))
    for (metric, label), axis in zip(labels.items(), axes, strict=True):
        lines(axis, frame, "T", list(dict.fromkeys(frame["method"])), metric)
        axis.set(xlabel="T, iterations", ylabel=label or f"{LONG[metric]} on test")
    finish(figure, what(cells), axes)
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
    figure, (axis,) = panels(1)
    frame = pd.DataFrame(rows, columns=["method", "budget", "t", "loss"])
    lines(axis, frame, "t", list(dict.fromkeys(frame["method"])), "loss", bars=False)
    axis.set(xlabel="iteration t", ylabel="predictor loss (squared error)", yscale="log")
    axis.legend()
    finish(figure, what(cells), ())
    return figure
