"""One run of a streaming method: its events, all segments, one record."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from bet.files import locked
from bet.paths import cache_dir
from bet.process import fixed_threads, resolve_device
from bet.search import Workspace
from bet.stream import (
    STREAM_METHODS,
    Events,
    SegmentResult,
    StreamTask,
    cut,
    load_events,
    recurring_users,
    run_stream,
    segment_data,
)
from bet.stream.sources import PLANTED
from bet.stream.synthetic import drift_of
from bet.study import environment, record
from bet.study.cell import Cell
from bet.study.part import decode, encode
from bet.study.per_user import pack
from bet.study.profiles import PROFILES
from bet.study.record import read_record_file, record_path, write_record
from bet.study.setup import run_settings
from bet.study.stream_record import (
    Followed,
    SegmentPart,
    SegmentSeconds,
    StreamCounts,
    StreamNumbers,
    StreamRecord,
    StreamRun,
)
from bet.study.summary import metrics_of

FOLLOWED = 4  # items that rise most, and as many that fall


def stream_task(cell: Cell, events: Events) -> StreamTask:
    """What ``cell`` runs on ``events``, with its profile's numbers."""
    profile = PROFILES[cell.profile]
    return StreamTask(
        events=events,
        method=STREAM_METHODS[cell.method],
        settings=run_settings(cell),
        rule=profile.stream_settings(cell),
        cap=cell.budget,
        d_max=profile.columns(cell.backbone),
    )


def run_stream_cell(
    cell: Cell, *, device: str = "auto", progress: bool = False, threads: int = 1
) -> StreamRecord:
    """Run the cell and return its record; a finished one with the same settings and data is
    returned as it is. A run that was killed goes on with the segment it was in.

    Writes ``results/<profile>/<id>.json`` and, before it, what every test user got in every segment
    as Parquet beside it. Raises BetError, before any work, on a cap that is too small.
    """
    started, path = time.perf_counter(), record_path(cell)
    events, key = load_events(cell.dataset), PROFILES[cell.profile].key(cell)
    if path.is_file():
        finished = read_record_file(path, StreamRecord)
        if finished.key == key and finished.data.hash == events.fingerprint():
            return finished
    folder = cache_dir() / "work" / f"{cell.profile}-{cell.id}"
    with fixed_threads(threads), locked(folder):
        device = resolve_device(device)
        task = stream_task(cell, events)
        results = run_stream(task, Workspace(cache_dir(), folder, device, progress))
        total = time.perf_counter() - started
        written = _record(cell, task, results, total=total, device=device)
    written = write_record(path, written, _per_user(results))
    shutil.rmtree(folder, ignore_errors=True)
    return written


def _per_user(results: Sequence[SegmentResult]) -> pd.DataFrame:
    frames = [pack(result.ranked) for result in results]
    for result, frame in zip(results, frames, strict=True):
        frame.insert(0, "segment", np.int32(result.number))
    return pd.concat(frames, ignore_index=True)


def _record(
    cell: Cell, task: StreamTask, results: Sequence[SegmentResult], *, total: float, device: str
) -> StreamRecord:
    events, segments = task.events, cut(task.events, task.rule)
    ends = [float(events.times[segment.end - 1]) for segment in segments]
    parts = [
        _segment_part(result, _wasted(events, result, end))
        for result, end in zip(results, ends, strict=True)
    ]
    rising, falling = _followed(task, results)
    built = StreamRecord(
        form=record.FORM,
        cell_id=cell.id,
        key=PROFILES[cell.profile].key(cell),
        cell=record.CellNames(**asdict(cell)),
        settings=StreamNumbers(**PROFILES[cell.profile].settings(cell)),
        data=StreamCounts(
            name=events.name,
            hash=events.fingerprint(),
            users=len(events.user_ids),
            items=len(events.item_ids),
            events=len(events),
            recurring=tuple(recurring_users(events, segments)),
        ),
        segments=tuple(parts),
        rising=rising,
        falling=falling,
        run=StreamRun(
            commit=environment.commit(),
            versions=environment.versions(),
            host=environment.host(device),
            seconds=_seconds(results, total),
            peak_memory_bytes=environment.peak_memory_bytes(),
        ),
    )
    # Through JSON: every field is checked, and what is returned equals what is read back.
    return decode(encode(built), StreamRecord, cell.id)


def _segment_part(result: SegmentResult, wasted: float | None) -> SegmentPart:
    sizes = result.allocation.columns
    return SegmentPart(
        number=result.number,
        users=result.n_users,
        items=result.n_items,
        **result.counts,
        limit_bytes=result.limit_bytes,
        bytes=result.n_bytes,
        parameters=result.allocation.total,
        user_share=float(sizes[: result.n_users].sum(dtype=np.int64)) / result.allocation.total,
        short_trainings=result.short_trainings,
        epochs=result.epochs,
        quality=result.validation,
        metrics=metrics_of(result.ranked),
        facts=dict(result.facts),
        wasted=wasted,
    )


def _seconds(results: Sequence[SegmentResult], total: float) -> SegmentSeconds:
    frame = pd.DataFrame([result.seconds for result in results])
    size, train, test = (tuple(frame[part].tolist()) for part in ("size", "train", "test"))
    return SegmentSeconds(total=total, size=size, train=train, test=test)


def _wasted(events: Events, result: SegmentResult, end: float) -> float | None:
    """Share of the items' columns that are of items nobody asks for at time ``end``."""
    if events.name not in PLANTED:
        return None
    _, n_items, _ = PLANTED[events.name]
    drift = drift_of(n_items)
    is_alive = drift.is_alive(end)[events.item_ids[: result.n_items].astype(np.int64)]
    sizes = result.allocation.columns[result.n_users :].astype(np.int64)
    return float(sizes[~is_alive].sum() / max(sizes.sum(), 1))


def _followed(
    task: StreamTask, results: Sequence[SegmentResult]
) -> tuple[tuple[Followed, ...], tuple[Followed, ...]]:
    """The items whose training frequency grows most from the first half of the segments to the
    second, and those whose frequency shrinks most, by any method's run the same.
    """
    events, shape = task.events, (len(results), len(task.events.item_ids))
    frequency, sizes = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for i, segment in enumerate(cut(events, task.rule)):
        train = segment_data(events, segment, task.rule, task.settings.seed).train
        frequency[i, : train.shape[1]] = np.bincount(train.indices, minlength=train.shape[1])
        sizes[i, : train.shape[1]] = results[i].allocation.columns[train.shape[0] :]
    middle = len(results) // 2
    growth = frequency[middle:].sum(0) - frequency[:middle].sum(0)
    order = np.argsort(-growth, kind="stable")
    chosen = order[:FOLLOWED], order[::-1][:FOLLOWED]

    def follow(item: int) -> Followed:
        curves = (tuple(part[:, item].tolist()) for part in (frequency, sizes))
        seen, kept = curves
        return Followed(item=str(events.item_ids[item]), frequency=seen, size=kept)

    rising, falling = (tuple(map(follow, items.tolist())) for items in chosen)
    return rising, falling
