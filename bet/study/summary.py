"""The record of a run from what it left: models, metrics, sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bet.actions import Budget
from bet.backbones import Recommender
from bet.data import FrequencyOrder, Split
from bet.search import MethodResult
from bet.study import environment, record
from bet.study.cell import Cell
from bet.study.record import Bins, Effort, Metrics, Record
from bet.training import RankingMetrics, evaluate

BINS = 64  # of frequency rank, at most


def build_record(
    *,
    cell: Cell,
    key: str,
    settings: dict[str, Any],
    split: Split,
    order: FrequencyOrder,
    size: record.Size,
    outcome: MethodResult,
    model: Recommender,
    score_test: Callable[[Recommender], RankingMetrics],
    ranked: RankingMetrics,
    seconds: dict[str, float],
    device: str,
) -> Record:
    """What is written about a finished run.

    ``model`` is the reported one and ``ranked`` its metrics on test; ``score_test`` scores the
    winners of a search's curve. ``order`` is that of the training part, as in the search.
    """
    curve = outcome.trained.result.curve
    validation = evaluate(
        outcome.trained.model.ranker(), split.validation, [split.train], device=device
    )
    parts = {part: getattr(split, part).nnz for part in ("train", "validation", "test")}
    users, items = split.train.shape
    built = Record(
        form=record.FORM,
        cell_id=cell.id,
        key=key,
        cell=_names(cell),
        settings=record.Settings(**settings),
        data=record.DataCounts(
            name=split.name, hash=split.data_hash, users=users, items=items, **parts
        ),
        size=size,
        effort=Effort(
            finetunings=outcome.finetunings,
            trainings=outcome.trainings,
            evaluations=outcome.evaluations,
        ),
        metrics=record.Scores(validation=_metrics(validation), test=_metrics(ranked)),
        learning_curve=tuple(
            record.Epoch(epoch=int(row["epoch"]), loss=row["loss"], quality=row["quality"])
            for row in curve
        ),
        search=_search(outcome, score_test) if outcome.iterations else None,
        trials=tuple(outcome.trials),
        sizes=_binned_sizes(order, model.table.sizes),
        run=record.Run(
            commit=environment.commit(),
            versions=environment.versions(),
            host=environment.host(device),
            seconds=record.StageSeconds(**seconds),
            peak_memory_bytes=environment.peak_memory_bytes(),
            epoch_seconds=tuple(row["seconds"] for row in curve),
            iteration_seconds=tuple(measured.seconds for measured in outcome.iterations),
        ),
    )
    # Through JSON: every field is checked, and what is returned equals what is read back.
    return record.decode(record.encode(built), Record, cell.id)


def measure_size(
    model: Recommender,
    *,
    full: Budget,
    limit: int | None,
    limit_bytes: int | None = None,
    bits: int | None = None,
) -> record.Size:
    """What the table of ``model`` takes beside its limits: parameters, or bytes of a packed file.

    ``full`` is the budget of the whole table.
    """
    table = model.table
    return record.Size(
        limit=limit,
        limit_bytes=limit_bytes,
        bits=bits,
        parameters=table.n_parameters(),
        bytes=table.n_bytes(),
        full_parameters=full.n * full.d_max * full.copies,
        tables=full.copies,
        backbone_parameters=model.backbone.n_parameters(),
        width=table().shape[1] // table.copies,
    )


def _names(cell: Cell) -> record.CellNames:
    return record.CellNames(
        dataset=cell.dataset,
        backbone=cell.backbone,
        budget=cell.budget,
        method=cell.method,
        seed=cell.seed,
        protocol="merged" if cell.protocol == "merged" else "clean",
        profile=cell.profile,
        iterations=cell.iterations or None,
        actions=cell.actions or None,
    )


def _metrics(ranked: RankingMetrics) -> Metrics:
    return Metrics(**{name.replace("@", "_at_"): mean for name, mean in ranked.means().items()})


def _search(
    outcome: MethodResult, score_test: Callable[[Recommender], RankingMetrics]
) -> record.Search:
    iterations = tuple(
        record.Iteration(
            t=measured.t,
            strategy=measured.strategy,
            predicted=measured.predicted,
            fitness=measured.fitness,
            quality=measured.quality,
            predictor_loss=measured.predictor_loss,
            action=measured.action.origin,
        )
        for measured in outcome.iterations
    )
    fitness = {measured.t: measured.fitness for measured in outcome.iterations}
    retrained = tuple(
        record.Retrained(
            t=t, fitness=fitness[t], quality=trained.result.quality, epochs=trained.result.epoch
        )
        for t, trained in outcome.retrained.items()
    )
    # Each winner of the curve is scored on test once, for the picture of quality against T; nothing
    # is chosen from it.
    tested = {
        t: _metrics(score_test(outcome.retrained[t].model)) for t in set(outcome.winners.values())
    }
    winners = tuple(
        record.Winner(
            t=t,
            retrained_t=best,
            quality=outcome.retrained[best].result.quality,
            test=tested[best],
        )
        for t, best in outcome.winners.items()
    )
    return record.Search(iterations=iterations, retrained=retrained, winners=winners)


def _binned_sizes(order: FrequencyOrder, sizes: np.ndarray) -> record.Sizes:
    """``sizes`` (n,) by entity id, users first."""
    n_users = len(order.users)
    return record.Sizes(
        users=_bins(order.user_frequency[order.users], sizes[:n_users][order.users]),
        items=_bins(order.item_frequency[order.items], sizes[n_users:][order.items]),
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
