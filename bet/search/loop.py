"""Algorithm 1 and selective retraining (BET, section 3.5); state is saved after every
iteration and every retraining.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain

from bet.actions import Action, Allocation
from bet.errors import BetError
from bet.progress import progress_bar
from bet.search.context import SearchContext
from bet.search.fitness import (
    Score,
    evaluate_finetuned,
    evaluate_trained,
    retraining_name,
    usual_score,
)
from bet.search.refit import Trained, load_or_pretrain, train_from_scratch
from bet.search.result import Effort, Evaluated, MethodResult, StageSeconds
from bet.search.selectors import Selector
from bet.training import load_state, save_state

log = logging.getLogger(__name__)


def search(
    context: SearchContext,
    selector: Selector,
    full: Trained | None = None,
    score: Score | None = None,
) -> list[Evaluated]:
    """The population after T iterations: choose, score, learn (Algorithm 1). Continues from the
    workspace if interrupted.

    ``full``: the trained full table that actions are cut from (default: the cached one). ``score``
    measures an action (default: ``usual_score``). Raises BetError when the full table's quality is
    0.
    """
    score = score or usual_score(context)
    settings, workspace = context.settings.search, context.workspace
    path = workspace.folder / "search.pt"
    limits = (asdict(context.budget), context.table_spec, context.byte_limit)
    seed = context.settings.seed_of_search
    key = repr((context.key, seed, selector.name, score.__name__, *limits, asdict(settings)))
    full = full or load_or_pretrain(context)
    if not full.result.quality > 0:
        raise BetError(
            "the full table's quality on validation is 0, so no action can be compared with it; "
            "give more interactions"
        )
    population: list[Evaluated] = []
    if saved := load_state(path, key):
        population = [_from_saved(member, context.data.n_users) for member in saved["population"]]
        selector.load_state_dict(saved["selector"])
        log.info("search continues after iteration %d", len(population))
    with progress_bar(
        label="search",
        total=settings.iterations,
        initial=len(population),
        shown=workspace.progress,
    ) as bar:
        for t in range(len(population) + 1, settings.iterations + 1):
            started = time.perf_counter()
            choice = selector.choose(t, population)
            ranked = score(context, full, choice.action.allocation)
            quality = ranked.means()["quality"]
            member = Evaluated(
                t=t,
                action=choice.action,
                strategy=choice.strategy,
                predicted=choice.predicted,
                fitness=quality / full.result.quality,  # Eq. 12
                quality=quality,
                predictor_loss=None,  # known below
                seconds=0.0,
            )
            loss = selector.learn(t, [*population, member], ranked)
            seconds = time.perf_counter() - started
            population.append(replace(member, predictor_loss=loss, seconds=seconds))
            saved = {
                "population": [_to_saved(member) for member in population],
                "selector": selector.state_dict(),
            }
            save_state(path, key, saved)
            if score is evaluate_trained:
                _remove_losers(context, population)
            bar.update()
    return population


def _remove_losers(context: SearchContext, population: Sequence[Evaluated]) -> None:
    """Remove the trained tables that no retraining can ask for any more."""
    kept = chain.from_iterable(_tops(context, population).values())
    names = {retraining_name(member.action.allocation) for member in kept}
    for member in population:
        name = retraining_name(member.action.allocation)
        if name not in names:
            (context.workspace.folder / f"{name}.pt").unlink(missing_ok=True)


def _tops(context: SearchContext, population: Sequence[Evaluated]) -> dict[int, list[Evaluated]]:
    """The actions to retrain, by how many iterations they are the best of: those in ``curve``, and
    all so far.
    """
    settings, done = context.settings.search, len(population)
    counts = sorted({t for t in settings.curve if t < done} | {done})
    return {count: top_actions(population[:count], settings.top) for count in counts}


def top_actions(population: Sequence[Evaluated], top: int) -> list[Evaluated]:
    """The ``top`` members of highest fitness, best first, earlier ones first among equals.

    >>> action = Action(Allocation.uniform(4, 2), n_users=2)
    >>> first = Evaluated(t=1, action=action, strategy="II random", predicted=None, fitness=0.7,
    ...                   quality=0.07, predictor_loss=None, seconds=0.0)
    >>> population = [first, replace(first, t=2, fitness=0.9), replace(first, t=3, fitness=0.9)]
    >>> [member.t for member in top_actions(population, top=2)]
    [2, 3]
    """
    return sorted(population, key=lambda member: (-member.fitness, member.t))[:top]


def search_and_retrain(
    context: SearchContext,
    selector: Selector,
    full: Trained | None = None,
    score: Score | None = None,
) -> MethodResult:
    """Search, train the top five to the end, keep the best of them on validation (Eq. 14). What
    the search trained to the end is not trained again.

    For every T' in ``curve`` the same selection is made from the first T' iterations.
    ``full`` and ``score``: of ``search``.
    """
    score = score or usual_score(context)
    full = full or load_or_pretrain(context)
    population = search(context, selector, full, score)
    tops = _tops(context, population)
    candidates = sorted({member.t for member in chain.from_iterable(tops.values())})
    retrained: dict[int, Trained] = {}
    for t in candidates:
        allocation = population[t - 1].action.allocation
        # A score that trains to the end has left it in the workspace.
        retrained[t] = train_from_scratch(context, allocation, retraining_name(allocation))

    def rank(member: Evaluated) -> tuple[float, int]:
        return retrained[member.t].result.quality, -member.t  # earlier ones first among equals

    winners = {count: max(members, key=rank).t for count, members in tops.items()}
    searched = sum(member.seconds for member in population)
    seconds = StageSeconds(pretrain=full.result.seconds, search=searched)
    if score is evaluate_trained:
        effort = Effort(trainings=len(population))
    else:
        retraining = sum(trained.result.seconds for trained in retrained.values())
        seconds = replace(seconds, retrain=retraining)
        finetuned = score is evaluate_finetuned
        effort = Effort(
            finetunings=len(population) if finetuned else 0,
            trainings=len(retrained),
            evaluations=0 if finetuned else len(population),
        )
    return MethodResult(
        trained=retrained[winners[len(population)]],
        context=context,
        seconds=seconds,
        effort=effort,
        iterations=tuple(population),
        retrained=retrained,
        winners=winners,
    )


def _to_saved(member: Evaluated) -> dict:
    """A member as tensors, numbers and text."""
    action = member.action
    fields = vars(member) | {"action": None}
    return fields | {"allocation": action.allocation.to_tensors(), "origin": dict(action.origin)}


def _from_saved(saved: dict, n_users: int) -> Evaluated:
    """The member that ``_to_saved`` was given."""
    fields = dict(saved)
    allocation = Allocation.from_tensors(fields.pop("allocation"))
    fields["action"] = Action(allocation, n_users, fields.pop("origin"))
    return Evaluated(**fields)
