"""Short sweeps on validation: the settings of every family, one kind of number after the other."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from bet.release.candidates import Candidate, candidate, changed
from bet.release.families import ALS, VECTORS, Family
from bet.release.stage import Moves, Stage, Tried
from bet.release.task import Task
from bet.training import AlsSettings, TrainSettings

# w0, l2 and exponent that were good on MovieLens-100K (two) and on Gowalla, which is sparse.
ALS_STARTS = ((0.1, 0.1, 0.75), (0.1, 0.5, 0.5), (0.016, 0.02, 0.75))
EXPONENTS = (0.5, 0.75, 1.0)
SPARSE = 0.01  # share of the pairs
LEAST_COLUMNS = 4


def sweep_als(
    task: Task, stage: Stage, *, history: bool, start: Tried | None = None
) -> Tried | None:
    """iALS vectors: weights and regularization at one number of bits, the other numbers of bits,
    columns, and the regularization once more.

    start: whose settings are the first, instead of three that were good elsewhere.
    """
    first = _first_fitting(task, ALS, history=history)
    if first is None:
        return None
    starts = [changed(task, first, settings=each) for each in _als_starts(task, first, start)]
    vary = partial(_vary, task)
    moves: list[Moves] = [
        partial(_other_bits, task),
        partial(vary, "l2", (1 / 3, 3.0)),
        partial(vary, "unobserved_weight", (1 / 3, 3.0)),
        partial(_other_exponents, task),
        partial(vary, "l2", (1 / 2, 2.0)),
        partial(vary, "unobserved_weight", (1 / 2, 2.0)),
        partial(_other_bits, task),
        partial(_fewer_columns, task),
        partial(_fewer_columns, task),
        partial(vary, "l2", (0.6, 1.7)),
    ]
    return stage.climb(starts, moves)


def _als_starts(task: Task, first: Candidate, start: Tried | None) -> Iterable[AlsSettings]:
    settings = first.settings if start is None else start.candidate.settings
    assert isinstance(settings, AlsSettings)
    if start is not None:
        return [settings]
    weights: list[dict[str, Any]] = [
        {"unobserved_weight": weight, "l2": task.fixed.l2 or l2, "exponent": exponent}
        for weight, l2, exponent in ALS_STARTS
    ]
    if task.data.train.nnz < SPARSE * task.coded.n_users * task.coded.n_items:
        weights.reverse()  # the likeliest first, while there is time
    return [replace(settings, **numbers) for numbers in weights]


def sweep_lightgcn(task: Task, stage: Stage, *, history: bool) -> Tried | None:
    """LightGCN's final vectors: rate and L2 at one number of bits, then as for iALS."""
    vary = partial(_vary, task)
    moves: list[Moves] = [
        partial(vary, "learning_rate", (1 / 3, 3.0)),
        partial(vary, "l2", (0.1, 10.0)),
        partial(_other_bits, task),
        partial(_fewer_columns, task),
        partial(vary, "l2", (1 / 3, 3.0)),
    ]
    return stage.climb([_first_fitting(task, VECTORS, history=history)], moves)


def _first_fitting(task: Task, family: Family, *, history: bool) -> Candidate | None:
    for bits in family.bits:
        made = candidate(task, family, bits, history=history)
        if made is not None:
            return made
    return None


def _vary(
    task: Task, name: str, factors: Iterable[float], best: Candidate
) -> Iterable[Candidate | None]:
    """``best`` with another value of a setting, unless the caller fixed it."""
    if getattr(task.fixed, name, None) is not None:
        return
    settings = best.settings
    assert isinstance(settings, AlsSettings | TrainSettings)
    for factor in factors:
        # Three digits: a setting that is written down is the one that was tried.
        value = float(f"{getattr(settings, name) * factor:.3g}")
        numbers: dict[str, Any] = {name: value}
        if name == "learning_rate":
            numbers["floor"] = min(value, 1e-3)
        yield changed(task, best, settings=replace(settings, **numbers))


def _other_exponents(task: Task, best: Candidate) -> Iterable[Candidate | None]:
    """With the L2 that regularizes a row of the usual length as much as before."""
    settings = best.settings
    assert isinstance(settings, AlsSettings)
    users, items = task.coded.n_users, task.coded.n_items
    observed = task.data.train.nnz / (users * items) ** 0.5
    terms = observed + settings.unobserved_weight * (users * items) ** 0.5
    for exponent in EXPONENTS:
        l2 = float(f"{settings.l2 * terms ** (settings.exponent - exponent):.3g}")
        others: dict[str, Any] = {"exponent": exponent, "l2": task.fixed.l2 or l2}
        yield changed(task, best, settings=replace(settings, **others))


def _other_bits(task: Task, best: Candidate) -> Iterable[Candidate | None]:
    for bits in best.family.bits:
        yield changed(task, best, bits=bits)


def _fewer_columns(task: Task, best: Candidate) -> Iterable[Candidate | None]:
    """Half as many as ``best`` has, where those are what it uses: fewer, and not fewer bits, is a
    stronger regularization that also leaves bytes unused.
    """
    half = used_columns(task, best) // 2
    if half >= LEAST_COLUMNS and task.fixed.columns is None:
        yield changed(task, best, columns=half)


def used_columns(task: Task, best: Candidate) -> int:
    """Columns that fit, at most: bytes of the whole file bound them."""
    assert best.bits is not None and best.context.byte_limit is not None
    fitting = 8 * best.context.byte_limit // (best.bits * task.data.n)
    return min(best.columns, fitting)
