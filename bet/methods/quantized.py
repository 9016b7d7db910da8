"""The same bytes at fewer bits per number: uniform tables, and BET's sizes, over quantized rows.

Both fill a packed file up to the limit in bytes, everything in it counted: what is left is less
than a row and the eight bytes that the header is padded to, unless everybody has d_max columns.
Where the budget is a sparsity the limit is that of the float32 numbers it leaves, 4 bytes each.
Quantization-aware training with the straight-through estimator (Bengio et al., 2013); the
full-precision backbone starts the search.
"""

from dataclasses import replace

import numpy as np

from bet.actions import Budget
from bet.errors import BetError
from bet.methods.fixed import train_once, uniform_action
from bet.packed import Layout, layout_of, most_row_bytes
from bet.predictor import DeepSets
from bet.search import MethodResult, PredictorSelector, SearchContext, search_and_retrain
from bet.tables import PackedSpec


def uniform_packed(context: SearchContext, bits: int) -> MethodResult:
    """As many columns for everybody as the bytes allow, but no more than d_max; what is left goes
    to the most frequent.
    """
    quantized = quantized_context(context, bits, uniform=True)
    return train_once(quantized, uniform_action(quantized).allocation)


def bet_packed(context: SearchContext, bits: int) -> MethodResult:
    """Algorithm 1 over sizes of quantized rows; fine-tuning and retraining round as the file."""
    quantized = quantized_context(context, bits)
    return search_and_retrain(quantized, PredictorSelector(quantized, DeepSets))


def quantized_context(context: SearchContext, bits: int, uniform: bool = False) -> SearchContext:
    """The context with the columns that fit into ``context.byte_limit`` at ``bits`` per number.

    uniform: the file lists two neighboring sizes only, which costs less. Raises BetError, with the
    smallest possible file, where not even one step of columns per entity fits.
    """
    budget, order, limit = context.budget, context.data.order, context.byte_limit
    if limit is None:
        raise BetError("a quantized table needs a budget; give a sparsity, parameters or bytes")
    step, d_max = _step(budget, bits), _widest(budget, bits)
    smallest = _smallest(context, bits, uniform)
    step_bytes = step * bits * budget.copies // 8
    fitting = most_row_bytes(smallest, limit) // step_bytes  # steps, over all entities
    if fitting < budget.n:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file at {bits} bits, "
            f"{smallest.byte_report().total:,} bytes ({step} columns per entity); raise the budget"
        )
    listed = _listed(step, d_max)
    if uniform:
        top = min(fitting // budget.n * step + step, d_max)
        # Once the two sizes are known the list may take fewer or more bytes than it did with d_max
        # in it: the next size may fit, or this size no longer.
        for widest in (min(top + step, d_max), top, top - step):
            listed = (widest, widest - step)
            fitting = _fitting_bytes(context, bits, listed, limit) // step_bytes
            if fitting >= listed[1] // step * budget.n:
                break
    total = min(fitting * step, budget.n * listed[0])
    columns = Budget(total, budget.n, d_max, d_min=step, copies=budget.copies, step=step)
    kinds = tuple((size, bits) for size in listed)
    spec = PackedSpec(
        bits,
        n_users=order.n_users,
        order=order.entities,
        kinds=kinds,
        n_listed=len(kinds),
    )
    return replace(context, budget=columns, table_spec=spec)


def smallest_file(context: SearchContext, bits: int, uniform: bool = False) -> int:
    """Bytes of the smallest file at ``bits`` per number."""
    return _smallest(context, bits, uniform).byte_report().total


def _step(budget: Budget, bits: int) -> int:
    """Columns whose numbers, over all copies, fill whole bytes."""
    return max(1, 8 // (bits * budget.copies))


def _widest(budget: Budget, bits: int) -> int:
    """The most columns that are a multiple of the step."""
    step = _step(budget, bits)
    if step > budget.d_max:
        raise BetError(
            f"{bits} bits per number need at least {step} columns, the full table has "
            f"{budget.d_max}"
        )
    return budget.d_max // step * step


def _listed(step: int, d_max: int) -> tuple[int, ...]:
    """Sizes that a file lists, from the longest row to the shortest."""
    return tuple(range(d_max, 0, -step))


def _smallest(context: SearchContext, bits: int, uniform: bool) -> Layout:
    """The layout with one step of columns for everybody."""
    step, d_max = _step(context.budget, bits), _widest(context.budget, bits)
    sizes = _listed(step, d_max)
    if uniform:
        sizes = (d_max, step) if d_max > step else (d_max, 0)
    return _layout(context, bits, sizes, step)


def _fitting_bytes(context: SearchContext, bits: int, sizes: tuple[int, ...], limit: int) -> int:
    """Bytes that rows may take in a file that lists ``sizes``."""
    return most_row_bytes(_layout(context, bits, sizes, max(sizes)), limit)


def _layout(context: SearchContext, bits: int, sizes: tuple[int, ...], everybody: int) -> Layout:
    """The layout of a file that lists ``sizes``, where all rows have ``everybody`` columns."""
    budget, kinds = context.budget, np.array([(size, bits) for size in sizes])
    return layout_of(
        np.full(budget.n, everybody),
        bits,
        context.data.n_users,
        budget.copies,
        by_rank=True,
        kinds=kinds,
    )
