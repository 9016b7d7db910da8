"""The rows of the speed table, each measured in a process of its own.

``python -m benchmarks`` prints it in Markdown; ``--help`` for more.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from benchmarks.speed import work
from benchmarks.speed.measuring import MemoryWatch, machine, prepare
from benchmarks.speed.work import Measured
from bet.data import Split
from bet.process import fixed_threads


@dataclass(frozen=True)
class Row:
    """``published``: what the published code takes on a machine like ours; ``target`` in seconds,
    or a ratio to the reference.
    """

    label: str
    work: Callable[[Split, int], Measured]
    published: str
    target: str
    met: Callable[[Measured, float], bool]  # of the measurement and the memory in MB
    peak: bool = False  # the memory is the whole process's peak, not what the work added


ROWS: dict[str, Row] = {
    "adjacency": Row(
        "normalized adjacency",
        work.adjacency,
        "45 s, +4.9 GB",
        "0.3 s, < 0.3 GB",
        lambda m, mb: m.seconds <= 0.3 and mb < 300,
    ),
    "sampling": Row(
        "sample 100 actions at 90 %",
        work.sampling,
        "30 s, +4.4 GB, 4 % over budget",
        "1 s, < 0.2 GB, none over",
        lambda m, mb: m.seconds <= 1 and mb < 200 and m.note.startswith("0 of"),
    ),
    "scoring": Row(
        "score 100 actions with the predictor",
        work.scoring,
        "87 s",
        "0.1 s",
        lambda m, mb: m.seconds <= 0.1,
    ),
    "evaluation": Row(
        "evaluate all users, d = 128",
        work.evaluation,
        "53 s, 15.7 GB peak",
        "2x bare, < 1.5 GB",
        lambda m, mb: m.reference is not None and m.seconds <= 2 * m.reference and mb < 1500,
        peak=True,
    ),
    "step-128": Row(
        "LightGCN step, batch 10,000, d = 128",
        lambda split, repeat: work.step(split, repeat, 128),
        "0.88 s",
        "0.4 s",
        lambda m, mb: m.seconds <= 0.4,
    ),
    "step-13": Row(
        "LightGCN step, batch 10,000, d = 13",
        lambda split, repeat: work.step(split, repeat, 13),
        "",
        "0.035 s",
        lambda m, mb: m.seconds <= 0.035,
    ),
    "iteration": Row(
        "search iteration with one epoch",
        work.iteration,
        "240 s, 17 GB peak",
        "30 s, < 3 GB",
        lambda m, mb: m.seconds <= 30 and mb < 3000,
        peak=True,
    ),
    "als-search": Row(
        "search of 50 actions, each trained by least squares, two threads",
        work.least_squares_search,
        "",
        "480 s",
        lambda m, mb: m.seconds <= 480,
        peak=True,
    ),
}


def measure(name: str, dataset: str, size: float, repeat: int) -> dict:
    """Run one row in this process: seconds, reference, note, extra and whole peak memory (MB)."""
    split = prepare(dataset, size)
    with fixed_threads(), MemoryWatch() as memory:
        measured = ROWS[name].work(split, repeat)
    return vars(measured) | {"extra_mb": memory.peak - memory.before, "peak_mb": memory.peak}


def in_own_process(name: str, dataset: str, size: float, repeat: int) -> dict:
    """``measure`` in a fresh process, whose memory is the row's alone."""
    command = [sys.executable, "-m", "benchmarks", "--json", "--only", name, "--dataset", dataset]
    command += ["--size", str(size), "--repeat", str(repeat)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def table(results: dict[str, dict]) -> str:
    """Markdown, one line per row."""
    head = ["work", "published code", "to reach", "ours", "reference in the same run", "memory"]
    head += ["reached", "result"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, result in results.items():
        row = ROWS[name]
        measured = Measured(result["seconds"], result["reference"], result["note"])
        memory = result["peak_mb"] if row.peak else result["extra_mb"]
        reference = ""
        if measured.reference is not None:
            ratio = measured.seconds / measured.reference
            reference = f"{measured.reference:.2f} s (ours: {ratio:.3f}x)"
        parts = [row.label, row.published, row.target, f"{measured.seconds:.3f} s", reference]
        parts.append(f"{memory:.0f} MB{' peak' if row.peak else ' more'}")
        parts.append("yes" if row.met(measured, memory) else "no")
        lines.append("| " + " | ".join([*parts, measured.note]) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--dataset",
        default="power-law",
        help="power-law (made up, Gowalla's size), or gowalla, yelp2018",
    )
    parser.add_argument(
        "--size", type=float, default=1.0, help="of the power-law data, relative to Gowalla"
    )
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many runs is shown")
    parser.add_argument(
        "--only", choices=list(ROWS), action="append", help="this row only; may be repeated"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="measure the one row of --only in this process and print JSON",
    )
    options = parser.parse_args(arguments)
    if options.json:
        print(json.dumps(measure(options.only[0], options.dataset, options.size, options.repeat)))
        return
    results = {}
    names = options.only or list(ROWS)
    for name in tqdm(names, desc="benchmarks", disable=not sys.stderr.isatty()):
        results[name] = in_own_process(name, options.dataset, options.size, options.repeat)
    data = f"data: {options.dataset}, size {options.size:g}; median of {options.repeat}"
    print(f"{machine()}; {data}\n\n{table(results)}")
