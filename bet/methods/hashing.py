"""The extreme end, no row per entity at all: the hashing trick, and MEM-REC's two hashed
encoders.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bet.actions import Allocation
from bet.errors import BetError
from bet.search import Effort, MethodResult, SearchContext, StageSeconds, train_from_scratch
from bet.seeds import derive
from bet.tables import HashedSpec

DIVISORS = (1, 2, 4, 8, 16)  # a token row has d_max / divisor columns
SHARE = 64  # a 64th of the bytes goes to MEM-REC's weights, at most 4,096 of them


@dataclass(frozen=True)
class Hashes:
    """Token rows that are summed for an entity, and weights that are summed to scale it; 0:
    none.
    """

    summed_rows: int
    summed_weights: int = 0


TRICK, MEMREC = Hashes(summed_rows=1), Hashes(summed_rows=4, summed_weights=2)


def hashing_trick(context: SearchContext) -> MethodResult:
    """Every entity takes the row that its hash names (Weinberger et al., ICML 2009); five
    widths, the best on validation.
    """
    return _best_width(context, TRICK)


def memrec(context: SearchContext) -> MethodResult:
    """The sum of four hashed rows, scaled by the sum of two hashed weights (MEM-REC, arXiv
    2305.07205); five widths, the best on validation.

    Published without code: the number of hashes is ours, and rows are split between users and items
    by their numbers.
    """
    return _best_width(context, MEMREC)


def _best_width(context: SearchContext, hashes: Hashes) -> MethodResult:
    specs = _specs(context, hashes)
    results, trials = [], []
    for spec in specs:
        # Entities share rows, so a sum of sizes means nothing here: bytes bound the table.
        hashed = replace(context.without_budget(), table_spec=spec)
        allocation = Allocation.uniform(context.budget.n, spec.size)
        trained = train_from_scratch(hashed, allocation, f"trial-{spec.size}")
        results.append((trained, hashed))
        trials.append(
            {
                "columns": spec.size,
                "rows": spec.rows,
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


def _specs(context: SearchContext, hashes: Hashes) -> Sequence[HashedSpec]:
    """A table that fills the limit in bytes for every width that fits."""
    limit, budget = context.byte_limit, context.budget
    if limit is None:
        raise BetError("a hashed table needs a budget; give a sparsity, parameters or bytes")
    divisors = DIVISORS[: context.settings.search.top]
    sizes = dict.fromkeys(max(1, budget.d_max // divisor) for divisor in divisors)
    filling = (fill_budget(context, limit, size, hashes) for size in sizes)
    specs = [spec for spec in filling if spec is not None]
    if not specs:
        smallest = min(_file_bytes(context, _smallest(context, size, hashes)) for size in sizes)
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of a hashed table, "
            f"{smallest:,} bytes; raise the budget"
        )
    return specs


def fill_budget(context: SearchContext, limit: int, size: int, hashes: Hashes) -> HashedSpec | None:
    """The table with as many rows of ``size`` columns as ``limit`` bytes hold, the rest in weights;
    None where two rows do not fit.

    Never more numbers than a full table has.
    """
    budget = context.budget
    spec = _smallest(context, size, hashes)
    least = _file_bytes(context, spec)
    if least > limit:
        return None
    limit = min(limit, max(least, 4 * budget.n * budget.d_max * budget.copies))
    if hashes.summed_weights:
        share = max(hashes.summed_weights, min(4096, limit // 4 // SHARE))
        weighted = replace(spec, weights=share)
        spec = weighted if _file_bytes(context, weighted) <= limit else spec
    free = (limit - _file_bytes(context, spec)) // (4 * budget.copies * size)
    spec = _with_rows(context, spec, 2 + free)
    # The header may have grown by a digit or two.
    while _file_bytes(context, spec) > limit:
        spec = _with_rows(context, spec, spec.rows - 1)
    if hashes.summed_weights:
        # What is left is less than a row.
        free = (limit - _file_bytes(context, spec)) // 4
        spec = replace(spec, weights=spec.weights + free)
        while _file_bytes(context, spec) > limit:
            spec = replace(spec, weights=spec.weights - 1)
    return spec


def _smallest(context: SearchContext, size: int, hashes: Hashes) -> HashedSpec:
    """A token row for each side, and no more weights than are summed."""
    # As first weights: of no budget, since the length of the file depends on its digits.
    seed = derive(context.settings.seed_of_init, "hashing") & 0xFFFFFFFF
    return HashedSpec(
        size=size,
        rows=2,
        user_rows=1,
        weights=hashes.summed_weights,
        k=hashes.summed_rows,
        k_weights=hashes.summed_weights,
        n_users=context.data.n_users,
        seed=seed,
    )


def _with_rows(context: SearchContext, spec: HashedSpec, rows: int) -> HashedSpec:
    """``rows`` token rows, split between users and items by their numbers."""
    share = round(rows * context.data.n_users / context.budget.n)
    return replace(spec, rows=rows, user_rows=min(max(1, share), rows - 1))


def _file_bytes(context: SearchContext, spec: HashedSpec) -> int:
    return spec.file_bytes(context.budget.copies)
