"""``python -m benchmarks``: one row per process, one thread, a Markdown table; ``--help`` for more."""

import argparse
import json
import platform
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import torch
from tqdm.auto import tqdm

from benchmarks.work import ROWS, prepare
from bet.process import fixed_threads


def measure(name: str, dataset: str, size: float, repeat: int) -> dict:
    """Run one row in this process: seconds, reference, extra and whole peak memory (MB)."""
    split = prepare(dataset, size)
    before = resident()
    with fixed_threads(), ThreadPoolExecutor(1) as pool:
        done = Event()
        peak = pool.submit(_watch, done)
        try:
            measured = ROWS[name].work(split, repeat)
        finally:
            done.set()  # else the pool waits for ever
    largest = max(before, peak.result())
    return vars(measured) | {"extra_mb": largest - before, "peak_mb": largest}


def in_own_process(name: str, dataset: str, size: float, repeat: int) -> dict:
    """``measure`` in a fresh process, whose memory is the row's alone."""
    command = [sys.executable, "-m", "benchmarks", "--json", "--only", name, "--dataset", dataset]
    command += ["--size", str(size), "--repeat", str(repeat)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def _watch(done: Event) -> float:
    """Largest resident memory (MB) seen every millisecond until ``done``; the system's own peak
    includes loading the data.
    """
    largest = resident()
    while not done.wait(0.001):
        largest = max(largest, resident())
    return largest


def resident() -> float:
    """Memory of this process now, MB."""
    path = Path("/proc/self/statm")
    if path.is_file():
        return int(path.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def table(results: dict[str, dict]) -> str:
    """Markdown, one line per row."""
    lines = [
        "| work | published code | to reach | ours | reference in the same run | memory | reached | |",
        "|" + "---|" * 8,
    ]
    from benchmarks.work import Measured

    for name, result in results.items():
        row = ROWS[name]
        measured = Measured(result["seconds"], result["reference"], result["note"])
        memory = result["peak_mb"] if row.peak else result["extra_mb"]
        reference = (
            ""
            if measured.reference is None
            else f"{measured.reference:.2f} s (ours: {measured.seconds / measured.reference:.3f}x)"
        )
        parts = [row.label, row.published, row.target, f"{measured.seconds:.3f} s", reference]
        parts += [
            f"{memory:.0f} MB{' peak' if row.peak else ' more'}",
            "yes" if row.met(measured, memory) else "no",
        ]
        lines.append("| " + " | ".join([*parts, measured.note]) + " |")
    return "\n".join(lines)


def machine() -> str:
    """Processor and versions, in one line."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    return f"{model}, one thread; Python {platform.python_version()}, torch {torch.__version__}"


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
    rows = tqdm(options.only or list(ROWS), desc="benchmarks", disable=not sys.stderr.isatty())
    results = {
        name: in_own_process(name, options.dataset, options.size, options.repeat) for name in rows
    }
    print(
        f"{machine()}; data: {options.dataset}, size {options.size:g}; median of {options.repeat}\n\n{table(results)}"
    )


if __name__ == "__main__":
    main()
