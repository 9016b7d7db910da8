"""One look for all figures: readable in print, distinguishable without color."""

import sys
from itertools import cycle

import matplotlib as mpl
import seaborn as sns

from bet.methods import METHODS

BACKBONES = {"lightgcn": "LightGCN", "ncf": "NCF", "gmf": "GMF", "ngcf": "NGCF", "ials": "iALS"}
METHOD_COLORS = {"full": "black", "blend": "deepskyblue"}
_FAMILIES = {  # a family of methods, a range of colors
    ("su", "sr", "powerlaw", "bet", "bet-random", "bet-simple", "nested"): "colorblind",
    ("magnitude", "pep", "optembed", "esapn", "ciess", "amtl", "magnitude-rotated"): "dark",
    ("uniform-fp16", "uniform-int8", "uniform-int4", "uniform-int2", "uniform-int1"): "YlOrRd",
    ("bet-int8", "bet-int4", "bet-bytes", "bet-plus-bytes"): "YlGnBu_d",
    ("vectors-int8", "vectors-int4", "vectors-int2", "vectors-int1", "bet-plus-vectors"): "BuGn",
    ("pq", "mec"): "RdPu_d",
    ("hash", "memrec"): "copper_r",
    ("popularity", "graph-filter", "item-knn", "ease"): "Set2",
}
for _methods, _palette in _FAMILIES.items():
    METHOD_COLORS |= dict(zip(_methods, sns.color_palette(_palette, len(_methods)), strict=True))
_others = [name for name in METHODS if name not in METHOD_COLORS]
METHOD_COLORS |= dict(zip(_others, sns.husl_palette(len(_others)), strict=True))
METHOD_MARKERS = dict(zip(METHODS, cycle("Xsv^oDPH<>pdh*8"), strict=False))


def on_backbone(method: str, backbone: str) -> str:
    """``uniform-int2 on iALS`` or, without a backbone, ``popularity (reference)``."""
    return (
        f"{method} on {BACKBONES[backbone]}" if backbone in BACKBONES else f"{method} (reference)"
    )


def use_style() -> None:
    """White grid, 9-point type, 150 dots per inch for every later figure; inline in a notebook."""
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        shell.run_line_magic("matplotlib", "inline")  # whatever MPLBACKEND says
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
    mpl.rcParams.update({"figure.dpi": 150, "savefig.dpi": 150, "font.size": 9, "pdf.fonttype": 42})
    mpl.rcParams["figure.constrained_layout.use"] = True
