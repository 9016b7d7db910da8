"""Nearest items with lists that fit: the file of ``item-knn`` grows with their length."""

from collections.abc import Sequence
from itertools import product

from bet.methods._shared.tuning import RuleSettings, tune
from bet.methods.item_knn import ITEM_EXPONENTS, USER_EXPONENTS, ItemKnn
from bet.packed.safetensors_io import Shapes, dtype_up_to
from bet.search import MethodResult, SearchContext

NEIGHBORS = (200, 100, 50, 20)  # of every item; the longest lists that fit are tried
SHRINKAGES = (1.0, 10.0)


def neighbor_shapes(n_items: int, neighbors: int) -> Shapes:
    """Name -> (dtype, shape) of what a file holds beside the interactions, at most."""
    shape = (n_items, min(neighbors, n_items))
    return {"neighbors": (dtype_up_to(n_items - 1), shape), "weights": ("F16", shape)}


def item_knn_of(context: SearchContext, neighbors: int) -> MethodResult:
    """The exponents and the shrinkage by eleven evaluations, with lists of ``neighbors``."""
    grid = [
        {"user_exponent": p, "item_exponent": q, "shrinkage": 0.0, "neighbors": neighbors}
        for p, q in product(USER_EXPONENTS, ITEM_EXPONENTS)
    ]
    return tune(context, ItemKnn, grid, _shrunk)


def _shrunk(best: RuleSettings) -> Sequence[RuleSettings]:
    return [{**best, "shrinkage": shrinkage} for shrinkage in SHRINKAGES]
