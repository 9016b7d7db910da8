"""Events and a cap in bytes in; a file that recommends for every segment, none above the cap, and a
page about them out.
"""

import base64
import io
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bet.backbones import Recommender
from bet.errors import BetError
from bet.files import check_writable, locked, write_whole
from bet.packed import ids_path
from bet.paths import cache_dir
from bet.release.templates import TEMPLATES
from bet.report.style import use_style
from bet.search import RunSettings, Workspace
from bet.stream import (
    STREAM_METHODS,
    Events,
    SegmentResult,
    StreamSettings,
    StreamTask,
    recurring_users,
    run_stream,
)
from bet.stream.segments import SegmentData
from bet.study.output import write_recommending
from bet.study.profiles import PROFILES

BACKBONE = "ials"  # its table is what serves: no graph, no weights
SETTINGS = "stream"  # the study whose numbers are taken
HEADER = 256  # bytes of the cap that a file which serves may need beside its table
PAGE = "index.html"


@dataclass(frozen=True, eq=False)
class StreamRelease:
    """``files``, one for every segment, and what was measured on its way; ``recurring``: share of
    the users of every segment but the first who had been in an earlier one.
    """

    cap: int
    method: str
    files: tuple[Path, ...]
    results: tuple[SegmentResult, ...]
    recurring: tuple[float, ...]
    example_user: str
    page: Path


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
    """Write ``segment-00.safetensors``, ... of at most ``cap`` bytes each into the folder ``out``,
    ids beside them, and a page; the last file is the one to serve from today.

    settings: how the stream is cut. source: the file that the events came from, which is not
    overwritten. The same input gives the same files; interrupted, the same call continues. Raises
    BetError, before any work, on a cap that does not hold everybody, with the smallest that does.
    """
    profile = PROFILES[SETTINGS]
    task = StreamTask(
        events=events,
        method=STREAM_METHODS[method],
        settings=RunSettings(
            BACKBONE, profile.training[BACKBONE], profile.search[BACKBONE], seed=seed
        ),
        rule=settings or StreamSettings(),
        cap=f"{max(cap - HEADER, 0)} B",
        d_max=profile.columns(BACKBONE),
    )
    try:
        segments = task.check()
    except BetError as error:
        raise BetError(f"{error} (of {cap:,} bytes {HEADER} are kept for the header)") from error
    inputs = {} if source is None else {source: "the interactions"}
    files = [out / f"segment-{segment.number:02}.safetensors" for segment in segments]
    for file in (*files, out / PAGE):
        check_writable(file, "the stream's files", beside=(".ids",), inputs=inputs)

    def write(result: SegmentResult, model: Recommender, data: SegmentData) -> None:
        file, ids = files[result.number], (events.user_ids, events.item_ids)
        users, items = (
            list(map(str, side[:n])) for side, n in zip(ids, data.train.shape, strict=True)
        )
        write_recommending(file, model, data.train, (users, items))
        if (n_bytes := file.stat().st_size) > cap:
            file.unlink()
            ids_path(file).unlink(missing_ok=True)
            raise BetError(f"{file} came out as {n_bytes:,} bytes of {cap:,}; please report it")

    folder = cache_dir() / "work" / f"stream-{task.key[:16]}"
    with locked(folder):
        results = run_stream(task, Workspace(folder, folder, device, progress), write)
        release = StreamRelease(
            cap=cap,
            method=method,
            files=tuple(files),
            results=tuple(map(_as_written, results, files)),
            recurring=tuple(recurring_users(events, segments)),
            example_user=str(events.user_ids[0]),
            page=out / PAGE,
        )
        _write_page(release)
        shutil.rmtree(folder, ignore_errors=True)
    return release


def _as_written(result: SegmentResult, file: Path) -> SegmentResult:
    return replace(result, n_bytes=file.stat().st_size)


def segment_table(release: StreamRelease) -> pd.DataFrame:
    """A row per segment, as text."""
    rows = []
    for file, result in zip(release.files, release.results, strict=True):
        means = result.ranked.means()
        rows.append(
            {
                "file": file.name,
                "users": f"{result.n_users:,}",
                "items": f"{result.n_items:,}",
                "bytes": f"{result.n_bytes:,}",
                "columns, mean": f"{result.allocation.columns.mean():.1f}",
                "test users": f"{len(result.ranked.users):,}",
                "NDCG@20": f"{means['ndcg@20']:.4f}",
                "Recall@20": f"{means['recall@20']:.4f}",
            }
        )
    return pd.DataFrame(rows)


def _write_page(release: StreamRelease) -> None:
    page = TEMPLATES.get_template("stream.html").render(
        release=release,
        last=release.files[-1],
        user=release.example_user,
        table=segment_table(release).to_html(index=False, border=0),
        picture=_picture(release),
    )
    write_whole(release.page, page.encode())


def _picture(release: StreamRelease) -> str:
    """Bytes and quality by segment, as PNG in base64."""
    use_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.6))
    left.plot([result.n_bytes for result in release.results], "o-")
    left.axhline(release.cap, color="black", linestyle="--", label="the cap")
    left.set(xlabel="segment", ylabel="bytes of the file", ylim=(0, 1.15 * release.cap))
    left.legend(loc="lower right")
    right.plot([result.ranked.means()["ndcg@20"] for result in release.results], "o-")
    right.set(xlabel="segment", ylabel="NDCG@20 on test", ylim=(0, None))
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    plt.close(figure)
    return base64.b64encode(picture.getvalue()).decode()
