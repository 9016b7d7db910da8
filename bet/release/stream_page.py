"""What is left of a stream, and the page about it."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bet.files import write_whole
from bet.release.templates import TEMPLATES
from bet.report.style import use_style
from bet.stream import Events, SegmentResult, StreamSettings, recurring_users
from bet.stream.segments import Segment, divides_a_time


@dataclass(frozen=True, eq=False)
class StreamRelease:
    """``files``, one for every segment, ``now``, which is fitted to all events and serves from
    today, and what was measured on the way.
    """

    events: Events
    cap: int
    method: str
    settings: StreamSettings
    segments: tuple[Segment, ...]
    files: tuple[Path, ...]
    now: Path
    results: tuple[SegmentResult, ...]
    page: Path


def cut_sentences(release: StreamRelease) -> list[str]:
    """What a reader should know about the segments."""
    n, rule = len(release.segments), release.settings
    sentences = [f"{n} segment{'s' if n > 1 else ''}"]
    if rule.new_entities is None and n != rule.count:
        sentences[0] += f", not {rule.count}: events of one time are not parted by a segment's end"
    divided = sum(divides_a_time(release.events, segment) for segment in release.segments)
    if divided:
        sentences.append(
            f"in {divided} of {n}, events of one time are on both sides of a cut between train, "
            "validation and test: there their order in the file decides"
        )
    return sentences


def segment_table(release: StreamRelease) -> pd.DataFrame:
    """A row per segment and one for now, which is not tested, as text."""
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
    users, items = (len(ids) for ids in (release.events.user_ids, release.events.item_ids))
    counts = {"users": users, "items": items, "bytes": release.now.stat().st_size}
    of_now = {name: f"{count:,}" for name, count in counts.items()}
    rows.append({"file": release.now.name, **of_now})
    return pd.DataFrame(rows).fillna("")


def write_page(release: StreamRelease) -> None:
    """Write ``release.page``."""
    page = TEMPLATES.get_template("stream.html").render(
        release=release,
        user=str(release.events.user_ids[0]),
        sentences=cut_sentences(release),
        recurring=recurring_users(release.events, list(release.segments)),
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
