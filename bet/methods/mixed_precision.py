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
    """The sampler hands out bytes, the predictor sees (frequency, size, precision), and tables get
    quantization-aware training. Ours.
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
    # Short lists of lengths take fewer bytes: rows are as long as leaves everybody the shortest.
    longest = longest_row(budget.n, budget.d_max, budget.copies, limit)
    for length in range(longest, budget.copies - 1, -1):
        lengths = row_lengths(budget.n, budget.copies, length, budget.n * length)
        space = PrecisionSpace(order, lengths, budget.d_max, budget.copies)
        spec = _table_spec(context, space)
        size, bits = spec.kinds[-1]  # of the shortest row
        shortest = np.full(budget.n, size), np.full(budget.n, bits)
        layout = spec.layout(*shortest, budget.copies)
        fitting = most_row_bytes(layout, limit)
        if fitting >= budget.n * lengths.step:
            break
    else:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of mixed precision, "
            f"{layout.byte_report().total:,} bytes ({lengths.step} bytes per row); raise the budget"
        )
    # The lengths above share n * length bytes; actions share what really fits beside the header.
    total = fitting // lengths.step * lengths.step
    space = replace(space, lengths=replace(lengths, total=total))
    # Bytes bound the table, not columns.
    return replace(context.without_budget(), table_spec=spec), space


def _table_spec(context: SearchContext, space: PrecisionSpace) -> PackedSpec:
    order, kinds = space.order, tuple((int(size), int(bits)) for size, bits in space.kinds[::-1])
    return PackedSpec(
        bits=None,
        n_users=order.n_users,
        order=order.entities,
        kinds=kinds,
        n_listed=min(N_LISTED, len(kinds)),
    )
