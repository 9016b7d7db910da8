"""``bet-bytes``: Algorithm 1 where an action gives every entity a size *and* a precision, exact in
bytes of the file.
"""

from dataclasses import replace

import numpy as np

from bet.actions import LEVELS, PrecisionSpace, longest_row, row_lengths
from bet.errors import BetError
from bet.packed import most_row_bytes
from bet.predictor import DeepSets
from bet.search import (
    MethodResult,
    PredictorSelector,
    SearchContext,
    search_and_retrain,
)
from bet.tables import PackedSpec

N_LISTED = 2 * LEVELS + 1  # a kind for every length on either side, and the widest


def bet_bytes(context: SearchContext) -> MethodResult:
    """The sampler hands out bytes, the predictor sees (frequency, size, precision); trained with
    straight-through rounding.
    """
    mixed, space = mixed_context(context)
    return search_and_retrain(mixed, PredictorSelector(mixed, DeepSets, space))


def mixed_context(context: SearchContext) -> tuple[SearchContext, PrecisionSpace]:
    """The context with rows of any size and precision within ``context.byte_limit``, and its
    actions.

    What they leave of the limit is less than a row and the eight bytes that the header is padded
    to, unless every row has the most bytes. Raises BetError, with the smallest possible file, where
    not every row can have a byte per copy.
    """
    budget, order, limit = context.budget, context.data.order, context.byte_limit
    if limit is None:
        raise BetError(
            "a table of mixed precision needs a budget; give a sparsity, parameters or bytes"
        )
    for longest in range(
        longest_row(budget.n, budget.d_max, budget.copies, limit), budget.copies - 1, -1
    ):
        lengths = row_lengths(budget.n, budget.copies, longest, budget.n * longest)
        space = PrecisionSpace(order, lengths, budget.d_max, budget.copies)
        packing = _packing(context, space)
        shortest = np.tile(packing.kinds[-1], (budget.n, 1))
        layout = packing.layout(shortest[:, 0], shortest[:, 1], budget.copies)
        fitting = most_row_bytes(layout, limit)
        if fitting >= budget.n * lengths.step:
            break
    else:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of mixed precision, {layout.byte_report().total:,} bytes "
            f"({lengths.step} bytes per row); raise the budget"
        )
    # Tried with rows as long as can be; what an action hands out are the bytes that are left for
    # them.
    space = replace(space, lengths=replace(lengths, total=fitting // lengths.step * lengths.step))
    return replace(
        context.without_budget(), table_spec=packing
    ), space  # bytes bound it, not columns


def _packing(context: SearchContext, space: PrecisionSpace) -> PackedSpec:
    order, kinds = space.order, tuple((int(size), int(bits)) for size, bits in space.kinds[::-1])
    return PackedSpec(
        None, order.n_users, order.entities, kinds, min(N_LISTED, len(kinds)), context.id_layout
    )
