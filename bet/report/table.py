"""A table of a report as HTML, CSV and LaTeX; and how its numbers are written."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from bet.files import atomic_path
from bet.text import for_html, for_latex

MISSING, ABSENT = "missing", "–"  # not run yet; not planned or not known
SHORT = {"recall@5": "R@5", "ndcg@5": "N@5", "recall@20": "R@20", "ndcg@20": "N@20"}
LONG = {name: name.replace("recall", "Recall").replace("ndcg", "NDCG") for name in SHORT}


@dataclass(frozen=True)
class Table:
    """``text`` as printed, ``bold`` of the same shape, and ``data``: the same numbers unrounded,
    for the CSV.
    """

    name: str
    caption: str
    text: pd.DataFrame
    data: pd.DataFrame
    bold: pd.DataFrame | None = None

    def html(self) -> str:
        """The table, which scrolls in its box, below a caption as wide as the page."""
        table = self._styler("html").set_uuid(self.name).to_html()
        caption = f"<figcaption>{for_html(self.caption)}</figcaption>"
        return f'<figure class="table">{caption}<div class="scroll">{table}</div></figure>'

    def latex(self) -> str:
        """A LaTeX table for booktabs (and multirow, where rows are grouped)."""
        styler = self._styler("latex")
        styler.set_caption(for_latex(self.caption))
        options = {"hrules": True, "convert_css": True, "position": "t", "multicol_align": "c"}
        return styler.to_latex(label=f"tab:{self.name}", **options)

    def write(self, folder: Path) -> None:
        """Write ``<name>.html``, ``.csv`` and ``.tex`` into ``folder``."""
        parts = {"html": self.html(), "tex": self.latex(), "csv": self.data.to_csv(index=False)}
        for suffix, content in parts.items():
            with atomic_path(folder / f"{self.name}.{suffix}") as temporary:
                temporary.write_text(content)

    def _styler(self, escaped_for: str) -> Styler:
        styler = self.text.style.format(escape=escaped_for)
        for axis in (0, 1):
            styler.format_index(escape=escaped_for, axis=axis)
        if self.bold is not None:
            css = self.bold.map(lambda on: "font-weight: bold" if on else "")
            styler.apply(lambda _: css, axis=None)
        return styler


def decimal(value: float) -> str:
    """``.1234``; nothing for NaN."""
    return "" if pd.isna(value) else f"{value:.4f}".removeprefix("0")


def mean_sd(row: pd.Series) -> str:
    """``.1234`` or, of several values, ``.1234 ± .0012``; ``missing`` when there is none."""
    if not row["count"]:
        return MISSING
    number = decimal(row["mean"])
    return number if row["count"] == 1 else f"{number} ± {decimal(row['std'])}"


def of_full(share: float, equivalent: bool) -> str:
    """``98%``; ``100% ≈`` where it is equivalent to the full table, which 100 % alone is not, so
    that it gets another digit; nothing for NaN.
    """
    if pd.isna(share):
        return ""
    if equivalent:
        return f"{share:.0%} ≈"
    return f"{share:.1%}" if f"{share:.0%}" == "100%" else f"{share:.0%}"


def formatted(values: pd.Series, template: str) -> list[str]:
    """Each value by ``template``, a dash where there is none."""
    return [ABSENT if pd.isna(value) else template.format(value) for value in values]


def interval(low: float, high: float) -> str:
    """``[low, high]``, a dash where there is none."""
    return ABSENT if pd.isna(low) else f"[{low:+.4f}, {high:+.4f}]"


def intervals(lows: pd.Series, highs: pd.Series) -> list[str]:
    """``interval`` of each pair."""
    return list(map(interval, lows, highs))
