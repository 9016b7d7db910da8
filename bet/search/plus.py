"""``bet-plus``: simple rules first, then actions of the largest expected improvement; the fittest
few are trained to the end. Ours.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

from bet.actions import Action, Allocation
from bet.search.context import SearchContext
from bet.search.fitness import (
    Score,
    evaluate_finetuned,
    evaluate_trained,
    evaluate_truncated,
    retraining_name,
    usual_score,
)
from bet.search.loop import search, top_actions
from bet.search.refit import (
    Trained,
    initialize_recommender,
    load_or_pretrain,
    train_from_scratch,
)
from bet.search.result import Effort, Evaluated, MethodResult, StageSeconds
from bet.search.selectors import Choice
from bet.search.settings import QUARTER
from bet.search.surrogate import expected_improvement, fit_surrogate
from bet.search.training import train_model
from bet.training import RankingMetrics

log = logging.getLogger(__name__)

PARENTS = 3  # the best so far, whose mutations are considered; anchors to be finished come besides
MUTATIONS = 100  # of each
NEAR = 0.1  # the largest difference of a feature at which two actions are near copies
FAR = 0.5  # the same between actions that are trained to the end
SCREENED = 4  # promising actions whose cuts of the full table are ranked; the best is measured
TRUSTED = 0.5  # ... where cuts rank the measured actions so well as they were measured (Spearman)
RESERVED = 2  # of the tables that are trained to the end for anchors of one rule


@dataclass(frozen=True)
class Candidate:
    """An action that a simple ``rule`` gives, such as "power law 0.3". ``finished``: trained to the
    end whatever else is found, or, where many actions of the rule are, if it is among the RESERVED
    fittest of them.
    """

    rule: str
    action: Action
    finished: bool = False


class CandidateSpace(Protocol):
    """What ``bet-plus`` searches. All actions meet the budget of the search's context."""

    def anchors(self) -> Sequence[Candidate]:
        """The actions of simple rules."""
        ...

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        """``m`` independent draws from the prior."""
        ...

    def mutate(self, action: Action, m: int, rng: np.random.Generator) -> list[Action]:
        """``m`` actions near ``action``."""
        ...

    def features(self, actions: Sequence[Action]) -> np.ndarray:
        """What the surrogate sees: (m, f) float64, on scales on which 0.1 is a small difference."""
        ...


class PlusSelector:
    """First the anchors. Then draws from the prior and mutations of the best are ordered by
    expected improvement, near copies of measured actions and of one another left out, and the first
    is chosen; or, while cuts of ``full`` rank the measured actions as they were measured, of the
    first few the one whose cut is best.

    Actions that are trained to the end have no use for a cut: there ``full`` is None. Where no
    surrogate can be fitted a draw from the prior is chosen, and a warning says so.
    """

    name = "bet-plus"

    def __init__(self, context: SearchContext, space: CandidateSpace, full: Trained | None):
        self.context, self.space, self.full = context, space, full
        self.anchors = space.anchors()
        self.cuts: list[float] = []  # quality of the cut of every measured action
        self.evaluations = 0  # of cuts

    def choose(self, t: int, population: Sequence[Evaluated]) -> Choice:
        if t <= len(self.anchors):
            anchor = self.anchors[t - 1]
            return Choice(anchor.action, f"anchor: {anchor.rule}")
        rng = self.context.search_rng("bet-plus", t)
        known = self.space.features([member.action for member in population])
        fitness = np.array([member.fitness for member in population])
        surrogate = fit_surrogate(known, fitness, seed=int(rng.integers(2**31)))
        actions = self.space.sample(self.context.settings.search.actions, rng)
        if surrogate is None:
            log.warning("iteration %d: no surrogate can be fitted; a draw from the prior", t)
            return Choice(actions[0], "prior: no surrogate")
        parents = [member.action for member in top_actions(population, PARENTS)]
        for parent in [*parents, *(anchor.action for anchor in self.anchors if anchor.finished)]:
            actions += self.space.mutate(parent, MUTATIONS, rng)
        features = self.space.features(actions)
        mean, deviation = surrogate.predict(features)
        best = surrogate.predict(known)[0].max()  # without the noise of single measurements
        order = np.argsort(-expected_improvement(mean, deviation, best), kind="stable")
        trusted = self.full is not None and _rank_alike(self.cuts, fitness)
        first, *others = apart(order, features, known, SCREENED if trusted else 1)
        chosen, strategy = first, "expected improvement"
        if others:
            # The first among equals.
            chosen = max([first, *others], key=lambda i: self._cut_quality(actions[i]))
            strategy += ", best cut"
        return Choice(actions[chosen], strategy, float(mean[chosen]))

    def _cut_quality(self, action: Action) -> float:
        assert self.full is not None
        self.evaluations += 1
        ranked = evaluate_truncated(self.context, self.full, action.allocation)
        return ranked.means()["quality"]

    def learn(self, t: int, population: Sequence[Evaluated], ranked: RankingMetrics) -> None:
        """Rank the cut of the action of iteration t; the surrogate is fitted anew for a choice."""
        if self.full is not None:
            self.cuts.append(self._cut_quality(population[-1].action))

    def state_dict(self) -> dict:
        return {"cuts": self.cuts, "evaluations": self.evaluations}

    def load_state_dict(self, state: dict) -> None:
        self.cuts, self.evaluations = list(state["cuts"]), state["evaluations"]


