"""One page about a table that was built: quality against bytes, what the gate said, what the file
is made of, how to load it.
"""

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bet.files import atomic_path
from bet.release.gate import CONFIDENCE
from bet.release.result import BudgetAlternative, TableRelease, bits_in_words
from bet.report.style import use_style
from bet.study.output import SIDE_FILES

TEMPLATE = Environment(autoescape=True).from_string(
    Path(__file__).with_name("page.html").read_text(encoding="utf-8")
)
LOAD = """import bet
table = bet.load({file!r})
vectors = table.users([{user!r}])"""


def load_lines(release: TableRelease) -> str:
    """Three lines of Python that read a user's rows from the file."""
    return LOAD.format(file=str(release.file), user=release.example_user)


def decision_sentence(release: TableRelease) -> str:
    """Which table is used, searched or uniform, and the numbers that decided."""
    decision = release.decision
    if decision is None:
        return f"No searched table: {release.unsearched}."
    used = "searched" if decision.accepted else "uniform"
    if decision.bound is None:
        bound = "too few users for a bound"
    else:
        bound = f"{CONFIDENCE:.0%} lower bound {decision.bound:+.4f}"
    return (
        f"The {used} table is used. On {decision.users:,} users that the search never saw, the "
        f"searched table's NDCG@20 minus the uniform table's is {decision.difference:+.4f} "
        f"({bound}). The searched table is used only if users that the search never saw gain from "
        "it (lower bound above zero)."
    )


def serving_sentence(release: TableRelease) -> str:
    """What a server needs in all, which is more than the table where a graph is read."""
    serving = release.serving
    parts = [f"interactions {serving.interactions:,}"] * bool(serving.interactions)
    parts += [f"weights {serving.weights:,}"] * bool(serving.weights)
    details = f", of them {', '.join(parts)}" if parts else ""
    return f"To recommend, {serving.bytes:,} bytes are needed ({serving.form}{details})."


def expectations(release: TableRelease) -> str:
    """What half and double the bytes would give, from tables that were trained."""
    half = _expectation("Half", release.half, release.chosen.quality)
    return f"{half} {_expectation('Double', release.double, release.chosen.quality)}"


def _expectation(word: str, alternative: BudgetAlternative, quality: float) -> str:
    best, outcome = alternative.best, alternative.instead
    if best is not None:
        change = f"validation quality {best.quality / quality - 1:+.1%} against the chosen table"
        outcome = f"{best.file_bytes:,} bytes at {bits_in_words(best.bits)}, {change}"
    return f"{word} the bytes ({alternative.limit:,}): {outcome}."


def plot_quality(release: TableRelease) -> Figure:
    """Validation quality against bytes of the file; the full table is the dashed ceiling."""
    figure, axis = plt.subplots(figsize=(6, 3.3))
    full = f"full table, float32, {release.full_bytes:,} bytes"
    axis.axhline(release.full_quality, color="black", linestyle="--", label=full)
    _plot_candidates(axis, release)
    budget = f"the budget, {release.limit:,} bytes"
    axis.axvline(release.limit, color="0.5", linestyle=":", label=budget)
    axis.plot([], [], "o", color="C3", label=f"chosen: {release.chosen.name}")
    axis.set(xscale="log", xlabel="bytes of the file", ylabel="quality on validation")
    axis.margins(x=0.5, y=0.15)
    low, high = axis.get_xlim()
    halvings = [release.limit * 2.0**i for i in range(-9, 3)]
    ticks = [tick for tick in halvings if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _plot_candidates(axis: Axes, release: TableRelease) -> None:
    by_quality = sorted(release.all_candidates, key=lambda candidate: candidate.quality)
    for i, candidate in enumerate(by_quality):
        point = (candidate.file_bytes, candidate.quality)
        color, size = ("C3", 8) if candidate == release.chosen else ("C0", 5)
        axis.plot(*point, "s" if candidate.is_searched else "o", color=color, ms=size)
        note = candidate.name.removeprefix("uniform at ").replace(" at", "")
        # Neighbors in quality are named on different sides.
        away, side = (6, "left") if i % 2 else (-6, "right")
        axis.annotate(note, point, (away, -3), textcoords="offset points", fontsize=7, ha=side)


def write_page(release: TableRelease) -> Path:
    """Write the page beside the table, ``<file>.html``; its path."""
    parts = {name: f"{size:,}" for name, size in release.report.parts.items()}
    parts["total"] = f"{release.report.total:,}"
    page = TEMPLATE.render(
        release=release,
        name=release.file.name,
        ids_suffix=SIDE_FILES[0],
        decision=decision_sentence(release),
        serving=serving_sentence(release),
        test=", ".join(f"{name} {value:.4f}" for name, value in release.test.items()),
        picture=_picture(release),
        expectations=expectations(release),
        candidates=_candidate_table(release).to_html(index=False, border=0),
        parts=pd.DataFrame([parts]).to_html(index=False, border=0),
        load=load_lines(release),
    )
    path = release.file.with_name(release.file.name + ".html")
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


def _candidate_table(release: TableRelease) -> pd.DataFrame:
    n, rows = release.n_users + release.n_items, []
    for candidate in release.all_candidates:
        rows.append(
            {
                "table": candidate.name + " (chosen)" * (candidate == release.chosen),
                "bytes": f"{candidate.file_bytes:,}",
                "bytes per entity": f"{candidate.file_bytes / n:.2f}",
                "columns per entity": f"{candidate.columns:.1f}",
                "quality on validation": f"{candidate.quality:.4f}",
                "of full": f"{candidate.quality / release.full_quality:.1%}",
            }
        )
    return pd.DataFrame(rows)
