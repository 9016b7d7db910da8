"""From interactions and a number of bytes to the best file that serves them: try, search, let the
gate decide, score, refit on everything, write.
"""

import hashlib
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bet.backbones import Recommender
from bet.data import Interactions, evaluable_split
from bet.errors import BetError
from bet.files import locked
from bet.packed import id_layout, ids_path, load
from bet.paths import cache_dir
from bet.progress import announce
from bet.release.alternatives import alternative
from bet.release.candidates import smallest_bytes
from bet.release.choice import choose, popularity_candidate
from bet.release.clock import Clock
from bet.release.estimate import expected_sentence
from bet.release.families import FAMILIES, POPULARITY, training_facts
from bet.release.judge import judge, score_on_test
from bet.release.result import BudgetAlternative, Reference, TableRelease
from bet.release.searched import TOO_LATE, search
from bet.release.stage import Stage, Tried
from bet.release.task import Fixed, Task
from bet.release.untouched import float32_bytes, untouched_als, untouched_factors
from bet.release.update import Earlier, choose_again
from bet.search import TrainingData, Workspace
from bet.search.gate import GateDecision
from bet.serving import ServedFile, coded_by_frequency
from bet.study.output import check_writable, ids_of, write_recommending
from bet.training import evaluate

AGAIN = "not tried, since an earlier file is refitted"
ALTERNATIVES, SEARCH = 0.8, 0.88  # when these parts of the time end


def build_table(
    interactions: Interactions,
    limit: int,
    file: Path,
    *,
    minutes: float = 10.0,
    history: bool = True,
    with_ids: bool = False,
    fixed: Fixed | None = None,
    earlier: Earlier | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    source: Path | str | None = None,
    publish: Callable[[TableRelease], object] | None = None,
) -> TableRelease:
    """Write the best file described here that serves ``interactions`` in at most ``limit`` bytes.

    Rules, vectors, rows with the graph and blends are trained on half of the data, each with a
    short sweep of its settings; half of the validation users select, at most. What is searched, and
    what has no histories, is used only if the other users gain from it. The chosen one is scored
    once on test, then refitted to all interactions. Interrupted, the same call continues.

    ``minutes`` bound all of it: what is trained or chosen leaves the time in which it is likely
    fitted to all interactions, scored and written. Only popularity is always made. ``history``:
    whether the file may say what people have seen. ``with_ids``: it holds your ids, which count;
    else they are in ``FILE.ids``. ``fixed``: settings that are not swept. ``earlier``: a file to
    refit, instead of everything else, however long that takes. ``source``: the file that the
    interactions came from, which is not overwritten. ``publish``: writes what else there is to
    write, before the unfinished work is removed. Raises BetError, with the smallest possible file,
    when ``limit`` is too small, and on a file that cannot be written.

    With time enough for all that is tried, the same input gives the same file.
    """
    clock = Clock.start(minutes)
    check_writable(file, source)
    split = evaluable_split(interactions, seed)
    data = TrainingData(split.train, split.validation)
    ids = ids_of(interactions)
    task = Task(
        interactions=interactions,
        split=split,
        data=data,
        limit=limit,
        coded=coded_by_frequency(interactions.matrix),
        ids=id_layout(ids) if with_ids else (),
        history=history,
        fixed=fixed or Fixed(),
        minutes=minutes,
        seed=seed,
        workspace=Workspace(cache_dir(), cache_dir(), device, progress),
    )
    too_large = _too_large(task)
    if POPULARITY.words in too_large:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest possible file, "
            f"{min(too_large.values()):,} bytes; raise it"
        )
    folder = cache_dir() / "work" / f"table-{_key(task, earlier)}"
    task = replace(task, workspace=Workspace(folder, folder, device, progress))
    if progress:
        announce(expected_sentence(task, clock))
    with locked(folder):
        release = _build(task, clock, file, too_large, earlier)
        if publish is not None:
            publish(release)
        shutil.rmtree(folder, ignore_errors=True)
    return release


def _key(task: Task, earlier: Earlier | None) -> str:
    """Names the folder of unfinished work: a call with the same key continues it."""
    what = (task.data.digest, task.split.data_hash, task.limit, task.ids, task.history)
    more = (asdict(task.fixed), task.minutes, task.seed, task.workspace.device, earlier)
    return hashlib.sha256(repr((*what, *more)).encode()).hexdigest()[:16]


def _too_large(task: Task) -> dict[str, int]:
    """Bytes of the smallest file of every family that does not fit."""
    smallest: dict[str, int] = {}
    for family in FAMILIES:
        n_bytes = smallest_bytes(task, family)
        if n_bytes > task.limit:
            smallest[family.words] = n_bytes
    return smallest