def _rank_alike(cuts: Sequence[float], fitness: np.ndarray) -> bool:
    """Whether both order the measured actions alike; equal cuts order nothing."""
    return np.ptp(cuts) > 0 and scipy.stats.spearmanr(cuts, fitness).statistic >= TRUSTED


def apart(
    order: np.ndarray,
    features: np.ndarray,
    known: np.ndarray,
    count: int,
    distance: float = NEAR,
) -> list[int]:
    """The first ``count`` of ``order``, which numbers rows of ``features`` (m, f), that differ from
    ``known`` (k, f) and from one another by more than ``distance`` in some feature. The first of
    all where there is none.

    >>> features = np.array([[0.0], [1.0], [1.05], [2.0]])
    >>> apart(np.arange(4), features, known=np.array([[0.02]]), count=2)
    [1, 3]
    >>> apart(np.arange(4), features, known=features, count=2)
    [0]
    """
    chosen: list[int] = []
    for i in map(int, order):
        if (np.abs(known - features[i]).max(1) > distance).all():
            chosen.append(i)
            known = np.concatenate([known, features[i : i + 1]])
            if len(chosen) == count:
                break
    return chosen or [int(order[0])]


def search_plus(
    context: SearchContext, space: CandidateSpace, score: Score | None = None
) -> MethodResult:
    """Measure T actions, anchors among them, but at least half as many besides the anchors. Train
    to the end every anchor that is to be ``finished`` and the fittest of the others. The best of
    these on validation is the result, which is therefore never below such an anchor.

    Actions are measured by ``score`` (default: ``evaluate_twice``), or trained to the end, each of
    them, where that costs no more (``SearchSettings.trains_all``); with least squares there are T
    besides the anchors. An interrupted search goes on where it was.
    """
    settings, full = context.settings.search, load_or_pretrain(context)
    train_all = settings.trains_all(context.settings.training)
    score = evaluate_trained if train_all else score or evaluate_twice
    finetuned = score is evaluate_twice
    selector = PlusSelector(context, space, full if finetuned else None)
    anchors, by_squares = len(selector.anchors), usual_score(context) is evaluate_trained
    others = settings.iterations if by_squares else math.ceil(settings.iterations / 2)
    measured = max(settings.iterations, anchors + others)
    longer = replace(settings, iterations=measured, curve=())
    wider = replace(context, settings=replace(context.settings, search=longer))
    population = search(wider, selector, full, score)
    finalists = top_actions(population, 1) if train_all else _finalists(selector, population)
    retrained: dict[int, Trained] = {}
    for member in finalists:
        allocation = member.action.allocation
        # A score that trains to the end has left it in the workspace.
        retrained[member.t] = train_from_scratch(context, allocation, retraining_name(allocation))
    winner = max(retrained, key=lambda t: (retrained[t].result.quality, -t))
    seconds = StageSeconds(full.result.seconds, sum(member.seconds for member in population))
    effort = Effort(trainings=measured)
    if not train_all:
        taken = sum(trained.result.seconds for trained in retrained.values())
        seconds = replace(seconds, retrain=taken)
        effort = Effort(
            finetunings=measured if finetuned else 0,
            trainings=len(retrained),
            evaluations=selector.evaluations,
            short_trainings=measured,
        )
    return MethodResult(
        trained=retrained[winner],
        context=context,
        seconds=seconds,
        effort=effort,
        iterations=tuple(population),
        retrained=retrained,
        winners={measured: winner},
    )


def _finalists(selector: PlusSelector, population: Sequence[Evaluated]) -> list[Evaluated]:
    """The anchors that are to be finished, and the fittest of the others, at least one, that are
    FAR from these and from one another: fitness may say little of what training makes of them. As
    many as other methods train.
    """
    ranked = top_actions(population, len(population))
    of_rule: dict[str, list[Evaluated]] = {}
    for member in ranked:
        if member.t <= len(selector.anchors) and selector.anchors[member.t - 1].finished:
            of_rule.setdefault(selector.anchors[member.t - 1].rule, []).append(member)
    finalists = list(chain.from_iterable(members[:RESERVED] for members in of_rule.values()))
    left = np.array([member.t - 1 for member in ranked if member not in finalists])
    features = selector.space.features([member.action for member in population])
    known = features[[member.t - 1 for member in finalists]]
    more = max(1, selector.context.settings.search.top - len(finalists))
    chosen = apart(left, features, known, more, FAR)
    return [*finalists, *(population[i] for i in chosen)]


def evaluate_twice(context: SearchContext, full: Trained, allocation: Allocation) -> RankingMetrics:
    """Fine-tune the cut of the full model, train a table of ``allocation`` shortly, and rank on
    validation with both: every user counts twice. A cut favors actions that resemble the full
    model's prefixes, a short training those that learn fast.
    """
    parts = [
        measure(context, full, allocation)
        for measure in (evaluate_finetuned, evaluate_shortly_trained)
    ]
    return RankingMetrics(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.n_positives for part in parts]),
        np.concatenate([part.hits for part in parts]),
    )


def evaluate_shortly_trained(
    context: SearchContext, full: Trained, allocation: Allocation
) -> RankingMetrics:
    """Train a table of ``allocation`` for a quarter of the epochs that ``full`` was
    best after, over which the rate falls to its floor, and rank on validation.
    """
    epochs = max(1, math.ceil(QUARTER * full.result.epoch))
    settings = replace(context.settings.by_gradient, schedule="cosine", max_epochs=epochs)
    model = initialize_recommender(context, allocation)
    train_model(context, model, settings, epochs=epochs)
    return context.rank(model)
