"""What half and double the bytes would give: the chosen family, the rules and iALS, with the
settings that were best, at the best number of bits and the next.
"""

from collections.abc import Iterable
from math import inf

from bet.release.candidates import Candidate, candidate
from bet.release.choice import Choice, popularity_candidate
from bet.release.families import ALS, BLEND, FILTER, KNN, ROWS, VECTORS
from bet.release.result import BudgetAlternative, Measured
from bet.release.stage import Stage, Tried
from bet.release.task import Task

RULES = ("filter", "knn")


def alternative(task: Task, choice: Choice, limit: int, stage: Stage) -> BudgetAlternative:
    """The best that was trained for ``limit`` bytes, or why nothing was."""
    simple = choice.simple.measured
    if simple.n_bytes <= limit < task.limit:
        return BudgetAlternative(limit, (), "the same file, which is no longer")
    other, rows = task.of_limit(limit), list[Measured]()
    Stage(inf, rows, []).best_of([popularity_candidate(other)])
    rows += [
        tried.measured
        for name, tried in choice.best.items()
        if name in RULES and tried.measured.n_bytes <= limit
    ]
    trained, is_partial = _train(other, choice, stage)
    rows += trained
    if simple.n_bytes <= limit and simple.quality >= max(row.quality for row in rows):
        if is_partial and not any(row.n_bytes > simple.n_bytes for row in trained):
            return BudgetAlternative(limit, (), "not known, for want of time; give more minutes")
        return BudgetAlternative(limit, (), "the same file; nothing longer was better", is_partial)
    none = None if rows else "nothing that recommends fits"
    return BudgetAlternative(limit, tuple(rows), none, is_partial)


def _train(task: Task, choice: Choice, stage: Stage) -> tuple[list[Measured], bool]:
    """Rows of what is trained for the limit of ``task``; whether time was short for some of it."""
    before = len(stage.measured)
    candidates = [each for each in _candidates(task, choice) if each is not None]
    stage.best_of(candidates)
    return stage.measured[before:], not all(stage.has_trained(each) for each in candidates)


def _candidates(task: Task, choice: Choice) -> Iterable[Candidate | None]:
    best, history = choice.best, choice.simple.measured.history
    if "filter" not in best:
        yield candidate(task, FILTER)
    if "knn" not in best:
        yield next(filter(None, (candidate(task, family) for family in KNN)), None)
    vectors = best.get("ials" if history else "ials, without histories")
    vectors = vectors or best.get("ials") or best.get("ials, without histories")
    if vectors is not None:
        yield from _at_bits(task, vectors, history)
        yield candidate(task, BLEND, settings=vectors.candidate.settings)
    for name, family in (("lightgcn", VECTORS), ("rows", ROWS)):
        if choice.simple.candidate.family is family:
            yield from _at_bits(task, best[name], history)


def _at_bits(task: Task, tried: Tried, history: bool) -> Iterable[Candidate | None]:
    """At the best number of bits, the next below for fewer bytes and the next above for more."""
    base = tried.candidate
    assert base.bits is not None
    fewer = task.limit < base.n_bytes
    for bits in (base.bits, base.bits // 2 if fewer else base.bits * 2):
        if bits in ALS.bits:
            made = candidate(
                task, base.family, bits, settings=base.settings, history=history
            )
            yield made or candidate(
                task, base.family, bits, settings=base.settings, history=False
            )
