"""How the few numbers of a ranking rule are chosen: every setting of a list is fitted on train and
ranked on validation.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from bet.backbones import RankingRule, rule_recommender
from bet.progress import progress_bar
from bet.search import (
    Effort,
    MethodResult,
    Refitted,
    SearchContext,
    StageSeconds,
    Trained,
    TrainingData,
    cached,
)
from bet.seeds import numpy_generator
from bet.training import TrainResult

HELD_OUT = 0.2  # of the validation interactions, when a rule is fitted to the others, too
RuleSettings = Mapping[str, float]
Closer = Sequence[Callable[[RuleSettings], Sequence[RuleSettings]]]


def tune(
    context: SearchContext,
    rule: type[RankingRule],
    grid: Sequence[RuleSettings],
    *closer: Callable[[RuleSettings], Sequence[RuleSettings]],
) -> MethodResult:
    """Fit ``rule`` with every setting of ``grid``; then with those that each of ``closer`` gives
    for the best one so far. The best on validation is kept, the earlier among equals.

    No setting is evaluated twice. What an interrupted run has evaluated is in the workspace. A
    refit to more interactions chooses again, as often, since what is best depends on how dense they
    are: it fits train and most of validation, and ranks the rest of validation. These evaluations
    are the effort of the refit.
    """
    outcomes = _tried(context, rule, grid, closer)
    best = _best(outcomes)
    started = time.perf_counter()
    model = rule_recommender(rule(context.data.train, best["settings"]))
    fitting = time.perf_counter() - started

    def fit_again(interactions: csr_array, what: str) -> Refitted:
        again = _tried(denser(context), rule, grid, closer)
        fitted = rule_recommender(rule(interactions, _best(again)["settings"]))
        return Refitted(fitted, Effort(evaluations=len(again)))

    return MethodResult(
        Trained(model, TrainResult(epoch=0, quality=best["quality"], seconds=fitting)),
        context,
        StageSeconds(search=sum(outcome["seconds"] for outcome in outcomes), retrain=fitting),
        Effort(evaluations=len(outcomes)),
        trials=tuple(
            {**outcome["settings"], "quality": outcome["quality"]} for outcome in outcomes
        ),
        refit=fit_again,
    )


def denser(context: SearchContext) -> SearchContext:
    """The context with all but ``HELD_OUT`` of the validation interactions moved to train."""
    data = context.data
    held = csr_array(data.validation.copy())
    draws = numpy_generator(context.settings.seed, "held out").random(held.nnz)
    chosen = (draws < HELD_OUT) | (draws == draws.min())  # one at least
    held.data = chosen.astype(held.data.dtype)
    held.eliminate_zeros()
    train = csr_array((data.train + data.validation - held).astype(data.train.dtype))
    train.eliminate_zeros()
    moved = replace(context, data=TrainingData(train, held))
    return moved.in_folder(context.workspace.folder / "denser")


def _tried(
    context: SearchContext, rule: type[RankingRule], grid: Sequence[RuleSettings], closer: Closer
) -> list[Mapping[str, Any]]:
    """The outcomes of ``grid`` and of what each of ``closer`` adds."""
    outcomes = _evaluate_all(context, rule, grid, [])
    for near in closer:
        outcomes = _evaluate_all(context, rule, near(_best(outcomes)["settings"]), outcomes)
    return outcomes


def _evaluate_all(
    context: SearchContext,
    rule: type[RankingRule],
    candidates: Sequence[RuleSettings],
    outcomes: Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """``outcomes`` and those of the ``candidates`` that are not among them: ``settings``,
    ``quality`` on validation and ``seconds``.
    """
    extended, workspace = list(outcomes), context.workspace
    with progress_bar(
        label=f"tune {rule.name}", total=len(candidates), shown=workspace.progress
    ) as bar:
        for settings in candidates:
            if settings not in [outcome["settings"] for outcome in extended]:
                name, content = f"setting-{len(extended)}", tuple(settings.items())
                made = cached(context, name, _evaluate, rule, settings, settings=content)
                extended.append({"settings": settings, **made})
            bar.update()
    return extended


def _evaluate(
    context: SearchContext, rule: type[RankingRule], settings: RuleSettings
) -> dict[str, Any]:
    fitted = rule_recommender(rule(context.data.train, settings))
    return {"quality": context.quality(fitted)}


def _best(outcomes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return outcomes[int(np.argmax([outcome["quality"] for outcome in outcomes]))]
