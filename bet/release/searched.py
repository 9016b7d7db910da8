"""BET's search over the best candidate: sizes and precisions of its rows, within the same bytes."""

import time
from dataclasses import replace

from scipy.sparse import csr_array

from bet.backbones import BlendedRecommender, Recommender
from bet.errors import BetError
from bet.methods.mixed_precision import bet_bytes
from bet.progress import announce
from bet.release.clock import OutOfTime
from bet.release.families import ALS, BLEND, ROWS
from bet.release.result import Measured
from bet.release.stage import Tried, measure
from bet.release.task import Task
from bet.search import MethodResult, SearchSettings, Trained, refit

MOST_ITERATIONS, LEAST_ITERATIONS, TOP = 10, 3, 3
TOO_LATE = "no time was left for one; give more minutes"


def search(task: Task, simple: Tried, ends: float) -> tuple[Tried | None, str | None]:
    """``bet-bytes`` over the rows of ``simple``, until ``ends``, a time of ``time.monotonic``; or
    why there is none.

    The rows of a blend are searched by themselves and blended with the weight of ``simple``.
    """
    base = simple.candidate
    if base.family not in (ALS, ROWS, BLEND):
        has = "vectors of equal length only" if base.family.has_table else "no rows"
        return None, f"{base.family.words} has {has}"
    assert base.context.byte_limit is not None
    table = simple.outcome.trained.model.table
    if table.n_bytes() + 2 * table.n <= base.context.byte_limit:
        return None, "more bytes do not make the chosen one better"
    # A training of every action, or fine-tunings and a few trainings, and the full table before.
    seconds = max(0.01, simple.outcome.trained.result.seconds)
    iterations = min(MOST_ITERATIONS, int((ends - time.monotonic()) / (1.5 * seconds)) - 3)
    if iterations < LEAST_ITERATIONS:
        return None, TOO_LATE
    settings = replace(
        base.context.settings, search=SearchSettings(iterations=iterations, top=TOP)
    )
    context = replace(base.context, settings=settings).in_folder(
        task.workspace.folder / f"search-{base.key}-{iterations}"
    )
    name = f"BET's search over {base.family.words}"
    if task.workspace.progress:
        announce(f"{name}: {iterations} iterations")
    started, task.deadline.ends = time.monotonic(), ends
    try:
        outcome = bet_bytes(context)
        if base.family is BLEND:
            outcome = _blended(outcome, simple)
    except OutOfTime:
        return None, TOO_LATE
    except BetError as error:
        return None, f"it is not possible here ({error})"
    return _tried(simple, outcome, name, time.monotonic() - started), None


def _blended(outcome: MethodResult, simple: Tried) -> MethodResult:
    """The searched rows with the filter and the weight of ``simple``."""
    blended, refit_simple = simple.outcome.trained.model, simple.outcome.refit
    assert isinstance(blended, BlendedRecommender) and refit_simple is not None
    weight = blended.weight
    model = BlendedRecommender(outcome.trained.model, blended.rule, weight)
    quality = outcome.context.quality(model)

    def fit_again(interactions: csr_array, what: str) -> Recommender:
        whole = refit_simple(interactions, what)  # for its filter
        assert isinstance(whole, BlendedRecommender)
        again = refit(outcome.context, outcome.trained, interactions, what)
        return BlendedRecommender(again, whole.rule, weight)

    result = replace(outcome.trained.result, quality=quality)
    return replace(outcome, trained=Trained(model, result), refit=fit_again)


def _tried(simple: Tried, outcome: MethodResult, name: str, seconds: float) -> Tried:
    base = simple.candidate
    row: Measured = replace(
        measure(base, outcome, seconds),
        name=name + ("" if base.history else ", without histories"),
        family="search",
        bits=None,
    )
    return Tried(base, outcome, row)
