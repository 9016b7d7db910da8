"""One look for all figures: readable in print, distinguishable without colour."""

import sys

import matplotlib as mpl
import seaborn as sns

from bet.methods import IN_BYTES

_METHODS = ("full", "su", "sr", "powerlaw", "bet", "bet-random", "bet-simple", "nested")
_COMPETITORS = ("magnitude", "pep", "optembed", "esapn", "ciess", "amtl")
METHOD_COLOURS = dict(zip(_METHODS, ("black", *sns.color_palette("colorblind", 7)), strict=True))
METHOD_COLOURS |= dict(zip(_COMPETITORS, sns.color_palette("dark", 6), strict=True))
METHOD_COLOURS |= dict(zip(IN_BYTES, sns.color_palette("husl", len(IN_BYTES)), strict=True))
METHOD_MARKERS = dict(zip((*_METHODS, *_COMPETITORS, *IN_BYTES), "Xsv^oDPH<>pdh*8s^vPoDHXd<>", strict=True))


def use_style() -> None:
    """Set seaborn's white grid, 9-point type and 150 dots per inch for every later figure; in a notebook, show figures inline."""
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        shell.run_line_magic("matplotlib", "inline")  # whatever MPLBACKEND says
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
    mpl.rcParams.update({"figure.dpi": 150, "savefig.dpi": 150, "font.size": 9, "pdf.fonttype": 42})
    mpl.rcParams["figure.constrained_layout.use"] = True
