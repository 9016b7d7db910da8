"""What notebook 08 shows besides the functions of ``bet.release``."""

from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import IFrame
from matplotlib.figure import Figure

from bet.packed import ByteReport
from bet.text import for_html


def plot_parts(report: ByteReport) -> Figure:
    """What the bytes of a file are spent on, a bar for each part."""
    parts = {name: size for name, size in report.parts.items() if size}
    figure, axis = plt.subplots(figsize=(6.5, 0.7 + 0.3 * len(parts)))
    drawn = axis.barh(list(parts), list(parts.values()))
    axis.bar_label(drawn, [f"{size:,}" for size in parts.values()], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.15)
    axis.set(xlabel="bytes of the file")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure


def show_page(page: Path) -> IFrame:
    """An HTML page within the notebook, in a frame of its own: neither restyles the other."""
    content = for_html(page.read_text(encoding="utf-8"))
    return IFrame("about:blank", "100%", 700, extras=[f'srcdoc="{content}"'])
