"""One page about a table that was shipped: quality against bytes, what the gate said, what the file is made of, how to load it."""

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment
from matplotlib.figure import Figure

from bet.files import atomic_path
from bet.report.style import use_style
from bet.study.ship import Candidate, Shipment, bits_of

TEMPLATE = Environment(autoescape=True).from_string(Path(__file__).with_name("shipment.html").read_text(encoding="utf-8"))
LOAD = """from bet.packed import PackedTable
table = PackedTable({file!r})
vectors = table.{look_up}"""


def load_lines(shipment: Shipment) -> str:
    """Three lines of Python that read the file."""
    look_up = "rows([0, 1, 2])" if shipment.some_user is None else f"users([{shipment.some_user!r}])"
    return LOAD.format(file=str(shipment.file), look_up=look_up)


def verdict_sentence(shipment: Shipment) -> str:
    """Whether the searched table was accepted, with the bound that decided."""
    verdict = shipment.verdict
    if not verdict.users:
        return f"No searched table: {shipment.unsearched}."
    word = "accepted" if verdict.accepted else "rejected"
    bound = f"with about {verdict.confidence:.0%} confidence at least {verdict.bound:+.4f}"
    if verdict.bound == -float("inf"):
        bound = "too few users to say more"
    return (
        f"Searched table {word}: its NDCG@20 minus the uniform table's is {verdict.difference:+.4f} on {verdict.users:,} "
        f"users whose validation items the search never saw; {bound}, and that must be above 0."
    )


def expectations(shipment: Shipment) -> str:
    """What half and double the bytes would give, from tables that were trained."""
    own = next(candidate for candidate in shipment.candidates if candidate.name == shipment.shipped)
    parts = []
    for word, outlook in (("Half", shipment.half), ("Double", shipment.double)):
        instead = outlook.instead
        if outlook.tried:
            best = max(outlook.tried, key=lambda candidate: candidate.quality)
            change = f"{best.quality / own.quality - 1:+.1%} of validation quality against the shipped table"
            instead = f"{best.file_bytes:,} bytes at {bits_of(best.bits)}, {change}"
        parts.append(f"{word} the bytes ({outlook.limit:,}): {instead}.")
    return " ".join(parts)


def plot(shipment: Shipment) -> Figure:
    """Validation quality against bytes of the file; the full table is the dashed ceiling."""
    figure, axis = plt.subplots(figsize=(6, 3.3))
    full = f"full table, float32, {shipment.full_bytes:,} bytes"
    axis.axhline(shipment.full_quality, color="black", linestyle="--", label=full)
    # Neighbours in quality are named on different sides.
    for i, candidate in enumerate(sorted(_all(shipment), key=lambda candidate: candidate.quality)):
        chosen = candidate.name == shipment.shipped
        marker = "s" if candidate.name.startswith("searched") else "o"
        axis.plot(candidate.file_bytes, candidate.quality, marker, color="C3" if chosen else "C0", ms=8 if chosen else 5)
        note = candidate.name.removeprefix("uniform at ").replace(" at", "")
        place, away, side = (candidate.file_bytes, candidate.quality), *((6, "left") if i % 2 else (-6, "right"))
        axis.annotate(note, place, (away, -3), textcoords="offset points", fontsize=7, ha=side)
    axis.axvline(shipment.limit, color="0.5", linestyle=":", label=f"the budget, {shipment.limit:,} bytes")
    axis.plot([], [], "o", color="C3", label=f"shipped: {shipment.shipped}")
    axis.set(xscale="log", xlabel="bytes of the file", ylabel="quality on validation")
    axis.margins(x=0.5, y=0.15)
    low, high = axis.get_xlim()
    ticks = [shipment.limit * 2.0**i for i in range(-9, 3) if low <= shipment.limit * 2.0**i <= high]
    axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _all(shipment: Shipment) -> tuple[Candidate, ...]:
    return (*shipment.candidates, *shipment.half.tried, *shipment.double.tried)


def write_page(shipment: Shipment) -> Path:
    """Write the page beside the table, ``<file>.html``; its path."""
    use_style()
    figure, picture = plot(shipment), io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    plt.close(figure)
    n = shipment.n_users + shipment.n_items
    rows = [
        {
            "table": candidate.name + (" (shipped)" if candidate.name == shipment.shipped else ""),
            "bytes": f"{candidate.file_bytes:,}",
            "bytes per entity": f"{candidate.file_bytes / n:.2f}",
            "columns per entity": f"{candidate.columns:.1f}",
            "quality on validation": f"{candidate.quality:.4f}",
            "of full": f"{candidate.quality / shipment.full_quality:.1%}",
        }
        for candidate in _all(shipment)
    ]
    parts = {name: f"{getattr(shipment.report, name):,}" for name in ("header", "kinds", "steps", "rows", "ids", "total")}
    page = TEMPLATE.render(
        shipment=shipment,
        name=shipment.file.name,
        verdict=verdict_sentence(shipment),
        test=", ".join(f"{name} {value:.4f}" for name, value in shipment.test.items()),
        picture=base64.b64encode(picture.getvalue()).decode(),
        expectations=expectations(shipment),
        candidates=pd.DataFrame(rows).to_html(index=False, border=0),
        parts=pd.DataFrame([parts]).to_html(index=False, border=0),
        load=load_lines(shipment),
    )
    path = shipment.file.with_name(shipment.file.name + ".html")
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path
