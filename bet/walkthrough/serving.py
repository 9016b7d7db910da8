"""Tables and figures of notebook 07: columns or bits, and what the same bytes can serve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from bet.analysis.answers import best_tables
from bet.analysis.results import REFERENCE, TABLE_BYTES, TO_SERVE, Results
from bet.data import Split
from bet.methods import METHODS
from bet.packed.levels import FACTOR
from bet.packed.quantizer import quantize
from bet.report.table import decimal
from bet.search import MethodResult
from bet.study.cell import Cell
from bet.study.setup import cell_context
from bet.training import RankingMetrics

VALIDATION, RECALL, NDCG = "quality on validation", "Recall@20", "NDCG@20"


def train_equal_rows(
    split: Split, folder: Path, *, dataset: str, backbone: str, seed: int, size: float, bits: int
) -> MethodResult:
    """Train equal rows in ``size`` bytes per entity: 32-bit numbers that alone take as many (`su`),
    or a file at fewer ``bits`` with everything in it counted (`uniform-intN`). Trained once for a
    ``folder``.
    """
    method, limit = f"uniform-int{bits}", f"{size} B/entity"
    if bits == 32:
        method, limit = "su", str(int(size * sum(split.train.shape) // 4))  # parameters
    context = cell_context(Cell(dataset, backbone, limit, method, seed, profile="scratch"), split)
    return METHODS[method](context.in_folder(folder / f"{backbone}-{size}-{bits}"))


def plot_levels(bits: Sequence[int]) -> Figure:
    """What numbers of a row become at each of ``bits``, in units of the row's root mean square."""
    x = torch.linspace(-3, 3, 1201)[None]
    figure, axes = plt.subplots(1, len(bits), figsize=(7.0, 2.4), sharey=True)
    for axis, b in zip(axes, bits, strict=True):
        step = torch.tensor([[FACTOR[b]]])
        rounded = (quantize(x, step, b) + 0.5) * step
        axis.plot(x[0], x[0], color="0.6", linestyle=":")
        axis.plot(x[0], rounded[0], drawstyle="steps-mid")
        axis.set(title=f"{b} bit{'s' * (b > 1)}: {2**b} levels", xlabel="number / rms of row")
    axes[0].set_ylabel("what is stored / rms")
    return figure


