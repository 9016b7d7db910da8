"""The graph filter's scores and those of rounded vectors, added: the vectors correct what the
interactions alone get wrong, and take few bytes for it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from scipy.sparse import csr_array

from bet.actions import Budget
from bet.backbones import (
    BACKBONES,
    NO_BACKBONE,
    BlendedRecommender,
)
from bet.errors import BetError
from bet.files import locked
from bet.methods.graph_filter import GraphFilter, graph_filter
from bet.methods.quantized import quantized_context, uniform_packed
from bet.methods.vectors import rounded_vectors, vector_context
from bet.search import (
    Effort,
    MethodResult,
    Refitted,
    SearchContext,
    StageSeconds,
    Trained,
    cached,
)
from bet.training import ReferenceSettings

BITS = (4, 2, 1)  # per number of the vectors, each tried with weight 1
WEIGHTS = (0.125, 0.25, 0.5, 0.75, 1.5)  # of the vectors, tried with the best bits


@dataclass(frozen=True)
class _Trial:
    """Vectors of ``bits`` per number, the weight of their scores, and what the blend is worth."""

    bits: int
    weight: float
    quality: float


def blend(context: SearchContext) -> MethodResult:
    """The tuned graph filter and the vectors that fill ``context.byte_limit``: each user's scores
    are standardized over all items, then added with one weight.

    Three numbers of bits and five further weights are tried on validation, eight evaluations after
    those of the filter. Raises BetError on a backbone without final vectors, without a budget, and
    where no vectors fit.
    """
    backbone = BACKBONES[context.settings.backbone]
    # A file holds final vectors of these, and no weights that rows are multiplied by.
    if not (backbone.reads_graph or backbone.rows_are_vectors):
        raise BetError(
            f"blend adds scores of vectors, {backbone.name!r} has none; take lightgcn, ngcf or ials"
        )
    filtered = tuned_filter(context)
    vectors, refused = {}, None
    for bits in BITS:
        try:
            _check_fits(context, bits)
        except BetError as error:  # too many bits for these bytes
            refused = error
        else:
            vectors[bits] = _train_vectors(context, bits)
    if not vectors:
        assert refused is not None
        raise refused
    return _best_blend(context, filtered, vectors)


def blend_vectors(
    context: SearchContext, bits: int, vectors: MethodResult | None = None
) -> MethodResult:
    """The tuned graph filter and ``vectors`` of ``bits`` per number, with the best of six weights;
    None: the final vectors that fill ``context.byte_limit``, trained here.
    """
    filtered = tuned_filter(context)
    return _best_blend(context, filtered, {bits: vectors or _train_vectors(context, bits)})


def _best_blend(
    context: SearchContext, filtered: MethodResult, vectors: Mapping[int, MethodResult]
) -> MethodResult:
    """Of ``vectors`` by bits per number those that blend best with weight 1, with the best
    weight.
    """
    rule = filtered.trained.model.backbone
    assert isinstance(rule, GraphFilter)
    started = time.perf_counter()
    trials = [_tried(context, rule, vectors[bits], bits, 1.0) for bits in vectors]
    bits = max(trials, key=lambda trial: trial.quality).bits
    trials += [_tried(context, rule, vectors[bits], bits, weight) for weight in WEIGHTS]
    best = max(trials, key=lambda trial: trial.quality)
    chosen = vectors[bits]
    model = BlendedRecommender(chosen.trained.model, rule, best.weight)
    seconds = [filtered.seconds.search or 0.0, time.perf_counter() - started]
    return MethodResult(
        Trained(model, replace(chosen.trained.result, quality=best.quality)),
        chosen.context,
        StageSeconds(
            search=sum(seconds),
            retrain=sum(result.trained.result.seconds for result in vectors.values()),
        ),
        Effort(trainings=len(vectors), evaluations=filtered.effort.evaluations + len(trials)),
        trials=tuple(vars(trial) for trial in trials),
        refit=blend_refit(filtered, chosen, best.weight),
    )


def blend_refit(
    filtered: MethodResult, vectors: MethodResult, weight: float
) -> Callable[[csr_array, str], Refitted]:
    """Fits the tuned filter, whose numbers are chosen again, and ``vectors`` to other interactions;
    the second argument names them in a progress bar.
    """

    def fit_again(interactions: csr_array, what: str) -> Refitted:
        with locked(filtered.context.workspace.folder):
            fitted = filtered.fit_to(interactions, what)
        again = vectors.fit_to(interactions, what)
        rule = fitted.model.backbone
        assert isinstance(rule, GraphFilter)
        blended = BlendedRecommender(again.model, rule, weight)
        return Refitted(blended.to(again.model.device), fitted.effort + again.effort)

    return fit_again


def tuned_filter(context: SearchContext) -> MethodResult:
    """The filter, tuned once for all blends of the same data and seed: its evaluations lie in the
    shared cache.
    """
    budget, workspace = context.budget, context.workspace
    share = context.settings.training.validation_share
    shared = replace(
        context,
        settings=replace(context.settings, backbone=NO_BACKBONE, training=ReferenceSettings(share)),
        budget=Budget(budget.n, budget.n, d_max=1),  # that of a table does not matter here
        byte_limit=None,
    )
    folder = workspace.cache / "filters" / shared.key
    with locked(folder):  # of blends that start together the first one tunes
        return graph_filter(shared.in_folder(folder))


def _check_fits(context: SearchContext, bits: int) -> None:
    """Raise BetError where not even the narrowest vectors of ``bits`` fit."""
    if BACKBONES[context.settings.backbone].reads_graph:
        vector_context(context, bits)
    else:
        quantized_context(context, bits, uniform=True)


def _train_vectors(context: SearchContext, bits: int) -> MethodResult:
    reads_graph = BACKBONES[context.settings.backbone].reads_graph
    method: Callable[..., MethodResult] = rounded_vectors if reads_graph else uniform_packed
    return method(context.in_folder(context.workspace.folder / f"{bits}-bits"), bits=bits)


def _tried(
    context: SearchContext, rule: GraphFilter, vectors: MethodResult, bits: int, weight: float
) -> _Trial:
    """The quality of a blend on validation, kept in the workspace."""
    model = BlendedRecommender(vectors.trained.model, rule, weight)
    facts = (rule.settings, vectors.trained.result.quality, context.byte_limit)

    def evaluate(_: SearchContext) -> dict[str, float]:
        return {"quality": context.quality(model)}

    quality = cached(context, f"blend-{bits}-{weight}", evaluate, settings=facts)["quality"]
    return _Trial(bits, weight, quality)
