"""Show a report's parts in its notebook and, when saving, write them into the report folder.

Parts without a record show nothing; a section of the page in which nothing is shown is left out.
"""

import re
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import mistune  # nbconvert, which has it too, is slow to load
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from bet.analysis.results import Group, Results
from bet.analysis.streams import StreamResults
from bet.paths import project_root, report_dir
from bet.report.drawing import write
from bet.report.finding import Finding
from bet.report.findings import findings, further_findings
from bet.report.provenance import provenance, settings
from bet.report.table import Table
from bet.text import for_html


def show_findings(results: Results) -> None:
    """The five answers, or those of them that have records."""
    show_list(findings(results))


def show_further_findings(results: Results) -> None:
    """What else the records say."""
    show_list(further_findings(results))


def show_tables(
    results: Results,
    make: Callable[[Results, Group], Table | None],
    save: bool = False,
    *,
    folded: bool = False,
) -> None:
    """The table that ``make`` gives for every dataset and protocol."""
    for group in results.groups:
        show_table(results, make(results, group), save, folded=folded)


def show_table(
    results: Results | StreamResults,
    table: Table | None,
    save: bool = False,
    *,
    folded: bool = False,
) -> None:
    """One table, if there is one; saved as HTML, CSV and LaTeX."""
    if table is None:
        return
    title = table.caption.split(";")[0].split(". ")[0]
    display(HTML(_folded(title, table.html()) if folded else table.html()))
    if save:
        table.write(report_dir(results.profile) / "tables")


def show_figures(
    results: Results,
    make: Callable[[Results, Group], Figure | None],
    save: bool = False,
    groups: Sequence[Group] | None = None,
) -> None:
    """The figure that ``make`` gives for every dataset and protocol, or for some ``groups``."""
    for group in results.groups if groups is None else groups:
        show_figure(results, make(results, group), f"{make.__name__}{group.suffix}", save)


def show_provenance(results: Results) -> None:
    """Where the numbers come from, and which cells are missing or above their budget; folded."""
    reasons = [{"cell": cell.cell_id, "why": cell.why} for cell in results.unreached]
    counts = missing(results)
    frames = {
        "Settings of search and training": settings(results),
        "Machine, versions, commits, data": provenance(results),
        f"{len(results.missing)} cells that have not run": _in_lines(counts),
        f"{len(reasons)} cells that ended above their budget": pd.DataFrame(reasons),
    }
    for title, frame in frames.items():
        if len(frame):
            with pd.option_context("display.max_colwidth", None):  # whole texts
                table = frame.to_html(index=False, escape=True, border=0)
            display(HTML(_folded(title, f'<div class="scroll">{table}</div>')))


def show_checklist() -> None:
    """The questions of REFORMS and TORS and their answers: the text of ``docs/checklist.md``, whose
    links, which lead to files beside it, become words; folded.
    """
    text = (project_root() / "docs" / "checklist.md").read_text(encoding="utf-8")
    _, _, answers = text.partition("\n\n")  # without its title
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", answers)
    display(HTML(_folded("Checklist of REFORMS and TORS", str(mistune.html(words)))))


def missing(results: Results) -> pd.DataFrame:
    """How many cells of which method have not run."""
    cells = results.cells.assign(missing=~results.cells["finished"])
    keys = ["dataset", "backbone", "method"]
    counts = cells.groupby(keys, sort=False)["missing"].agg(missing="sum", of="size").reset_index()
    return counts[counts["missing"] > 0]


def _in_lines(counts: pd.DataFrame) -> pd.DataFrame:
    """A line per dataset and backbone for what is ``missing``."""
    lines = []
    for (dataset, backbone), part in counts.groupby(["dataset", "backbone"], sort=False):
        methods = ", ".join(f"{row.method} {row.missing} of {row.of}" for row in part.itertuples())
        lines.append({"dataset": dataset, "backbone": backbone, "missing": methods})
    return pd.DataFrame(lines)


def show_figure(
    results: Results | StreamResults, figure: Figure | None, name: str, save: bool = False
) -> None:
    """One figure, if there is one; saved as PNG and PDF."""
    if figure is None:
        return
    width = round(100 * figure.get_figwidth())  # so that text has the same size in all of them
    display(figure, metadata={"image/png": {"alt": name.replace("_", " "), "width": width}})
    if save:
        write(figure, name, report_dir(results.profile) / "figures")
    plt.close(figure)


def show_list(answers: Sequence[Finding]) -> None:
    """Every answer in a sentence, its points folded."""
    if answers:
        entries = "".join(answer.html() for answer in answers)
        display(HTML(f'<ul class="answers">{entries}</ul>'))


def _folded(title: str, html: str) -> str:
    return f"<details><summary>{for_html(title)}</summary>{html}</details>"
