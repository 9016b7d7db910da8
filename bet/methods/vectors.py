"""Final vectors that need no graph: what LightGCN and NGCF make of their table, rounded to few bits
per number and stored instead of it.

Scores are inner products of the file's rows, so that its length is all it takes to serve. Trained
through propagation and rounding: the gradient of a rounded vector reaches the ego embeddings as if
there were no rounding (straight-through estimator; Bengio et al., 2013).

Everybody gets the same number of columns. The bytes that one column more for everybody would exceed
stay unused: a column counts in an inner product only where both vectors have it, so that one more
for some users and some items would change few scores.
"""

from bisect import bisect_right
from dataclasses import replace

from bet.actions import Allocation, Budget
from bet.backbones import BACKBONES
from bet.errors import BetError
from bet.methods.fixed import train_once
from bet.search import MethodResult, SearchContext
from bet.tables import VectorSpec


def rounded_vectors(context: SearchContext, bits: int) -> MethodResult:
    """The widest model whose final vectors, at ``bits`` per number, fit into the bytes; no wider
    than the full one.
    """
    fitting = vector_context(context, bits)
    return train_once(fitting, Allocation.uniform(fitting.budget.n, fitting.budget.d_max))


def vector_context(context: SearchContext, bits: int) -> SearchContext:
    """The context of the model of the widest embedding size whose file fits into
    ``context.byte_limit``.

    Raises BetError on a backbone that stores final vectors anyway, or has none, and where not even
    one column fits, with the smallest possible file.
    """
    check_final_vectors(context, f"vectors-int{bits}", f"uniform-int{bits}")
    budget, limit = context.budget, context.byte_limit
    backbone = BACKBONES[context.settings.backbone]
    if limit is None:
        raise BetError("rounded vectors need a budget; give a sparsity, parameters or bytes")

    def spec(width: int) -> VectorSpec:
        # NGCF's layers are d_max units wide: the model of embedding size w has d_max = w.
        columns, order = backbone.final_width(width, d_max=width), context.data.order
        return VectorSpec(bits, columns, order.n_users, order.entities)

    # The length of the file never falls with the width.
    widths = range(1, budget.d_max + 1)
    width = bisect_right(widths, limit, key=lambda width: spec(width).file_bytes)
    if not width:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file at {bits} bits, "
            f"{spec(1).file_bytes:,} bytes; raise the budget"
        )
    columns = Budget(budget.n * width, budget.n, d_max=width)
    return replace(context, budget=columns, table_spec=spec(width))


def check_final_vectors(context: SearchContext, method: str, other: str) -> None:
    """Raise BetError where the backbone has no final vectors besides its table; ``other``: the
    method to use instead of ``method``.
    """
    name = context.settings.backbone
    backbone = BACKBONES[name]
    if not (backbone.reads_graph and backbone.inner_product):
        why = "are its table" if backbone.inner_product else "are not compared by inner products"
        raise BetError(
            f"{method} stores vectors that come out of the graph; those of {name!r} {why}: use "
            f"{other}"
        )
