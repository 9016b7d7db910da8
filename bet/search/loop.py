"""Algorithm 1 and selective retraining; state is saved after every iteration and every retraining."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import torch
from tqdm import tqdm

from bet.actions import Action
from bet.errors import BetError
from bet.search.context import SearchContext, Trained, train_from_scratch
from bet.search.fitness import Score, evaluate_finetuned, load_or_pretrain
from bet.search.selectors import Evaluated, Selector
from bet.training import load_state, save_state

log = logging.getLogger(__name__)


@dataclass
class MethodResult:
    """What a method hands back: a trained table within budget, how it was found and what that took."""

    trained: Trained
    iterations: list[Evaluated] = field(default_factory=list)
    retrained: dict[int, Trained] = field(default_factory=dict)  # by iteration of the action
    winners: dict[int, int] = field(
        default_factory=dict
    )  # T -> iteration of the best action after T iterations
    seconds: dict[str, float] = field(
        default_factory=dict
    )  # pretrain, search, retrain; of every run that had a part in it
    finetunings: int = 0
    trainings: int = 1  # from scratch, the shared pre-training not counted
    evaluations: int = 0  # on validation, of models that were not trained for it
    trials: list[dict] = field(
        default_factory=list
    )  # plain values: a method's own knobs and what each led to
    context: SearchContext | None = (
        None  # that the table was trained for, where a method changes it
    )


def search(
    context: SearchContext,
    selector: Selector,
    full: Trained | None = None,
    score: Score = evaluate_finetuned,
) -> list[Evaluated]:
    """The population after T iterations: choose, score, learn. Continues from ``context.work`` if
    interrupted.

    ``score`` measures an action on ``full``, the model with the whole table (None: the pre-trained
    one).
    """
    path = context.work / "search.pt"
    limits = (asdict(context.budget), context.packing, context.byte_limit)
    key = repr((context.key, selector.name, score.__name__, *limits, asdict(context.search)))
    full, population = full or load_or_pretrain(context), []
    if not full.result.quality > 0:
        raise BetError(
            "the full table's quality on validation is 0, so no action can be compared with it; give more interactions"
        )
    saved = load_state(path, key)
    if saved:
        population = [_from_plain(member, context.n_users) for member in saved["population"]]
        selector.load_state_dict(saved["selector"])
        log.info("search continues after iteration %d", len(population))
    total = context.search.iterations
    bar = tqdm(
        total=total,
        initial=len(population),
        desc="search",
        disable=not context.progress,
        leave=False,
    )
    with bar:
        for t in range(len(population) + 1, total + 1):
            started = time.perf_counter()
            choice = selector.choose(t, population)
            ranked = score(context, full, choice.action.kept)
            quality = ranked.means()["quality"]
            fitness = quality / full.result.quality
            plain = (t, choice.action, choice.strategy, choice.predicted, fitness, quality)
            loss = selector.learn(t, [*population, Evaluated(*plain, None, 0.0)], ranked)
            population.append(Evaluated(*plain, loss, time.perf_counter() - started))
            saved = {
                "population": [_to_plain(member) for member in population],
                "selector": selector.state_dict(),
            }
            save_state(path, key, saved)
            bar.update()
    return population


def top_actions(population: Sequence[Evaluated], top: int) -> list[Evaluated]:
    """The ``top`` members of highest fitness, best first, earlier ones first among equals."""
    return sorted(population, key=lambda member: (-member.fitness, member.t))[:top]


def search_and_retrain(
    context: SearchContext,
    selector: Selector,
    full: Trained | None = None,
    score: Score = evaluate_finetuned,
) -> MethodResult:
    """Search, retrain the top five from scratch, keep the one with the best validation quality (Eq.
    14).

    For every T' in ``search.curve`` the same selection is made from the first T' iterations.
    ``full`` and ``score``: of ``search``.
    """
    full = full or load_or_pretrain(context)
    population = search(context, selector, full, score)
    counts = sorted({t for t in context.search.curve if t < len(population)} | {len(population)})
    tops = {count: top_actions(population[:count], context.search.top) for count in counts}
    candidates = {member.t: member for members in tops.values() for member in members}
    retrained = {
        t: train_from_scratch(context, candidates[t].action.kept, f"retrain-{t}")
        for t in sorted(candidates)
    }
    winners = {
        count: max(members, key=lambda member: (retrained[member.t].result.quality, -member.t)).t
        for count, members in tops.items()
    }
    return MethodResult(
        trained=retrained[winners[len(population)]],
        iterations=population,
        retrained=retrained,
        winners=winners,
        seconds={
            "pretrain": full.result.seconds,
            "search": sum(member.seconds for member in population),
            "retrain": sum(trained.result.seconds for trained in retrained.values()),
        },
        finetunings=len(population) if score is evaluate_finetuned else 0,
        evaluations=0 if score is evaluate_finetuned else len(population),
        trainings=len(retrained),
    )


def _to_plain(member: Evaluated) -> dict:
    plain = asdict(member)
    plain["action"] = {"kept": torch.from_numpy(member.action.kept), "origin": member.action.origin}
    return plain


def _from_plain(plain: dict, n_users: int) -> Evaluated:
    kept = plain["action"]["kept"].numpy()
    sizes, bits = (kept, None) if kept.ndim == 1 else kept.T
    action = Action(sizes, n_users, plain["action"]["origin"], bits)
    return Evaluated(**{**plain, "action": action})
