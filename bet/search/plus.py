"""``bet-plus``: simple rules first, then actions of the largest expected improvement. The most
promising are trained for a quarter of the epochs, and few of those to the end. Ours.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.stats import spearmanr

from bet.actions import Action, Allocation
from bet.search.context import SearchContext
from bet.search.fitness import (
    Score,
    evaluate_finetuned,
    evaluate_trained,
    evaluate_truncated,
    load_or_pretrain,
    retraining_name,
    usual_score,
)
from bet.search.loop import search, top_actions
from bet.search.refit import Trained, initialize_recommender, train_from_scratch
from bet.search.result import Effort, Evaluated, MethodResult, StageSeconds
from bet.search.selectors import Choice
from bet.search.surrogate import expected_improvement, fit_surrogate
from bet.search.training import train_model
from bet.search.trials import cached
from bet.training import RankingMetrics

log = logging.getLogger(__name__)

PARENTS = 3  # the best so far, whose mutations are considered; anchors to be finished come besides
MUTATIONS = 100  # of each
NEAR = 0.1  # the largest difference of a feature at which two actions are near copies
SCREENED = 4  # promising actions whose cuts of the full table are ranked; the best is measured
TRUSTED = 0.5  # ... where cuts rank the measured actions so well as they were measured (Spearman)
SHORT, QUARTER = 5, 0.25  # how many are trained for which share of the full table's epochs
FINISHED = 3  # trained to the end; fewer where ``SearchSettings.top`` is lower


@dataclass(frozen=True)
class Candidate:
    """An action that a simple ``rule`` gives, such as "power law"; the best of every rule is
    trained for a quarter of the epochs. ``finished``: the best of the rule is trained to the end
    whatever else is found.
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

    Least squares have no use for a cut: there ``full`` is None. Where no surrogate can be fitted a
    draw from the prior is chosen, and a warning says so.
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
    return np.ptp(cuts) > 0 and spearmanr(cuts, fitness).statistic >= TRUSTED


def apart(order: np.ndarray, features: np.ndarray, known: np.ndarray, count: int) -> list[int]:
    """The first ``count`` of ``order``, which numbers rows of ``features`` (m, f), that are no near
    copies of ``known`` (k, f) or of one another: no closer than NEAR in every feature. The first
    of all where there is none.

    >>> features = np.array([[0.0], [1.0], [1.05], [2.0]])
    >>> apart(np.arange(4), features, known=np.array([[0.02]]), count=2)
    [1, 3]
    >>> apart(np.arange(4), features, known=features, count=2)
    [0]
    """
    chosen: list[int] = []
    for i in map(int, order):
        if (np.abs(known - features[i]).max(1) > NEAR).all():
            chosen.append(i)
            known = np.concatenate([known, features[i : i + 1]])
            if len(chosen) == count:
                break
    return chosen or [int(order[0])]


