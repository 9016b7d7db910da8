"""One page about a table that was shipped: quality against bytes, what the gate said, what the file
is made of, how to load it.
"""

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment
from matplotlib.figure import Figure

from bet.files import atomic_path
from bet.release.build import Candidate, TableRelease, bits_of
from bet.report.style import use_style

TEMPLATE = Environment(autoescape=True).from_string(
    Path(__file__).with_name("page.html").read_text(encoding="utf-8")
)
LOAD = """import bet
table = bet.load({file!r})
vectors = table.{look_up}"""


def load_lines(release: TableRelease) -> str:
    """Three lines of Python that read the file."""
    look_up = "rows([0, 1, 2])" if release.some_user is None else f"users([{release.some_user!r}])"
    return LOAD.format(file=str(release.file), look_up=look_up)


def decision_sentence(release: TableRelease) -> str:
    """Whether the searched table was accepted, with the bound that decided."""
    decision = release.decision
    if not decision.users:
        return f"No searched table: {release.unsearched}."
    word = "accepted" if decision.accepted else "rejected"
    bound = f"with about {decision.confidence:.0%} confidence at least {decision.bound:+.4f}"
    if decision.bound == -float("inf"):
        bound = "too few users to say more"
    return (
        f"Searched table {word}: its NDCG@20 minus the uniform table's is {decision.difference:+.4f} on {decision.users:,} "
        f"users whose validation items the search never saw; {bound}, and that must be above 0."
    )


def expectations(release: TableRelease) -> str:
    """What half and double the bytes would give, from tables that were trained."""
    own = next(candidate for candidate in release.candidates if candidate.name == release.shipped)
    parts = []
    for word, outlook in (("Half", release.half), ("Double", release.double)):
        instead = outlook.instead
        if outlook.tried:
            best = max(outlook.tried, key=lambda candidate: candidate.quality)
            change = f"{best.quality / own.quality - 1:+.1%} of validation quality against the shipped table"
            instead = f"{best.file_bytes:,} bytes at {bits_of(best.bits)}, {change}"
        parts.append(f"{word} the bytes ({outlook.limit:,}): {instead}.")
    return " ".join(parts)


def plot(release: TableRelease) -> Figure:
    """Validation quality against bytes of the file; the full table is the dashed ceiling."""
    figure, axis = plt.subplots(figsize=(6, 3.3))
    full = f"full table, float32, {release.full_bytes:,} bytes"
    axis.axhline(release.full_quality, color="black", linestyle="--", label=full)
    # Neighbors in quality are named on different sides.
    for i, candidate in enumerate(sorted(_all(release), key=lambda candidate: candidate.quality)):
        chosen = candidate.name == release.shipped
        marker = "s" if candidate.name.startswith("searched") else "o"
        axis.plot(
            candidate.file_bytes,
            candidate.quality,
            marker,
            color="C3" if chosen else "C0",
            ms=8 if chosen else 5,
        )
        note = candidate.name.removeprefix("uniform at ").replace(" at", "")
        place, away, side = (
            (candidate.file_bytes, candidate.quality),
            *((6, "left") if i % 2 else (-6, "right")),
        )
        axis.annotate(note, place, (away, -3), textcoords="offset points", fontsize=7, ha=side)
    axis.axvline(
        release.limit, color="0.5", linestyle=":", label=f"the budget, {release.limit:,} bytes"
    )
    axis.plot([], [], "o", color="C3", label=f"shipped: {release.shipped}")
    axis.set(xscale="log", xlabel="bytes of the file", ylabel="quality on validation")
    axis.margins(x=0.5, y=0.15)
    low, high = axis.get_xlim()
    ticks = [release.limit * 2.0**i for i in range(-9, 3) if low <= release.limit * 2.0**i <= high]
    axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _all(release: TableRelease) -> tuple[Candidate, ...]:
    return (*release.candidates, *release.half.tried, *release.double.tried)


def write_page(release: TableRelease) -> Path:
    """Write the page beside the table, ``<file>.html``; its path."""
    use_style()
    figure, picture = plot(release), io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    plt.close(figure)
    n = release.n_users + release.n_items
    rows = [
        {
            "table": candidate.name + (" (shipped)" if candidate.name == release.shipped else ""),
            "bytes": f"{candidate.file_bytes:,}",
            "bytes per entity": f"{candidate.file_bytes / n:.2f}",
            "columns per entity": f"{candidate.columns:.1f}",
            "quality on validation": f"{candidate.quality:.4f}",
            "of full": f"{candidate.quality / release.full_quality:.1%}",
        }
        for candidate in _all(release)
    ]
    parts = {
        name: f"{getattr(release.report, name):,}"
        for name in ("header", "kinds", "steps", "rows", "ids", "total")
    }
    page = TEMPLATE.render(
        release=release,
        name=release.file.name,
        decision=decision_sentence(release),
        test=", ".join(f"{name} {value:.4f}" for name, value in release.test.items()),
        picture=base64.b64encode(picture.getvalue()).decode(),
        expectations=expectations(release),
        candidates=pd.DataFrame(rows).to_html(index=False, border=0),
        parts=pd.DataFrame([parts]).to_html(index=False, border=0),
        load=load_lines(release),
    )
    path = release.file.with_name(release.file.name + ".html")
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path
