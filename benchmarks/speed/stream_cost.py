"""``python -m benchmarks.speed.stream_cost``: what a segment of a stream costs over its training.

Cost is (seconds of sizing and training) / (seconds of training), of the processor, the median of
all segments but the first, which searches longer; one thread, the settings of study ``stream``.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.speed.measuring import machine
from bet.process import fixed_threads
from bet.search import RunSettings, Workspace
from bet.stream import STREAM_METHODS, Events, StreamSettings, StreamTask, load_events, run_stream
from bet.stream.synthetic import drifting
from bet.study.profiles import PROFILES

METHODS = ("stream-powerlaw", "scall", "scall-bayes", "dess-like-capped", "stream-bet-plus")
BYTES = 32  # of the cap, per user and item of the whole stream


@dataclass(frozen=True)
class Row:
    """Of a method on a stream: seconds of a segment's training, and ``cost``, its multiple."""

    stream: str
    backbone: str
    method: str
    training: float
    cost: float
    first: float  # the cost of the first segment


def measure(events: Events, backbone: str, method: str, segments: int = 4) -> Row:
    """Run ``method`` once on ``events``."""
    profile = PROFILES["stream"]
    search, training = profile.search[backbone], profile.training[backbone]
    task = StreamTask(
        events=events,
        method=STREAM_METHODS[method],
        settings=RunSettings(backbone, training, search),
        rule=StreamSettings(segments),
        cap=f"{BYTES * (len(events.user_ids) + len(events.item_ids))} B",
        d_max=profile.columns(backbone),
    )
    with tempfile.TemporaryDirectory() as folder, fixed_threads():
        results = run_stream(task, Workspace(Path(folder), Path(folder)), clock=time.process_time)
    costs = [1 + each.seconds["size"] / each.seconds["train"] for each in results]
    trained = [each.seconds["train"] for each in results[1:]]
    median = float(np.median(costs[1:]))
    return Row(events.name, backbone, method, float(np.median(trained)), median, costs[0])


def table(rows: list[Row]) -> str:
    """Markdown, one line per row."""
    lines = ["| stream | backbone | method | training | cost | of the first segment |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        names = f"| {row.stream} | {row.backbone} | {row.method}"
        lines.append(f"{names} | {row.training:.2f} s | {row.cost:.2f} | {row.first:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    prog = "python -m benchmarks.speed.stream_cost"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--events", type=int, default=500_000, help="of the large made-up stream")
    parser.add_argument("--backbones", nargs="+", default=["lightgcn", "ials"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = parser.parse_args(arguments)
    n = options.events
    large = partial(drifting, n // 50, n // 80, n, name=f"made up, {n:,} draws")
    rows = []
    for make in (partial(load_events, "movielens-100k"), large):
        events = make()
        for backbone in options.backbones:
            rows += [measure(events, backbone, method) for method in options.methods]
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
