"""``python -m benchmarks.speed.packing``: packing vectors that are much larger than the memory that
it takes.

Half the rows are users, half items, in two ``.npy`` files. "Memory" is what the process grew by at
most, mapped pages included.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.speed.measuring import D_MAX, MemoryWatch, machine, memory_now
from bet.pack import open_vectors, pack_vectors
from bet.process import fixed_threads

BUDGETS = ("18.1 B/entity", "34.1 B/entity", "66.1 B/entity")  # 1, 2 and 4 bits per number
BLOCK = 10_000  # rows that are drawn at once


@dataclass(frozen=True)
class Packing:
    """What packing ``rows`` rows into ``budget`` took: seconds, and memory in MB; how it was done,
    and which share of the top 10 is kept.
    """

    rows: int
    budget: str
    seconds: float
    memory: float
    file: float
    plan: str
    kept: float


def write_vectors(path: Path, rows: int, mixing: np.ndarray, seed: int) -> Path:
    """Write normal rows times ``mixing`` (d, d); their path."""
    rng = np.random.default_rng(seed)
    shape = (rows, len(mixing))
    matrix = np.lib.format.open_memmap(path, "w+", np.dtype("<f4"), shape)
    for first in range(0, rows, BLOCK):
        part = matrix[first : first + BLOCK]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32) @ mixing
    matrix.flush()
    return path


def measure(rows: int, budgets: tuple[str, ...], folder: Path) -> list[Packing]:
    """Pack ``rows`` rows into every budget."""
    # Directions of unequal weight, as trained vectors have.
    spectrum = np.linspace(1, 0.1, D_MAX, dtype=np.float32)[:, None]
    mixing = spectrum * np.random.default_rng(0).standard_normal((D_MAX, D_MAX), dtype=np.float32)
    mixing /= np.sqrt(D_MAX)
    halves = [
        write_vectors(folder / f"{side}.npy", rows // 2, mixing, seed)
        for seed, side in enumerate(("users", "items"))
    ]
    measured = []
    before = memory_now()  # freed memory stays with the process
    for budget in budgets:
        with MemoryWatch() as watch:
            started = time.perf_counter()
            packed = pack_vectors(*map(open_vectors, halves), budget, folder / "packed")
            taken = time.perf_counter() - started
        size = packed.report.total / 1e6
        grown = watch.peak - before
        text, kept = packed.plan.text, packed.costs.overlaps[0]
        measured.append(Packing(rows, budget, taken, grown, file=size, plan=text, kept=kept))
    return measured


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.packing", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--budgets", nargs="+", default=BUDGETS)
    options = parser.parse_args(arguments)
    print(f"{machine()}; {D_MAX} float32 numbers per row\n")
    print("| rows | float32 | budget | file | seconds | memory | top 10 kept | how |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in options.rows:
        with fixed_threads(), tempfile.TemporaryDirectory() as folder:
            for row in measure(rows, tuple(options.budgets), Path(folder)):
                print(
                    f"| {row.rows:,} | {4 * D_MAX * rows / 1e6:,.0f} MB | {row.budget} | "
                    f"{row.file:,.1f} MB | {row.seconds:,.1f} | {row.memory:,.0f} MB | "
                    f"{row.kept:.1%} | {row.plan} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
