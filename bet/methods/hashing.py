"""The extreme end: no row per entity at all. The plain hashing trick, and MEM-REC's two hashed encoders."""

from dataclasses import replace

import numpy as np

from bet.backbones import Hashing
from bet.errors import BetError
from bet.search import Outcome, Problem, train_from_scratch, unbudgeted
from bet.seeds import derive

WIDTHS = (1, 2, 4, 8, 16)  # of d_max, the divisor: columns of a token row
SHARE = 64  # of the bytes one part goes to MEM-REC's weights, 4,096 of them at most
K, K_WEIGHTS = 4, 2


def hashing_trick(problem: Problem) -> Outcome:
    """Every entity takes the one row that its hash says (Weinberger et al., ICML 2009); five widths, the best on validation."""
    return _tuned(problem, k=1, k_weights=0)


def memrec(problem: Problem) -> Outcome:
    """The sum of four hashed rows, scaled by the sum of two hashed weights (arXiv 2305.07205); five widths, the best on validation.

    Published without code: the number of hashes is ours, and rows are split between users and items by their numbers.
    """
    return _tuned(problem, K, K_WEIGHTS)


def _tuned(problem: Problem, k: int, k_weights: int) -> Outcome:
    limit, best, seconds = problem.byte_limit, None, 0.0
    trials: list[dict] = []
    if limit is None:
        raise BetError("a hashed table needs a budget; give a sparsity, parameters or bytes")
    for divisor in WIDTHS[: problem.search.top]:
        size = max(1, problem.budget.d_max // divisor)
        if any(trial["columns"] == size for trial in trials):
            continue
        form = filled(problem, limit, size, k, k_weights)
        if form is None:
            continue
        own = replace(unbudgeted(problem), packing=form)  # columns that entities share are not theirs alone
        trained = train_from_scratch(own, np.full(problem.budget.n, size, dtype=np.int16), f"trial-{size}")
        seconds += trained.result.seconds
        trials.append({"columns": size, "rows": form.rows, "quality": trained.result.quality, "epochs": trained.result.epoch})
        if best is None or trained.result.quality > best[0].result.quality:
            best = trained, own
    if best is None:
        smallest = Hashing(1, 2, 1, k_weights, k, k_weights, problem.n_users, 0).file_bytes(problem.budget.copies)
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of a hashed table, {smallest:,} bytes; raise the budget"
        )
    return Outcome(best[0], seconds={"retrain": seconds}, trainings=len(trials), trials=trials, problem=best[1])


def filled(problem: Problem, limit: int, size: int, k: int, k_weights: int) -> Hashing | None:
    """The form with as many rows of ``size`` columns as ``limit`` bytes hold, the rest in weights; None where two do not fit."""
    n, n_users, copies = problem.budget.n, problem.n_users, problem.budget.copies
    seed = derive(problem.seed, "hashing") & 0xFFFFFFFF

    def form(rows: int, weights: int) -> Hashing:
        users = min(max(1, round(rows * n_users / n)), rows - 1)
        return Hashing(size, rows, users, weights, k, k_weights, n_users, seed)

    weights = max(k_weights, min(4096, limit // 4 // SHARE)) if k_weights else 0
    rows = (limit - form(2, weights).file_bytes(copies)) // (4 * copies * size) + 2
    while rows >= 2 and form(rows, weights).file_bytes(copies) > limit:
        rows -= 1
    if rows < 2:
        return None
    if k_weights:
        weights += (limit - form(rows, weights).file_bytes(copies)) // 4
        while form(rows, weights).file_bytes(copies) > limit:
            weights -= 1
    return form(rows, weights)
