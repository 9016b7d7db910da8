"""The extreme end: no row per entity at all. The plain hashing trick, and MEM-REC's two hashed
encoders.
"""

from dataclasses import replace
from functools import partial

from bet.actions import Allocation
from bet.errors import BetError
from bet.search import Effort, MethodResult, SearchContext, StageSeconds, train_from_scratch
from bet.seeds import derive
from bet.tables import HashedSpec

WIDTHS = (1, 2, 4, 8, 16)  # of d_max, the divisor: columns of a token row
SHARE = 64  # of the bytes one part goes to MEM-REC's weights, 4,096 of them at most
K, K_WEIGHTS = 4, 2


def hashing_trick(context: SearchContext) -> MethodResult:
    """Every entity takes the one row that its hash says (Weinberger et al., ICML 2009); five
    widths, the best on validation.
    """
    return _tuned(context, k=1, k_weights=0)


def memrec(context: SearchContext) -> MethodResult:
    """The sum of four hashed rows, scaled by the sum of two hashed weights (arXiv 2305.07205); five
    widths, the best on validation.

    Published without code: the number of hashes is ours, and rows are split between users and items
    by their numbers.
    """
    return _tuned(context, K, K_WEIGHTS)


def _tuned(context: SearchContext, k: int, k_weights: int) -> MethodResult:
    limit = context.byte_limit
    trials: list[dict] = []
    if limit is None:
        raise BetError("a hashed table needs a budget; give a sparsity, parameters or bytes")
    sizes = dict.fromkeys(
        max(1, context.budget.d_max // divisor) for divisor in WIDTHS[: context.settings.search.top]
    )
    forms = [
        form for size in sizes if (form := filled(context, limit, size, k, k_weights)) is not None
    ]
    if not forms:
        smallest = min(
            _form(context, size, 2, k_weights, k, k_weights).file_bytes(context.budget.copies)
            for size in sizes
        )
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of a hashed table, {smallest:,} bytes; raise the budget"
        )
    results = []
    for form in forms:
        # Columns that entities share are not theirs alone: bytes bound the table, not columns.
        hashed = replace(context.without_budget(), table_spec=form)
        allocation = Allocation.uniform(context.budget.n, form.size)
        trained = train_from_scratch(hashed, allocation, f"trial-{form.size}")
        results.append((trained, hashed))
        trials.append(
            {
                "columns": form.size,
                "rows": form.rows,
                "quality": trained.result.quality,
                "epochs": trained.result.epoch,
            }
        )
    best, best_context = max(results, key=lambda pair: pair[0].result.quality)
    return MethodResult(
        best,
        best_context,
        StageSeconds(retrain=sum(trained.result.seconds for trained, _ in results)),
        Effort(trainings=len(trials)),
        trials=tuple(trials),
    )


def filled(
    context: SearchContext, limit: int, size: int, k: int, k_weights: int
) -> HashedSpec | None:
    """The form with as many rows of ``size`` columns as ``limit`` bytes hold, the rest in weights;
    None where two do not fit.

    Never more numbers than a full table has.
    """
    copies = context.budget.copies
    form = partial(_form, context, size, k=k, k_weights=k_weights)
    least = form(2, k_weights).file_bytes(copies)
    if least > limit:
        return None
    limit = min(limit, max(least, 4 * context.budget.n * context.budget.d_max * copies))
    weights = max(k_weights, min(4096, limit // 4 // SHARE)) if k_weights else 0
    if form(2, weights).file_bytes(copies) > limit:
        weights = k_weights
    rows = (limit - form(2, weights).file_bytes(copies)) // (4 * copies * size) + 2
    while form(rows, weights).file_bytes(copies) > limit:
        rows -= 1
    if k_weights:
        weights += (limit - form(rows, weights).file_bytes(copies)) // 4
        while form(rows, weights).file_bytes(copies) > limit:
            weights -= 1
    return form(rows, weights)


def _form(
    context: SearchContext, size: int, rows: int, weights: int, k: int, k_weights: int
) -> HashedSpec:
    users = min(max(1, round(rows * context.data.n_users / context.budget.n)), rows - 1)
    return HashedSpec(
        size,
        rows,
        users,
        weights,
        k,
        k_weights,
        context.data.n_users,
        derive(context.settings.seed, "hashing") & 0xFFFFFFFF,
    )