def spent_table(
    results: Mapping[str, MethodResult], tested: Mapping[str, RankingMetrics]
) -> pd.DataFrame:
    """Columns and bytes per entity, quality on validation and means on test, a row per label."""
    rows = {}
    for label, ranked in tested.items():
        table, means = results[label].trained.model.table, ranked.means()
        rows[label] = {
            "columns per entity": round(table.n_parameters() / table.n, 1),
            TABLE_BYTES: round(table.n_bytes() / table.n, 1),
            VALIDATION: results[label].trained.result.quality,
            f"{RECALL} on test": means["recall@20"],
            f"{NDCG} on test": means["ndcg@20"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(4)


def plot_columns_or_bits(
    columns: Mapping[float, float], bits: Mapping[int, float], d_max: int
) -> Figure:
    """Share of the full table's quality against bytes per entity, numbers alone: of ``columns`` of
    float32, and of ``d_max`` columns at ``bits`` per number.
    """
    figure, axis = plt.subplots(figsize=(6.2, 3.2))
    narrow = {f"{count:g} col.": (4 * count, share) for count, share in columns.items()}
    coarse = {f"{b} bit{'s' * (b > 1)}": (d_max * b / 8, share) for b, share in bits.items()}
    for points, label, style, place in (
        (narrow, "fewer columns, 32 bits each", "o-", (14, -10)),
        (coarse, f"fewer bits, {d_max} columns", "s--", (0, 7)),
    ):
        axis.plot(*zip(*points.values(), strict=True), style, label=label)
        for text, point in points.items():
            away = {"textcoords": "offset points", "fontsize": 7, "ha": "center"}
            axis.annotate(text, point, place, **away)  # type: ignore[arg-type]
    axis.set(xscale="log", xlabel="bytes per entity (numbers alone)")
    axis.set(ylabel="share of the full\ntable's quality")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.margins(x=0.12, y=0.15)
    axis.legend(loc="lower right")
    return figure


def plot_quality_against_bytes(shares: pd.DataFrame) -> Figure:
    """A panel for each backbone, a line for each number of bits; ``shares``: backbone, bits, bytes
    per entity, share of the full table's quality.
    """
    backbones = list(shares["backbone"].unique())
    figure, axes = plt.subplots(1, len(backbones), figsize=(7.0, 3.2), sharey=True, squeeze=False)
    for axis, backbone in zip(axes[0], backbones, strict=True):
        axis.axhline(1, color="black", linestyle="-.", linewidth=0.8)
        of_backbone = shares[shares["backbone"] == backbone].groupby("bits", sort=False)
        for (bits, line), marker in zip(of_backbone, "osD^v", strict=False):
            line = line.sort_values("bytes")
            axis.plot(
                line["bytes"], line["share"], f"{marker}-", label=f"{bits} bit{'s' * (bits > 1)}"
            )
        axis.set(title=backbone, xscale="log", xlabel="table bytes per entity")
        axis.set_xticks([6.4, 12.8, 25.6], labels=["6.4", "12.8", "25.6"])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("share of the full table's\nquality on validation")
    labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def best_bits(shares: pd.DataFrame, budget: float) -> str:
    """A line for every backbone: the best number of bits where the bytes are ``budget``.

    >>> rows = [("A", 32, 0.7, 8.0), ("A", 2, 0.9, 8.0), ("A", 1, 0.8, 8.0)]
    >>> print(best_bits(pd.DataFrame(rows, columns=["backbone", "bits", "share", "budget"]), 8.0))
    In 8 bytes per entity A is best at 2 bits: 90 % of full, with float32 70 %.
    """
    lines = []
    for backbone, part in shares[shares["budget"] == budget].groupby("backbone", sort=False):
        share = part.set_index("bits")["share"]
        best = f"{backbone} is best at {share.idxmax()} bits: {100 * share.max():.0f} % of full"
        float32 = f"with float32 {100 * share[32]:.0f} %"
        lines.append(f"In {budget:g} bytes per entity {best}, {float32}.")
    return "\n".join(lines)


def headline_table(results: Results, backbone: str) -> pd.DataFrame:
    """At every sparsity that was run: the best table of few bits and the best of float32 in as many
    bytes, both chosen on validation, and their difference in NDCG@20 over runs and users.
    """
    best = pd.concat(best_tables(results, group) for group in results.groups)
    best = best[best["backbone"] == backbone].dropna(subset="packed")
    shown = {
        "bytes per entity": best["bytes"],
        "few bits": best["packed"],
        "share of full": best["packed_share"].round(3),
        "float32": best["float32"],
        "share of full ": best["float32_share"].round(3),
        f"difference in {NDCG}": best["difference"].round(4),
        "from": best["low"].round(4),
        "to": best["high"].round(4),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def to_serve(results: Results, budget: str) -> pd.DataFrame:
    """What ran under ``budget`` bytes to serve, the references and the full tables of the
    same backbones: a row for each, with what the file holds, bytes per entity, and quality.
    """
    cells = results.by_bytes
    chosen = cells["budget"] == budget
    chosen |= (cells["method"] == "full") & cells["backbone"].isin(cells["backbone"][chosen])
    chosen |= cells["backbone"] == REFERENCE
    cells = cells[chosen].sort_values(["backbone", TO_SERVE])
    frame = pd.DataFrame(
        {
            "backbone": cells["backbone"],
            "the file holds": cells["serving form"],
            TO_SERVE: cells[TO_SERVE].astype(float),
            VALIDATION: cells["validation"].astype(float),
            RECALL: cells["recall@20"].astype(float),
            NDCG: cells["ndcg@20"].astype(float),
        }
    )
    return frame.set_axis(cells["method"], axis="index").rename_axis(None)


def verdict(measured: pd.DataFrame) -> str:
    r"""A sentence: the best row on validation, and what it and the runner-up give on test.

    >>> columns = {VALIDATION: [0.1, 0.2], NDCG: [0.11, 0.22], TO_SERVE: [8.0, 16.0]}
    >>> print(verdict(pd.DataFrame(columns, index=["filter", "blend"])))
    Chosen on validation: blend. On test its NDCG@20 is .2200 in 16.0 bytes per entity to serve; \
the runner-up, filter, has .1100 in 8.0.
    """
    best, second = measured.sort_values(VALIDATION, ascending=False).iloc[:2].iterrows()
    numbers = [decimal(row[NDCG]) for _, row in (best, second)]
    return (
        f"Chosen on validation: {best[0]}. On test its NDCG@20 is {numbers[0]} in "
        f"{best[1][TO_SERVE]:.1f} bytes per entity to serve; the runner-up, {second[0]}, has "
        f"{numbers[1]} in {second[1][TO_SERVE]:.1f}."
    )


def plot_bytes(measured: pd.DataFrame) -> Figure:
    """NDCG@20 against bytes to serve, a color and marker for each backbone; numbers at the points
    are explained beside the picture.
    """
    figure, axis = plt.subplots(figsize=(7.2, 3.8))
    backbones, lines = list(measured["backbone"].unique()), []
    left = measured[NDCG].rank(method="first") % 2 == 0  # neighbors in height on different sides
    for number, (label, row) in enumerate(measured.iterrows()):
        place, x, y = backbones.index(row["backbone"]), row[TO_SERVE], row[NDCG]
        axis.plot(x, y, "osD^"[place], color=f"C{place}", markersize=4)
        away, side = (-5, "right") if left.iloc[number] else (5, "left")
        style = {"textcoords": "offset points", "fontsize": 7, "va": "center", "ha": side}
        axis.annotate(str(number + 1), (x, y), (away, 0), **style)  # type: ignore[arg-type]
        lines.append(f"{number + 1} {label}, {row['backbone']}")
    axis.set(xscale="log", xlabel=TO_SERVE, ylabel=f"{NDCG} on test")
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.text(1.02, 1, "\n".join(lines), transform=axis.transAxes, va="top", fontsize=7.5)
    return figure


def relative_error(rounded: torch.Tensor, exact: torch.Tensor) -> float:
    """How far ``rounded`` is from ``exact``, of the same shape, relative to its length.

    >>> relative_error(torch.tensor([3.0, 5.0]), torch.tensor([3.0, 4.0]))
    0.2
    """
    return round(float((rounded - exact).detach().norm() / exact.detach().norm()), 4)
