"""Display a report's parts in its notebook and, when saving, write them into the report folder."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

from bet.analysis.results import Results, groups
from bet.report.build import report_dir
from bet.report.figures import write
from bet.report.findings import area_findings, findings, provenance
from bet.report.published import has_published, table_1, table_2
from bet.report.tables import Table


def show_provenance(study: Results) -> None:
    """Where the numbers come from, and which cells are missing."""
    display(HTML(provenance(study).to_html(header=False)))
    if study.missing:
        display(Markdown(missing(study)))
    if study.unreached:
        display(
            Markdown(
                "**Above the budget:**\n\n"
                + "\n".join(f"- `{cell['cell_id']}`: {cell['why']}" for cell in study.unreached)
            )
        )


def missing(study: Results, most: int = 30) -> str:
    """Markdown: the ids of the missing cells or, when they are more than ``most``, how many of
    which kind.
    """
    if len(study.missing) <= most:
        return "**Missing cells:** " + ", ".join(f"`{cell}`" for cell in study.missing)
    kinds = study.cells.groupby(["dataset", "backbone"], sort=False)
    lines = [
        f"- {', '.join(kind)}: {_unfinished(cells)}"
        for kind, cells in kinds
        if not cells["finished"].all()
    ]
    return "**Missing cells**, all budgets, protocols, seeds, T and m together:\n\n" + "\n".join(
        lines
    )


def _unfinished(cells: pd.DataFrame) -> str:
    if not cells["finished"].any():
        return f"all {len(cells)}"
    return ", ".join(
        f"{(~done).sum()} of {len(done)} of {method}"
        for method, done in cells.groupby("method", sort=False)["finished"]
        if not done.all()
    )


def show_findings(study: Results) -> None:
    """What the records say, computed from them."""
    display(Markdown(findings(study)))


def show_area_findings(study: Results) -> None:
    """What the curves of quality against bytes say."""
    display(Markdown(area_findings(study)))


def show_tables(study: Results, make: Callable[..., Table], save: bool = False) -> None:
    """The table that ``make`` gives for every dataset and protocol; saved as HTML, CSV and LaTeX."""
    for group in groups(study):
        show_table(study, make(study, *group), save)


def show_table(study: Results, table: Table, save: bool = False) -> None:
    """One table; saved as HTML, CSV and LaTeX."""
    display(HTML(f'<div style="overflow-x: auto">{table.html()}</div>'))
    if save:
        table.write(report_dir(study.profile) / "tables")


def show_published(study: Results, save: bool = False) -> None:
    """Tables 1 and 2 beside the paper's for every dataset and protocol that it has numbers for; a
    sentence when it has none.
    """
    known = [group for group in groups(study) if has_published(group[0])]
    if not known:
        display(Markdown(f"The paper has no numbers for the data of profile {study.profile}."))
    for make in (table_1, table_2):
        for dataset, protocol, suffix in known:
            for metric in ("recall@20", "ndcg@20"):
                show_table(study, make(study, dataset, protocol, metric, suffix), save)


def show_figures(study: Results, make: Callable[..., Figure], save: bool = False) -> None:
    """The figure that ``make`` gives for every dataset and protocol; saved as PNG and PDF."""
    for dataset, protocol, suffix in groups(study):
        show_figure(study, make(study, dataset, protocol), f"{make.__name__}{suffix}", save)


def show_curve(study: Results, make: Callable[[Results], Figure], save: bool = False) -> None:
    """A figure over the cells with another T or m; a sentence when the profile has none."""
    if len(study.cells) == len(study.main):
        display(Markdown(f"Profile {study.profile} has no such cells."))
        return
    show_figure(study, make(study), make.__name__, save)


def show_figure(study: Results, figure: Figure, name: str, save: bool = False) -> None:
    """One figure; saved as PNG and PDF."""
    display(figure, metadata={"image/png": {"alt": name.replace("_", " ")}})
    if save:
        write(figure, name, report_dir(study.profile) / "figures")
    plt.close(figure)