def _build(
    task: Task, clock: Clock, file: Path, too_large: dict[str, int], earlier: Earlier | None
) -> TableRelease:
    untouched, clock = _untouched(task, clock)
    choice = choose_again(task, earlier) if earlier else choose(task, clock)
    simple, popular = choice.simple, choice.best["popularity"]
    if not simple.quality > 0:
        raise BetError(
            "nothing that was trained finds an interaction of validation, so nothing can be "
            "compared; give more interactions"
        )
    last = clock.latest - simple.refit_seconds
    stage = Stage(min(clock.share(ALTERNATIVES), last), [], choice.left_out)
    half, double = (
        BudgetAlternative(limit, (), AGAIN) if earlier else alternative(task, choice, limit, stage)
        for limit in (task.limit // 2, 2 * task.limit)
    )
    chosen, decision, unsearched = (
        (simple, None, AGAIN) if earlier else _search(task, clock, simple)
    )
    references = (_popularity(task, popular), untouched)
    test = score_on_test(task, chosen.outcome.trained.model.ranker())
    model = _refit(task, chosen)
    served = _write(task, file, chosen, model)
    holds_history = bool(served.layout.interactions or served.layout.seen)
    lacking = np.diff(task.interactions.matrix.indptr) < task.interactions.n_items
    return TableRelease(
        file=file,
        limit=task.limit,
        n_users=task.interactions.n_users,
        n_items=task.interactions.n_items,
        minutes=clock.seconds / 60,
        seconds=time.monotonic() - clock.started,
        measured=(*choice.measured, *([chosen.measured] if chosen is not simple else [])),
        half=half,
        double=double,
        simple=simple.measured,
        chosen=chosen.measured,
        decision=decision,
        unsearched=unsearched,
        without_histories=choice.without_histories,
        left_out=tuple(choice.left_out),
        too_large=too_large,
        chosen_again={
            name: float(value)
            for name, value in served.layout.facts.items()
            if value != chosen.measured.settings.get(name, value)
        },
        test=test,
        references=references,
        report=load(file).byte_report(),
        holds_ids=bool(task.ids),
        holds_history=holds_history,
        example_user=ids_of(task.interactions)[0][int(lacking.argmax())],
        example_excludes_seen=holds_history and bool(lacking.any()),
    )


def _search(
    task: Task, clock: Clock, simple: Tried
) -> tuple[Tried, GateDecision | None, str | None]:
    """What is used, what the gate says about the searched one, or why there is none."""
    ends = min(clock.share(SEARCH), clock.latest - simple.refit_seconds)
    searched, unsearched = search(task, simple, ends)
    if searched is None:
        return simple, None, unsearched
    if time.monotonic() + searched.refit_seconds > clock.latest:
        return simple, None, TOO_LATE
    decision = judge(task, simple, searched)
    if decision is None:
        return simple, None, "no validation user is left to judge it"
    return (searched if decision.accepted else simple), decision, None


def _popularity(task: Task, popular: Tried) -> Reference:
    model, measured = popular.outcome.trained.model, popular.measured
    test = score_on_test(task, model.ranker())
    return Reference("popularity", measured.n_bytes, measured.quality, test)


def _untouched(task: Task, clock: Clock) -> tuple[Reference, Clock]:
    """What ALS of default settings gives, in float32; the clock, which now knows how long such a
    score on test and the preparation took: the end, a score and the writing, takes about as long.
    """
    started, device = time.monotonic(), task.workspace.device
    ranker = untouched_als(task.data.train)
    before = clock.started + time.monotonic() - started
    simplest = popularity_candidate(task)
    assert simplest is not None, "it fits, or the limit was refused"
    context = simplest.context
    ranked = evaluate(ranker, context.selection, [task.data.train], device=device)
    factors = untouched_factors(task.data.train.shape)
    reference = Reference(
        f"ALS of default settings, {factors} float32 factor{'s' * (factors > 1)}",
        float32_bytes(task.data.n, factors),
        ranked.means()["quality"],
        score_on_test(task, ranker),
    )
    return reference, replace(clock, closing=time.monotonic() - before)


def _refit(task: Task, chosen: Tried) -> Recommender:
    """The chosen one, fitted to all interactions, for as many epochs; without a deadline."""
    task.deadline.ends = math.inf
    return chosen.outcome.fit_to(task.interactions.matrix, "all interactions").model


def _write(task: Task, file: Path, chosen: Tried, model: Recommender) -> ServedFile:
    """Write ``model``; its ids into the file or beside it, histories where they fit."""
    served = write_recommending(
        file,
        model,
        task.interactions.matrix,
        ids_of(task.interactions),
        ids_inside=bool(task.ids),
        with_seen=chosen.candidate.history,
        facts=training_facts(chosen.candidate.settings),
    )
    if file.stat().st_size > task.limit:
        n_bytes = file.stat().st_size
        for each in (file, ids_path(file)):
            each.unlink(missing_ok=True)
        raise BetError(
            f"the file came out as {n_bytes:,} bytes, above the limit of {task.limit:,}; please "
            "report it"
        )
    return served
