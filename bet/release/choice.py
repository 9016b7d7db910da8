"""The best candidate without a search: every family, each with its sweep, in the time there is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from bet.release.candidates import Candidate, candidate
from bet.release.clock import Clock
from bet.release.families import BLEND, FILTER, GRAPH_BLEND, KNN, POPULARITY, ROWS
from bet.release.judge import judge
from bet.release.result import Measured
from bet.release.stage import Stage, Tried
from bet.release.sweeps import sweep_als, sweep_lightgcn
from bet.release.task import Task
from bet.search.gate import GateDecision

# When the stages end, as parts of the whole time; who is ready earlier leaves the rest to others.
WORTH = 0.05  # of quality, that histories in the file are worth
GRADIENT_SECONDS = 1.5e-4  # of a training by gradients, per interaction, on one core
RULES, WITH_HISTORIES, WITHOUT, BLENDS, GRADIENTS, GRAPH_BLENDS = 0.2, 0.35, 0.45, 0.6, 0.7, 0.75


@dataclass(frozen=True, eq=False)
class Choice:
    """``best``: by family, "als" and "als, without histories" apart. ``without_histories``: what
    the gate says about a file without them; None: there was no choice.
    """

    simple: Tried
    best: Mapping[str, Tried]
    without_histories: GateDecision | None
    measured: list[Measured] = field(repr=False)
    left_out: list[str] = field(repr=False)


def choose(task: Task, clock: Clock) -> Choice:
    """Train the families one after the other and keep the best on validation, of those that can
    still be fitted to all interactions.

    Families need no gate. They are few, and the users that did not select are as many as those that
    did: they would repeat the comparison with the same noise. The gate is for a search, which looks
    at hundreds of actions and may find what suits the users that select by chance.

    A file without histories, which cannot hide what people have seen, is taken only if it is better
    by ``WORTH`` and users that selection did not see gain from it.
    """
    measured: list[Measured] = []
    left_out: list[str] = []

    def stage(part: float) -> Stage:
        return Stage(clock.share(part), measured, left_out, clock.latest)

    by_family: dict[str, Tried | None] = {}
    always = Stage(inf, measured, left_out)
    by_family["popularity"] = always.best_of([popularity_candidate(task)])
    rules = stage(RULES)
    by_family["filter"] = rules.best_of([candidate(task, FILTER)])
    by_family["knn"] = rules.best_of([_longest_lists(task)])
    by_family["ials"] = sweep_als(task, stage(WITH_HISTORIES), history=True)
    bare = sweep_als(task, stage(WITHOUT), history=False, start=by_family["ials"])
    by_family["ials, without histories"] = bare
    tuned = by_family["filter"]
    of_filter = tuned.refit_seconds if tuned else inf  # not finished in time, and no blend with it
    if als := by_family["ials"] or bare:
        blends = stage(BLENDS)
        blends.of_parts = of_filter + als.refit_seconds
        by_family["blend"] = blends.best_of([_blend(task, als)])
    gradients = stage(GRADIENTS)
    gradients.slowest = GRADIENT_SECONDS * task.data.train.nnz
    vectors, rows = _by_gradients(task, gradients, by_family["ials"], bare)
    by_family |= {"lightgcn": vectors, "rows": rows}
    if vectors is not None:
        last = stage(GRAPH_BLENDS)
        last.of_parts = of_filter + vectors.refit_seconds
        by_family["graph-blend"] = _try_graph_blend(task, last, vectors)
    best = {name: tried for name, tried in by_family.items() if tried is not None}
    simple, decision = _weigh_histories(task, _that_can_be_refitted(best, clock, left_out))
    return Choice(simple, best, decision, measured, left_out)


def _that_can_be_refitted(
    best: Mapping[str, Tried], clock: Clock, left_out: list[str]
) -> Mapping[str, Tried]:
    """Those whose fit to all interactions ends in time; popularity, which is counting, always."""
    left = clock.latest - time.monotonic()
    fitting = {}
    for name, tried in best.items():
        if name == "popularity" or tried.refit_seconds <= left:
            fitting[name] = tried
        else:
            left_out.append(f"the fit of {tried.measured.name} to all interactions")
    return fitting


def popularity_candidate(task: Task) -> Candidate | None:
    """With histories if they fit."""
    return candidate(task, POPULARITY) or candidate(task, POPULARITY, history=False)


def _longest_lists(task: Task) -> Candidate | None:
    fitting = (candidate(task, family) for family in KNN)
    return next(filter(None, fitting), None)


def _blend(task: Task, vectors: Tried) -> Candidate | None:
    """With the settings that were best for vectors alone."""
    return candidate(task, BLEND, settings=vectors.candidate.settings)


def _try_graph_blend(task: Task, stage: Stage, vectors: Tried) -> Tried | None:
    """Of ``vectors`` themselves where they fit beside the interactions; else trained anew, with
    fewer columns.
    """
    base, table = vectors.candidate, vectors.outcome.trained.model.table
    made = candidate(task, GRAPH_BLEND, base.bits, settings=base.settings, columns=base.columns)
    if made is None:
        return None
    assert made.context.byte_limit is not None
    if table.n_bytes() <= made.context.byte_limit:
        layout = replace(made.layout, table_bytes=table.n_bytes())
        made = replace(made, vectors=vectors.outcome, layout=layout)
    else:
        stage.slowest = vectors.measured.seconds
    return stage.best_of([made])


def _by_gradients(
    task: Task, stage: Stage, with_histories: Tried | None, bare: Tried | None
) -> tuple[Tried | None, Tried | None]:
    """LightGCN's final vectors, with histories where iALS was no worse with them; its rows and the
    graph.
    """
    holding = with_histories is not None and (
        bare is None or with_histories.quality >= bare.quality
    )
    vectors = sweep_lightgcn(task, stage, history=holding)
    settings = vectors.candidate.settings if vectors else None
    rows = [candidate(task, ROWS, bits, settings=settings) for bits in ROWS.bits]
    return vectors, stage.best_of(rows)


def _weigh_histories(task: Task, best: Mapping[str, Tried]) -> tuple[Tried, GateDecision | None]:
    """The best with histories, unless one without them is better for unseen users."""
    sides = []
    for history in (True, False):
        those = [tried for tried in best.values() if tried.measured.history == history]
        sides.append(max(those, key=lambda tried: tried.quality, default=None))
    holding, bare = sides
    if holding is None or bare is None:
        only = holding or bare
        assert only is not None, "popularity always fits"
        return only, None
    if bare.quality <= (1 + WORTH) * holding.quality:
        return holding, None
    decision = judge(task, holding, bare)
    return (bare if decision and decision.accepted else holding), decision
