"""Build a profile's report: bundle of records, tables, figures, executed notebook, HTML page."""

from pathlib import Path

from bet.analysis.results import Results, results_of
from bet.paths import notebooks_dir, report_dir, results_dir
from bet.study import bundle
from bet.study.notebook import execute
from bet.study.profiles import PROFILES

OF_STREAMS = "stream_report.ipynb"


def load(profile: str) -> Results:
    """The profile's records, of its results or else of the bundle in its report folder."""
    return results_of(bundle.load(profile, results_dir() / profile, report_dir(profile)))


def build(profile: str) -> Path:
    """Write everything into ``report_dir(profile)`` and return the path of ``report.html``.

    The same records give the same bytes: nothing written here says when or where.
    """
    from bet.report.page import render_html, settle  # slow to load; notebooks only use ``load``

    folder = report_dir(profile).resolve()
    bundle.write(bundle.load(profile, results_dir() / profile, folder), folder)
    name = OF_STREAMS if PROFILES[profile].is_stream else "report.ipynb"
    # The kernel starts where we are, so that relative folders mean the same to it.
    parameters = {"study" if name == OF_STREAMS else "profile": profile, "save": True}
    notebook = folder / "report.ipynb"
    execute(notebooks_dir() / name, notebook, parameters, cwd=Path.cwd())
    settle(notebook)
    render_html(notebook, folder / "report.html", title=f"Budgeted embedding tables: {profile}")
    return folder / "report.html"
