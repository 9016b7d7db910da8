"""Events and a cap in bytes in; a file that recommends for every segment and one for now, none
above the cap, and a page about them out.
"""

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.backbones import Recommender
from bet.errors import BetError
from bet.files import atomic_files, check_writable, locked, write_whole
from bet.packed import float32_file_bytes, ids_path
from bet.paths import cache_dir
from bet.release.stream_page import StreamRelease, write_page
from bet.search import RunSettings, Workspace
from bet.stream import (
    STREAM_METHODS,
    Events,
    SegmentResult,
    StreamSettings,
    StreamTask,
    refit_now,
    run_stream,
)
from bet.stream.segments import Segment, SegmentData
from bet.study.output import write_recommending
from bet.study.profiles import PROFILES
from bet.training import load_state, save_state

BACKBONE = "ials"  # its table is what serves: no graph, no weights
SETTINGS = "stream"  # the study whose numbers are taken
HEADER = 256  # bytes of the cap that a file which serves may need beside its table
NOW, PAGE = "now.safetensors", "index.html"
_SEGMENT_FILE = re.compile(r"segment-[0-9]+\.safetensors(\.ids)?")


def build_stream(
    events: Events,
    cap: int,
    out: Path,
    *,
    method: str = "stream-powerlaw",
    settings: StreamSettings | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    source: Path | None = None,
) -> StreamRelease:
    """Write ``segment-00.safetensors``, ... and ``now.safetensors`` of at most ``cap`` bytes each
    into the folder ``out``, ids beside them, and a page.

    Nothing in ``out`` changes before all of it is computed; then files of an earlier run there,
    those of segments that are no more among them, are replaced. settings: how the stream is cut.
    source: the file that the events came from, which is not overwritten. The same input gives the
    same files; interrupted, the same call continues, whatever ``out`` is. Raises BetError, before
    any work, on a cap that does not hold everybody, with the smallest that does, and while another
    run writes to ``out``.
    """
    rule = settings or StreamSettings()
    task, segments = checked_task(events, cap, method, rule, seed)
    names = file_names(len(segments))
    inputs = {} if source is None else {source: "the interactions"}
    for name in (*names, PAGE):
        check_writable(out / name, "the stream's files", beside=(".ids",), inputs=inputs)
    work, place = cache_dir() / "work", hashlib.sha256(str(out.resolve()).encode()).hexdigest()
    folder = work / f"stream-{task.key[:16]}"
    with locked(work / f"out-{place[:16]}", wait=False) as is_only:
        if not is_only:
            raise BetError(f"another run writes to {out}; wait for it, or name another folder")
        with locked(folder):
            results = _run(task, Workspace(folder, folder, device, progress), cap, names)
            sizes = _publish(task, folder, cap, out, names)
            release = StreamRelease(
                events=events,
                cap=cap,
                method=method,
                settings=rule,
                segments=tuple(segments),
                files=tuple(out / name for name in names[:-1]),
                now=out / NOW,
                results=tuple(
                    replace(result, n_bytes=size)
                    for result, size in zip(results, sizes, strict=False)  # the last: of now
                ),
                page=out / PAGE,
            )
            write_page(release)
            shutil.rmtree(folder, ignore_errors=True)
    return release


def file_names(n_segments: int) -> list[str]:
    """Of the files of all segments, which sort by number, and of that for now.

    >>> file_names(2)
    ['segment-00.safetensors', 'segment-01.safetensors', 'now.safetensors']
    """
    digits = max(2, len(str(n_segments - 1)))
    return [*(f"segment-{number:0{digits}}.safetensors" for number in range(n_segments)), NOW]


def checked_task(
    events: Events, cap: int, method: str, rule: StreamSettings, seed: int
) -> tuple[StreamTask, list[Segment]]:
    """What is run, and its segments; raises BetError on what cannot run and, with the smallest one
    that can, on a ``cap`` that does not hold everybody.
    """
    profile = PROFILES[SETTINGS]
    d_max, (n_users, n_items) = profile.columns(BACKBONE), events.known_after(len(events))
    # Entities only arrive: a cap that holds all of them in the end holds those of every segment.
    smallest = HEADER + float32_file_bytes(n_users, n_items, 1, d_max, n_users + n_items)
    if cap < smallest:
        raise BetError(
            f"a cap of {cap:,} bytes does not hold the {n_users:,} users and {n_items:,} items of "
            f"the whole stream, a number each; the smallest cap that does is {smallest:,} bytes"
        )
    task = StreamTask(
        events=events,
        method=STREAM_METHODS[method],
        settings=RunSettings(
            BACKBONE, profile.training[BACKBONE], profile.search[BACKBONE], seed=seed
        ),
        rule=rule,
        cap=f"{cap - HEADER} B",
        d_max=d_max,
    )
    return task, task.check()


def _run(task: StreamTask, workspace: Workspace, cap: int, names: list[str]) -> list[SegmentResult]:
    """The results of all segments; the files of ``names``, each with its digest, are kept in the
    workspace until all are there.
    """
    folder, n_segments = workspace.folder, len(names) - 1

    def keep(result: SegmentResult, model: Recommender, data: SegmentData) -> None:
        _keep(task, folder / names[result.number], cap, model, data.train)
        if result.number == n_segments - 1:
            _keep(task, folder / NOW, cap, *refit_now(task, workspace, result, model))

    results = run_stream(task, workspace, keep)
    if any(_kept(task, folder / name) is None for name in names):  # one was lost or damaged
        shutil.rmtree(folder)
        results = run_stream(task, workspace, keep)
    return results


def _keep(
    task: StreamTask, path: Path, cap: int, model: Recommender, interactions: csr_array
) -> None:
    sides = zip((task.events.user_ids, task.events.item_ids), interactions.shape, strict=True)
    users, items = (list(map(str, ids[:n])) for ids, n in sides)
    with TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        write_recommending(file, model, interactions, (users, items))
        parts = {"file": file, "ids": ids_path(file)}
        state = {part: torch.from_numpy(np.fromfile(at, np.uint8)) for part, at in parts.items()}
    if (n_bytes := len(state["file"])) > cap:
        raise BetError(f"{path.name} came out as {n_bytes:,} bytes of {cap:,}; please report it")
    save_state(path.with_name(path.name + ".pt"), task.key, state)


def _kept(task: StreamTask, path: Path) -> dict[str, torch.Tensor] | None:
    return load_state(path.with_name(path.name + ".pt"), task.key)


def _publish(task: StreamTask, folder: Path, cap: int, out: Path, names: list[str]) -> list[int]:
    """Write the files that are kept in ``folder`` to ``out``, all of them or none, where no others
    of a stream stay; their bytes.
    """
    files = [out / name for name in names]
    with atomic_files(out) as private:
        for name in names:
            content = _kept(task, folder / name)
            assert content is not None
            write_whole(private / name, content["file"].numpy().data)
            write_whole(ids_path(private / name), content["ids"].numpy().data)
        # What belongs to earlier files goes first: interrupted, nothing of them is left.
        for path in (out / PAGE, *map(ids_path, files)):
            path.unlink(missing_ok=True)
    ours = {*files, *map(ids_path, files)}
    for path in sorted(out.iterdir()):
        if _SEGMENT_FILE.fullmatch(path.name) and path not in ours and path.is_file():
            path.unlink()
    sizes = [file.stat().st_size for file in files]
    if max(sizes) > cap:
        raise BetError(f"a file in {out} has {max(sizes):,} bytes of {cap:,}; please report it")
    return sizes
