"""``magnitude-rotated``: the largest numbers after a rotation on which rows are sparse. Ours."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from bet.actions import Allocation, keep_largest
from bet.backbones import sparse_rotation
from bet.methods.magnitude import magnitudes
from bet.search import (
    Effort,
    MethodResult,
    SearchContext,
    StageSeconds,
    Trial,
    best_trial,
    cached,
    load_or_pretrain,
    scaled_factors,
)

# gamma of ``magnitudes``, and a weight of the users' rows
KNOBS = ((0.25, 1.0), (0.5, 1.0), (0.5, 1.5), (0.75, 1.5), (0.75, 1.0))


def magnitude_rotated(context: SearchContext) -> MethodResult:
    """Turn the numbers that tables start from to axes on which rows are sparse, keep the largest
    and train these; up to five pairs of gamma and weight, the best on validation.

    Where columns never mix the rotation changes no score, but what is lost without the small
    numbers. Tables start from factors where the settings say so, else from the trained full table,
    whatever others start from. There is no search and no second training; rows may end empty.
    """
    full = None if _starts_from_factors(context) else load_or_pretrain(context)
    turned, trials = _start_turned(context), []
    for gamma, weight in KNOBS[: context.settings.search.top]:
        learn = partial(_largest, gamma=gamma, weight=weight)
        facts = {"gamma": gamma, "weight": weight}
        again = Effort(trainings=0 if full is None else 1)
        trials.append(Trial(learn(turned), facts, learn, again))
    seconds = StageSeconds(search=_turned(context)["seconds"])
    if full is not None:
        seconds = replace(seconds, pretrain=full.result.seconds)
    return best_trial(context, trials, seconds=seconds, prepare=_start_turned)


def _largest(context: SearchContext, gamma: float, weight: float) -> Allocation:
    """The mask that keeps as many of the turned numbers, which tables of ``context`` start from, as
    the budget allows.
    """
    assert context.start_rows is not None
    scores = magnitudes(context.start_rows, gamma)  # (n, d_max)
    scores[: context.data.n_users] *= weight
    return keep_largest(scores.numpy(), context.budget.parameters)


def _start_turned(context: SearchContext) -> SearchContext:
    """The context whose tables start from the turned numbers."""
    return replace(context, start_rows=_turned(context)["rows"])


def _turned(context: SearchContext) -> dict[str, Any]:
    return cached(context, "turned", _turn)


def _turn(context: SearchContext) -> dict[str, Tensor]:
    """The numbers that tables start from, (n, d_max), on sparse axes."""
    settings = context.settings
    if _starts_from_factors(context):
        assert settings.start is not None
        rows = scaled_factors(context, context.full_allocation, settings.start)
    else:
        rows = load_or_pretrain(context).model.table().detach()
    return {"rows": (rows @ sparse_rotation(rows)).cpu()}


def _starts_from_factors(context: SearchContext) -> bool:
    return context.settings.start is not None and not context.settings.warm_start
