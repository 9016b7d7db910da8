"""What ``06_same_bytes.ipynb`` compares: quality and bytes to serve of finished cells."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from bet.study.cell import Cell
from bet.study.run import run_cell

BYTES, TABLE = "bytes to serve per entity", "table bytes per entity"
VALIDATION, RECALL, NDCG = "quality on validation", "Recall@20", "NDCG@20"


def measure(cells: Mapping[str, Cell]) -> pd.DataFrame:
    """Run every cell, or read its record where it has finished: a row per label, with bytes per
    entity, quality on validation, Recall@20 and NDCG@20 on test.
    """
    rows = {}
    for label, cell in cells.items():
        record = run_cell(cell)
        entities, served = record.data.users + record.data.items, record.serving
        assert served is not None, "a new record says what it takes to serve"
        rows[label] = {
            "the file holds": served.form,
            BYTES: served.bytes / entities,
            TABLE: record.size.bytes / entities,
            VALIDATION: record.metrics.validation.quality,
            RECALL: record.metrics.test.recall_at_20,
            NDCG: record.metrics.test.ndcg_at_20,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def verdict(measured: pd.DataFrame) -> str:
    r"""A sentence: the best row on validation, and what it and the runner-up give on test.

    >>> columns = {VALIDATION: [0.1, 0.2], NDCG: [0.11, 0.22], BYTES: [8.0, 16.0]}
    >>> print(verdict(pd.DataFrame(columns, index=["filter", "blend"])))
    Chosen on validation: blend. On test its NDCG@20 is .2200 in 16.0 bytes per entity to serve; \
the runner-up, filter, has .1100 in 8.0.
    """
    best, second = measured.sort_values(VALIDATION, ascending=False).iloc[:2].iterrows()
    numbers = [f"{row[NDCG]:.4f}".removeprefix("0") for _, row in (best, second)]
    return (
        f"Chosen on validation: {best[0]}. On test its NDCG@20 is {numbers[0]} in "
        f"{best[1][BYTES]:.1f} bytes per entity to serve; the runner-up, {second[0]}, has "
        f"{numbers[1]} in {second[1][BYTES]:.1f}."
    )


def plot_bars(measured: pd.DataFrame) -> Figure:
    """NDCG@20 of every row as a bar, its bytes to serve beside it."""
    figure, axis = plt.subplots(figsize=(6.5, 0.6 + 0.36 * len(measured)))
    drawn = axis.barh(list(measured.index), measured[NDCG], color="C0")
    axis.bar_label(drawn, [f"{value:.1f} B" for value in measured[BYTES]], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.12)
    axis.set(xlabel=f"{NDCG} on test (label: bytes to serve per entity)")
    return figure


def plot_bytes(sections: Mapping[str, pd.DataFrame]) -> Figure:
    """NDCG@20 against bytes to serve, a color for each of ``sections``, every point named."""
    figure, axis = plt.subplots(figsize=(7.0, 4.2))
    for number, (section, measured) in enumerate(sections.items()):
        axis.plot(measured[BYTES], measured[NDCG], "o", color=f"C{number}", label=section)
        away, side = (-5, "right") if number % 2 else (5, "left")
        for label, row in measured.iterrows():
            point = (row[BYTES], row[NDCG])
            options = {"textcoords": "offset points", "fontsize": 6, "ha": side, "va": "center"}
            axis.annotate(str(label), point, (away, 0), **options)  # type: ignore[arg-type]
    axis.set(xscale="log", xlabel="bytes to serve per entity", ylabel=f"{NDCG} on test")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.margins(x=0.3)
    figure.legend(loc="outside lower center", ncols=len(sections), fontsize=8)
    return figure
