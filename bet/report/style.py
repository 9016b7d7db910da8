"""One look for all figures: readable in print, distinguishable without colour."""

import matplotlib as mpl
import seaborn as sns

_METHODS = ("full", "su", "sr", "powerlaw", "bet", "bet-random", "bet-simple")
METHOD_COLOURS = dict(zip(_METHODS, ("black", *sns.color_palette("colorblind", 6)), strict=True))
METHOD_MARKERS = dict(zip(_METHODS, "Xsv^oDP", strict=True))


def use_style() -> None:
    """Set seaborn's white grid, 9-point type and 150 dots per inch for every later figure."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
    mpl.rcParams.update({"figure.dpi": 150, "savefig.dpi": 150, "font.size": 9, "pdf.fonttype": 42})
    mpl.rcParams["figure.constrained_layout.use"] = True
