"""How the few numbers of a ranking rule are chosen: every setting of a list is fitted on train and
ranked on validation.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from bet.backbones import RankingRule, Recommender, rule_recommender
from bet.progress import progress_bar
from bet.search import Effort, MethodResult, SearchContext, StageSeconds, Trained, cached
from bet.training import TrainResult

RuleSettings = Mapping[str, float]


def tune(
    context: SearchContext,
    rule: type[RankingRule],
    grid: Sequence[RuleSettings],
    *closer: Callable[[RuleSettings], Sequence[RuleSettings]],
) -> MethodResult:
    """Fit ``rule`` with every setting of ``grid``; then with those that each of ``closer`` gives
    for the best one so far. The best on validation is kept, the earlier among equals.

    No setting is evaluated twice. What an interrupted run has evaluated is in the workspace.
    """
    outcomes = _evaluate_all(context, rule, grid, [])
    for near in closer:
        outcomes = _evaluate_all(context, rule, near(_best(outcomes)["settings"]), outcomes)
    best = _best(outcomes)
    started = time.perf_counter()
    model = rule_recommender(rule(context.data.train, best["settings"]))
    fitting = time.perf_counter() - started

    def refit(interactions: csr_array, what: str) -> Recommender:
        return rule_recommender(rule(interactions, best["settings"]))

    return MethodResult(
        Trained(model, TrainResult(epoch=0, quality=best["quality"], seconds=fitting)),
        context,
        StageSeconds(search=sum(outcome["seconds"] for outcome in outcomes), retrain=fitting),
        Effort(evaluations=len(outcomes)),
        trials=tuple(
            {**outcome["settings"], "quality": outcome["quality"]} for outcome in outcomes
        ),
        refit=refit,
    )


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
