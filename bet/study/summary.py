"""The record of a run from what it left: models, metrics, sizes."""

from dataclasses import asdict

import numpy as np
from scipy.sparse import csr_array

from bet.actions import bounds_serving, parse_bytes
from bet.backbones import BlendedRecommender, RankingRule, Recommender
from bet.data import FrequencyOrder, Split
from bet.errors import BetError
from bet.packed import Ids
from bet.search import MethodResult, SearchContext
from bet.serving import ServedFile, served_file
from bet.study import environment, record
from bet.study.cell import Cell
from bet.study.part import decode, encode
from bet.study.profiles import PROFILES
from bet.study.record import Bins, Metrics, Record
from bet.study.setup import fitted_interactions
from bet.training import RankingMetrics, evaluate

BINS = 64  # of frequency rank, at most


def rank_test(model: Recommender, context: SearchContext, split: Split) -> RankingMetrics:
    """What every test user gets from ``model``, items of train and validation left out."""
    known = [split.train, split.validation]
    return evaluate(model.ranker(), split.test, known, device=context.workspace.device)


def build_record(
    cell: Cell,
    split: Split,
    result: MethodResult,
    *,
    model: Recommender,
    ranked: RankingMetrics,
    seconds: record.StageSeconds,
    ids: Ids,
) -> Record:
    """What is written about a finished run; ``ranked``: what ``model`` gives users on test;
    ``ids``: of users and of items, by number. Raises BetError where the file that serves it exceeds
    a budget of bytes to serve.
    """
    profile, context, curve = PROFILES[cell.profile], result.context, result.trained.result.curve
    device = context.workspace.device
    validation = evaluate(
        result.trained.model.ranker(), split.validation, [split.train], device=device
    )
    parts = {part: getattr(split, part).nnz for part in ("train", "validation", "test")}
    users, items = split.train.shape
    fitted = fitted_interactions(cell, split)
    has_rule = isinstance(model, BlendedRecommender) or isinstance(model.backbone, RankingRule)
    built = Record(
        form=record.FORM,
        cell_id=cell.id,
        key=profile.key(cell),
        cell=record.CellNames(**asdict(cell)),
        settings=record.Settings(**profile.settings(cell)),
        data=record.DataCounts(
            name=split.name, hash=split.data_hash, users=users, items=items, **parts
        ),
        size=_size(cell, context, model),
        effort=record.Effort(**asdict(result.effort)),
        metrics=record.Scores(validation=metrics_of(validation), test=metrics_of(ranked)),
        learning_curve=tuple(
            record.Epoch(epoch=point.epoch, loss=point.loss, quality=point.quality)
            for point in curve
        ),
        search=_search(result, split) if result.iterations else None,
        trials=tuple(map(dict, result.trials)),
        numbers=dict(model.facts) if has_rule else {},
        serving=_serving(cell, model, fitted, ids),
        sizes=_binned_sizes(FrequencyOrder.of(fitted), model.table.sizes),
        run=record.Run(
            commit=environment.commit(),
            versions=environment.versions(),
            host=environment.host(device),
            seconds=seconds,
            peak_memory_bytes=environment.peak_memory_bytes(),
            epoch_seconds=tuple(point.seconds for point in curve),
            iteration_seconds=tuple(measured.seconds for measured in result.iterations),
        ),
    )
    # Through JSON: every field is checked, and what is returned equals what is read back.
    return decode(encode(built), Record, cell.id)


def _size(cell: Cell, context: SearchContext, model: Recommender) -> record.Size:
    """What the table takes beside its limit, in parameters or in bytes of a packed file."""
    table, budget, spec = model.table, context.budget, context.table_spec
    return record.Size(
        limit=None if cell.budget is None or spec else budget.parameters,
        limit_bytes=context.byte_limit if spec else None,
        bits=spec.bits if spec else None,
        parameters=table.n_parameters(),
        bytes=table.n_bytes(),
        full_parameters=budget.n * PROFILES[cell.profile].d_max * budget.copies,
        tables=table.copies,
        backbone_parameters=model.backbone.n_parameters(),
        width=table().shape[1] // table.copies,
    )


def _serving(cell: Cell, model: Recommender, fitted: csr_array, ids: Ids) -> record.Serving:
    """What it takes to serve ``model``, which was fitted to ``fitted`` (|U|, |V|)."""
    file = served_file(model, fitted)
    limit = parse_bytes(cell.budget, sum(fitted.shape)) if bounds_serving(cell.budget) else None
    if limit is not None and file.n_bytes > limit:
        raise BetError(f"serving takes {file.n_bytes:,} bytes, above the limit of {limit:,}")
    return serving_part(file, ids)


def serving_part(file: ServedFile, ids: Ids) -> record.Serving:
    """The bytes of ``file``; ``ids``: of users and of items, by number."""
    report = file.layout.byte_report()
    return record.Serving(
        form=file.form,
        bytes=file.n_bytes,
        interactions=report.interactions,
        weights=report.weights,
        seen_bytes=file.seen_bytes,
        id_bytes=file.id_bytes(ids),
    )


def metrics_of(ranked: RankingMetrics) -> Metrics:
    """Means over users, as a record has them."""
    return Metrics(**{name.replace("@", "_at_"): mean for name, mean in ranked.means().items()})


def _search(result: MethodResult, split: Split) -> record.Search:
    iterations = tuple(
        record.Iteration(
            t=measured.t,
            strategy=measured.strategy,
            predicted=measured.predicted,
            fitness=measured.fitness,
            quality=measured.quality,
            predictor_loss=measured.predictor_loss,
            action=dict(measured.action.origin),
        )
        for measured in result.iterations
    )
    fitness = {measured.t: measured.fitness for measured in result.iterations}
    retrained = tuple(
        record.Retrained(
            t=t, fitness=fitness[t], quality=trained.result.quality, epochs=trained.result.epoch
        )
        for t, trained in result.retrained.items()
    )
    # Each winner of the curve is scored on test once, for the picture of quality against T; nothing
    # is chosen from it.
    tested = {
        t: metrics_of(rank_test(result.retrained[t].model, result.context, split))
        for t in set(result.winners.values())
    }
    winners = tuple(
        record.Winner(
            t=t,
            retrained_t=best,
            quality=result.retrained[best].result.quality,
            test=tested[best],
        )
        for t, best in result.winners.items()
    )
    return record.Search(iterations=iterations, retrained=retrained, winners=winners)


def _binned_sizes(order: FrequencyOrder, sizes: np.ndarray) -> record.Sizes:
    """``sizes`` (n,) by entity id, users first."""
    n_users = len(order.users)
    return record.Sizes(
        users=_bins(order.sorted_users, sizes[:n_users][order.users]),
        items=_bins(order.sorted_items, sizes[n_users:][order.items]),
    )


def _bins(frequency: np.ndarray, sizes: np.ndarray) -> Bins:
    """Mean ``frequency`` and size (both by rank) in log-spaced bins of frequency rank."""
    edges = np.unique(np.geomspace(1, len(sizes) + 1, BINS + 1).astype(int)) - 1
    spans = list(zip(edges, edges[1:], strict=False))
    return Bins(
        rank=tuple(float(a + b + 1) / 2 for a, b in spans),
        frequency=tuple(float(frequency[a:b].mean()) for a, b in spans),
        size=tuple(float(sizes[a:b].mean()) for a, b in spans),
    )