def search_plus(
    context: SearchContext, space: CandidateSpace, score: Score | None = None
) -> MethodResult:
    """Measure the anchors and T more actions, as other searches measure theirs. Train the most
    promising for a quarter of the full table's epochs, and to the end the best anchor of every rule
    that is to be ``finished`` and the best of the others. The best of these on validation is the
    result, which is therefore never below such an anchor.

    With least squares every action is trained to the end when it is measured; with ``score``
    ``evaluate_shortly`` for a quarter. An interrupted search goes on where it was.
    """
    full, score = load_or_pretrain(context), score or usual_score(context)
    by_squares, settings = score is evaluate_trained, context.settings.search
    finetuned = score is evaluate_finetuned
    selector = PlusSelector(context, space, full if finetuned else None)
    longer = replace(settings, iterations=len(selector.anchors) + settings.iterations, curve=())
    wider = replace(context, settings=replace(context.settings, search=longer))
    population = search(wider, selector, full, score)
    seconds = sum(member.seconds for member in population)
    trials: list[Mapping[str, float]] = []
    if by_squares:
        finalists = top_actions(population, 1)
    else:
        reserved, others = _promising(selector, population)
        tried = others if finetuned else []
        short = {member.t: _train_shortly(context, full, member) for member in tried}
        trials = [{"t": t, "epochs": _epochs(full), "short": short[t]["quality"]} for t in short]
        seconds += sum(state["seconds"] for state in short.values())
        # A geometric mean: both qualities count alike, whatever their scales.
        rungs = {t: state["quality"] for t, state in short.items()}
        others.sort(key=lambda member: -member.quality * rungs.get(member.t, member.quality))
        free = max(1, min(FINISHED, settings.top) - len(reserved))
        finalists = [*reserved, *others[:free]]
    retrained = {member.t: _train_to_end(context, member.action.allocation) for member in finalists}
    winner = max(retrained, key=lambda t: (retrained[t].result.quality, -t))
    stages = StageSeconds(full.result.seconds, seconds)
    if by_squares:
        effort = Effort(trainings=len(population))
    else:
        taken = sum(trained.result.seconds for trained in retrained.values())
        stages = replace(stages, retrain=taken)
        effort = Effort(
            finetunings=len(population) if finetuned else 0,
            trainings=len(retrained),
            evaluations=selector.evaluations,
            short_trainings=len(trials) if finetuned else len(population),
        )
    return MethodResult(
        trained=retrained[winner],
        context=context,
        seconds=stages,
        effort=effort,
        iterations=tuple(population),
        retrained=retrained,
        winners={len(population): winner},
        trials=tuple(trials),
    )


def _promising(
    selector: PlusSelector, population: Sequence[Evaluated]
) -> tuple[list[Evaluated], list[Evaluated]]:
    """The anchors that are to be finished; and, with the best of every other rule among them, the
    fittest actions that are no near copies of one another.
    """
    anchors = selector.anchors
    ranked = top_actions(population, len(population))
    best_of: dict[tuple[str, bool], Evaluated] = {}
    for member in ranked:
        if member.t <= len(anchors):
            anchor = anchors[member.t - 1]
            best_of.setdefault((anchor.rule, anchor.finished), member)
    reserved = [best_of.pop(rule) for rule in list(best_of) if rule[1]]
    taken = {member.t for member in [*reserved, *best_of.values()]}
    features = selector.space.features([member.action for member in population])
    known = features[[t - 1 for t in sorted(taken)]]
    left = np.array([member.t - 1 for member in ranked if member.t not in taken], dtype=int)
    others = list(best_of.values())
    if (free := max(1, SHORT - len(others))) and len(left):
        others += [population[i] for i in apart(left, features, known, free)]
    return reserved, others


def _epochs(full: Trained) -> int:
    """Of a short training."""
    return max(1, math.ceil(QUARTER * full.result.epoch))


def _train_shortly(context: SearchContext, full: Trained, member: Evaluated) -> dict:
    """The quality and seconds of training the action of ``member`` from scratch for a quarter of
    the epochs, over which the rate falls to its floor; kept in the workspace.
    """
    allocation, epochs = member.action.allocation, _epochs(full)
    name = f"short-{allocation.digest[:16]}"

    def train(context: SearchContext) -> dict:
        return {"quality": evaluate_shortly(context, full, allocation).means()["quality"]}

    return cached(context, name, train, settings=(epochs,))


def evaluate_shortly(
    context: SearchContext, full: Trained, allocation: Allocation
) -> RankingMetrics:
    """Train a table of ``allocation`` from scratch for a quarter of the epochs of ``full``, over
    which the rate falls to its floor, and rank on validation.
    """
    name, epochs = f"short-{allocation.digest[:16]}", _epochs(full)
    settings = replace(context.settings.by_gradient, schedule="cosine", max_epochs=epochs)
    model = initialize_recommender(context, allocation)
    checkpoint = context.workspace.folder / f"{name}.checkpoint.pt"
    label = context.workspace.label(name)
    train_model(context, model, settings, epochs=epochs, checkpoint=checkpoint, progress=label)
    return context.rank(model)


def _train_to_end(context: SearchContext, allocation: Allocation) -> Trained:
    """Trained from scratch; what the workspace has is not trained again."""
    return train_from_scratch(context, allocation, retraining_name(allocation))
