"""Build a profile's report: bundle of records, tables, figures, executed notebook, one HTML file."""

from pathlib import Path

from bet.analysis.results import Results, load_results, write_bundle
from bet.paths import notebooks_dir, report_dir, results_dir
from bet.study.notebook import execute, render_html


def load(profile: str) -> Results:
    """The profile's records: from its results or, when there are none, from the bundle in its
    report folder.
    """
    return load_results(profile, results_dir() / profile, report_dir(profile))


def build(profile: str) -> Path:
    """Write everything into ``report_dir(profile)`` and return the path of ``report.html``."""
    folder = report_dir(profile).resolve()
    write_bundle(load(profile), folder)
    # The kernel starts where we are, so that relative folders mean the same to it.
    execute(
        notebooks_dir() / "report.ipynb",
        folder / "report.ipynb",
        {"profile": profile, "save": True},
        cwd=Path.cwd(),
    )
    render_html(
        folder / "report.ipynb",
        folder / "report.html",
        title=f"Budgeted embedding tables: profile {profile}",
    )
    return folder / "report.html"
