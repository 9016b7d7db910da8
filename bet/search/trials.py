"""How competitors are tuned: a method proposes up to ``SearchSettings.top`` tables, each is trained
from scratch as BET's are.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bet.backbones import Recommender
from bet.search.context import SearchContext, initialize_recommender, train_from_scratch
from bet.search.fitness import full_sizes, without_budget
from bet.search.loop import MethodResult
from bet.tables import LearnedTable
from bet.training import TrainResult, load_state, save_state, train

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What a setting of a method's own knobs led to: ``kept``, sizes (n,) or a mask, and ``facts``
    for the record, plain values.
    """

    kept: np.ndarray
    facts: dict[str, float] = field(default_factory=dict)


def best_trial(
    context: SearchContext,
    trials: Sequence[Trial],
    *,
    trainings: int = 0,
    finetunings: int = 0,
    seconds: dict[str, float],
) -> MethodResult:
    """Train every trial's table from scratch and keep the one with the best validation quality, the
    earlier one among equals.

    ``trainings``, ``finetunings`` and ``seconds`` are those of the search before.
    """
    assert 0 < len(trials) <= context.search.top, "every method gets the same number of retrainings"
    trained = [
        train_from_scratch(context, trial.kept, f"trial-{i}") for i, trial in enumerate(trials)
    ]
    qualities = [one.result.quality for one in trained]
    facts = [
        trial.facts
        | {
            "quality": one.result.quality,
            "epochs": one.result.epoch,
            "parameters": one.model.table.n_parameters(),
        }
        for trial, one in zip(trials, trained, strict=True)
    ]
    return MethodResult(
        trained[int(np.argmax(qualities))],
        seconds=seconds | {"retrain": sum(one.result.seconds for one in trained)},
        finetunings=finetunings,
        trainings=trainings + len(trained),
        trials=facts,
    )


def cached(
    context: SearchContext,
    name: str,
    make: Callable[..., dict[str, Any]],
    *arguments: object,
    settings: tuple = (),
) -> dict[str, Any]:
    """What ``make(context, *arguments)`` returns (tensors, plain values), kept in ``context.work``.

    ``seconds`` are added unless it returns those of a training that may have been interrupted;
    ``settings``: the method's constants that the result depends on.
    """
    path = context.work / f"{name}.pt"
    key = repr((context.key, asdict(context.budget), asdict(context.search), name, settings))
    found = load_state(path, key)
    if found is None:
        started = time.perf_counter()
        found = make(context, *arguments)
        found.setdefault("seconds", time.perf_counter() - started)
        save_state(path, key, found)
    return found


def initialize_learner(context: SearchContext, table: Callable[..., LearnedTable]) -> Recommender:
    """A fresh recommender with a full-width ``table`` that learns what to keep of it."""
    return initialize_recommender(without_budget(context), full_sizes(context), table)


def train_whole_schedule(context: SearchContext, model: Recommender, name: str) -> TrainResult:
    """Train ``model``, whose table learns its own form, for all epochs, or until the table ends it;
    no look at validation.
    """
    return train(
        model,
        context.sampler,
        context.training,
        context.seed,
        epochs=context.training.max_epochs,
        checkpoint=context.work / f"{name}.checkpoint.pt",
        progress=context.description(name),
    )
