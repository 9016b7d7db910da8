"""How competitors are tuned: a method proposes up to ``SearchSettings.top`` tables, and each is
trained to the end, as BET's are.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from bet.actions import Allocation
from bet.backbones import Recommender
from bet.search.context import SearchContext
from bet.search.refit import initialize_recommender, load_or_pretrain, train_from_scratch
from bet.search.result import Effort, MethodResult, Refitted, StageSeconds
from bet.search.training import train_model
from bet.tables import LearnedTable
from bet.training import TrainResult, load_state, save_state


@dataclass(frozen=True)
class Trial:
    """A table that a method proposes: its ``allocation``, and for the record ``facts``, the values
    of the method's knobs that led to it. ``learn`` learns the allocation with these values again,
    on the interactions of another context, which takes ``effort``.
    """

    allocation: Allocation
    facts: Mapping[str, float]
    learn: Callable[[SearchContext], Allocation]
    effort: Effort


def best_trial(
    context: SearchContext,
    trials: Sequence[Trial],
    *,
    seconds: StageSeconds,
    effort: Effort | None = None,
    prepare: Callable[[SearchContext], SearchContext] = lambda context: context,
) -> MethodResult:
    """Train every trial's table to the end and keep the best on validation, the earlier among
    equals.

    ``seconds`` and ``effort`` (default: none) are those of the search before. ``prepare`` makes of
    a context the one that allocations are learned and tables trained in (default: the same).
    """
    limit = context.settings.search.top
    assert 0 < len(trials) <= limit, "every method gets the same number of retrainings"
    ready = prepare(context)
    trained = [
        train_from_scratch(ready, trial.allocation, f"trial-{i}") for i, trial in enumerate(trials)
    ]
    facts = []
    for trial, candidate in zip(trials, trained, strict=True):
        result, parameters = candidate.result, candidate.model.table.n_parameters()
        outcome = {"quality": result.quality, "epochs": result.epoch, "parameters": parameters}
        facts.append({**trial.facts, **outcome})
    before = effort or Effort()
    best = int(np.argmax([candidate.result.quality for candidate in trained]))

    def fit_again(interactions: csr_array, what: str) -> Refitted:
        fitted, chosen = prepare(context.fitted_to(interactions)), trials[best]
        allocation, before = chosen.learn(fitted), trained[best].result
        again = train_from_scratch(fitted, allocation, f"refit on {what}", before)
        return Refitted(again.model, chosen.effort)

    return MethodResult(
        trained[best],
        context,
        replace(seconds, retrain=sum(candidate.result.seconds for candidate in trained)),
        replace(before, trainings=before.trainings + len(trained)),
        trials=tuple(facts),
        refit=fit_again,
    )


def cached(
    context: SearchContext,
    name: str,
    make: Callable[..., dict[str, Any]],
    *arguments: object,
    settings: tuple = (),
) -> dict[str, Any]:
    """Call ``make(context, *arguments)`` once and keep its result (tensors, numbers, text) in the
    workspace.

    A result without ``seconds`` gets the time that ``make`` took. ``settings``: constants of the
    method; when they change it is made anew.

    >>> def choose(context, columns):
    ...     return {"columns": columns}
    >>> for columns in (3, 4):  # the second time it is not called
    ...     print(cached(context, "chosen", choose, columns)["columns"])
    3
    3
    """
    path = context.workspace.folder / f"{name}.pt"
    search, seed = asdict(context.settings.search), context.settings.seed_of_search
    key = repr((context.key, seed, asdict(context.budget), search, name, settings))
    state = load_state(path, key)
    if state is None:
        started = time.perf_counter()
        state = make(context, *arguments)
        state.setdefault("seconds", time.perf_counter() - started)
        save_state(path, key, state)
    return state


def initialize_learner(context: SearchContext, table: Callable[..., LearnedTable]) -> Recommender:
    """A fresh recommender with all d_max columns, whose ``table`` learns in training what to keep.

    >>> initialize_learner(context, LearnedTable).table.allocation.total  # 5 entities, 4 columns
    20
    """
    return initialize_recommender(context.without_budget(), context.full_allocation, table)


@dataclass(frozen=True)
class Schedule:
    """``epochs``, after which of them the rate ``falls``, and the rate of every step."""

    epochs: int
    falls: tuple[int, ...]
    rates: tuple[float, ...]


def whole_schedule(context: SearchContext) -> Schedule:
    """Of a training that does not look at validation: all epochs or, where the rate falls on
    plateaus, the epochs and rates of the full table.
    """
    training = context.settings.by_gradient
    epochs, falls = training.max_epochs, tuple[int, ...]()
    if training.schedule == "plateau":
        before = load_or_pretrain(context.before or context).result
        epochs, falls = max(1, before.epoch), before.falls
    each, rates = context.steps_per_epoch, list[float]()
    for epoch in range(epochs):
        fallen = sum(after <= epoch for after in falls)
        steps = range(epoch * each, (epoch + 1) * each)
        rates += [training.rate(step, epochs * each, fallen) for step in steps]
    return Schedule(epochs, falls, tuple(rates))


def train_whole_schedule(context: SearchContext, model: Recommender, name: str) -> TrainResult:
    """Train ``model``, whose table learns what to keep, for all epochs, or until the table ends it;
    no look at validation.
    """
    workspace, schedule = context.workspace, whole_schedule(context)
    return train_model(
        context,
        model,
        epochs=schedule.epochs,
        falls=schedule.falls,
        checkpoint=workspace.folder / f"{name}.checkpoint.pt",
        progress=workspace.label(name),
    )
