"""One page about a file that was written: how to recommend from it, what the gate said, quality
against bytes, what the file is made of.
"""

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bet.files import atomic_path
from bet.release.families import FAMILIES
from bet.release.result import Measured, TableRelease
from bet.release.sentences import (
    decision_sentence,
    expectations,
    history_sentence,
    ids_sentence,
    left_out_sentence,
    load_lines,
    refit_sentence,
    warning_sentence,
)
from bet.release.templates import TEMPLATES
from bet.report.style import use_style

FAMILY_WORDS = {family.name: family.words for family in FAMILIES} | {
    "knn": "nearest items",
    "search": "BET's search",
}
FAR_LEFT = 0.1  # of the budget: smaller files are not drawn


def plot_quality(release: TableRelease) -> Figure:
    """Validation quality against bytes to serve, a color for every family; hollow: without
    histories; crosses: what somebody would have without the file.
    """
    figure, axis = plt.subplots(figsize=(6, 3.6))
    for reference in release.references:
        axis.plot(reference.n_bytes, reference.quality, "x", color="black")
        away = {"textcoords": "offset points", "fontsize": 6, "ha": "right"}
        point = (reference.n_bytes, reference.quality)
        axis.annotate(reference.name, point, (-6, -3), **away)  # type: ignore[arg-type]
    _plot_candidates(axis, release)
    budget = f"the budget, {release.limit:,} bytes"
    axis.axvline(release.limit, color="0.5", linestyle=":", label=budget)
    axis.set(xscale="log", xlabel="bytes to serve", ylabel="quality on validation")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.margins(x=0.15, y=0.15)
    figure.legend(loc="outside lower center", ncols=3, fontsize=6)
    return figure


def _plot_candidates(axis: Axes, release: TableRelease) -> None:
    shown = [each for each in _rows(release) if each.n_bytes >= FAR_LEFT * release.limit]
    for i, family in enumerate(dict.fromkeys(each.family for each in shown)):
        color = f"C{i % 10}"
        members = [each for each in shown if each.family == family]
        for history in (True, False):
            those = [each for each in members if each.history == history]
            points = [each.n_bytes for each in those], [each.quality for each in those]
            axis.plot(*points, "o", color=color, mfc=color if history else "none", ms=5)
        axis.plot([], [], "o", color=color, ms=5, label=FAMILY_WORDS[family])
    chosen = release.chosen
    ring = {"mfc": "none", "color": "black", "label": f"chosen: {chosen.name}"}
    axis.plot(chosen.n_bytes, chosen.quality, "o", ms=10, **ring)  # type: ignore[arg-type]


def page_path(release: TableRelease) -> Path:
    """Where the page is: beside the file, ``FILE.html``."""
    return release.file.with_name(release.file.name + ".html")


def write_page(release: TableRelease) -> Path:
    """Write the page; its path."""
    parts = {name: f"{size:,}" for name, size in release.report.parts.items()}
    parts["total"] = f"{release.report.total:,}"
    page = TEMPLATES.get_template("page.html").render(
        release=release,
        name=release.file.name,
        load=load_lines(release),
        history=history_sentence(release),
        ids=ids_sentence(release),
        decision=decision_sentence(release),
        references=reference_table(release).to_html(index=False, border=0),
        picture=_picture(release),
        expectations=expectations(release),
        candidates=_candidate_table(release).to_html(index=False, border=0),
        warning=warning_sentence(release),
        refitted=refit_sentence(release),
        left_out=left_out_sentence(release),
        parts=pd.DataFrame([parts]).to_html(index=False, border=0),
    )
    path = page_path(release)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _picture(release: TableRelease) -> str:
    """The figure as PNG in base64."""
    use_style()
    figure, picture = plot_quality(release), io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    plt.close(figure)
    return base64.b64encode(picture.getvalue()).decode()


def reference_table(release: TableRelease) -> pd.DataFrame:
    """What test users get from the file and from what somebody would have without it."""
    rows = [(release.chosen.name, release.report.total, release.test)]
    rows += [(each.name, each.n_bytes, each.test) for each in release.references]
    columns = {"": [name for name, _, _ in rows]}
    columns["bytes to serve"] = [f"{n_bytes:,}" for _, n_bytes, _ in rows]
    for metric in ("recall@20", "ndcg@20", "quality"):
        columns[metric] = [f"{test[metric]:.4f}" for _, _, test in rows]
    return pd.DataFrame(columns)


def _rows(release: TableRelease) -> tuple[Measured, ...]:
    """The best settings of every candidate, then what was trained for other bytes."""
    others = [*release.half.candidates, *release.double.candidates]
    known = release.best_by_name
    return (*known, *(each for each in others if each not in known))


def _candidate_table(release: TableRelease) -> pd.DataFrame:
    n, rows = release.n_users + release.n_items, []
    for measured in _rows(release):
        settings = [f"{name} {value:g}" for name, value in measured.settings.items()]
        rows.append(
            {
                "candidate": measured.name + " (chosen)" * (measured == release.chosen),
                "bytes to serve": f"{measured.n_bytes:,}",
                "bytes per entity": f"{measured.n_bytes / n:.2f}",
                "numbers per entity": f"{measured.columns:.1f}",
                "quality on validation": f"{measured.quality:.4f}",
                "settings": ", ".join(settings),
            }
        )
    return pd.DataFrame(rows)
