"""``python -m benchmarks.speed.lookup``: looking rows up in a packed file, against dense
``nn.Embedding`` tables.

Every table is written to a file and opened again; "opened" is what the process grew by, the mapped
pages that the look-ups touched included. Rows are asked for at random, a batch at a time, on one
thread; the tables take turns, and a factor is the median of those of the rounds. The compiled loop
is loaded before; numba takes some tens of MB of every process that uses it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.speed.measuring import D_MAX, alternating, machine, memory_now
from bet.packed import layout_of, load, write_packed
from bet.packed.ragged import LOOPS
from bet.process import fixed_threads

BATCH, BATCHES = 4096, 32  # rows of a look-up, look-ups that are timed together
# name -> (columns of row i of n, bits per number, rows by rank)
PACKED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int, bool]] = {
    "packed, 128 columns, float32": (lambda share: np.full(len(share), D_MAX), 32, True),
    "packed, 128 columns, int8": (lambda share: np.full(len(share), D_MAX), 8, True),
    "packed, 48 columns, int4": (lambda share: np.full(len(share), 48), 4, True),
    "packed, 2 to 128 columns, int4, by rank": (lambda share: ragged(share), 4, True),
    "packed, 2 to 128 columns, int4, by id": (lambda share: ragged(share), 4, False),
}


WITHOUT_NUMBA = "packed, 128 columns, int8"  # measured by numpy alone, too


def ragged(share: np.ndarray) -> np.ndarray:
    """Sizes that fall with the rank, from 128 to 2; ``share`` (n,): rank over n."""
    return np.maximum(2 * np.floor(D_MAX / 2 * (1 - share) ** 3).astype(np.int64), 2)


def write_table(name: str, n: int, folder: Path) -> Path:
    """Write the packed table of this name with ``n`` random rows; its path."""
    sizes_of, bits, by_rank = PACKED[name]
    sizes = sizes_of(np.arange(n) / n)
    if not by_rank:
        sizes = np.random.default_rng(0).permutation(sizes)
    values = np.random.default_rng(1).standard_normal((n, 1, sizes.max()), dtype=np.float32)
    path = folder / name
    write_packed(path, layout_of(sizes, bits, n, by_rank=by_rank), values)
    return path


@dataclass(frozen=True)
class LookUp:
    """``file``: bytes; ``opened``: MB that the process grew by; ``microseconds``: per batch, the
    median; ``factor``: to the first table's, in the same round.
    """

    table: str
    file: int
    opened: float
    microseconds: float
    factor: float


def measure(n: int, repeat: int, folder: Path) -> list[LookUp]:
    """Every table of ``n`` rows, the dense ones first."""
    batches = [np.random.default_rng(i).integers(0, n, BATCH) for i in range(BATCHES)]
    works, sizes = {}, {}
    LOOPS.pay(LOOPS.worth)  # as in a process that has looked many rows up
    load(write_table(WITHOUT_NUMBA, BATCH, folder)).rows(np.arange(BATCH))  # loads the loop
    for dtype in (torch.float32, torch.float16):
        name = f"nn.Embedding, 128 columns, {str(dtype).removeprefix('torch.')}"
        path = folder / name
        save_file({"weight": torch.randn(n, D_MAX).to(dtype)}, path)
        before = memory_now()
        dense = torch.nn.Embedding.from_pretrained(load_file(path)["weight"])
        works[name] = partial(_look_up_all, dense, [torch.from_numpy(batch) for batch in batches])
        works[name]()
        sizes[name] = path.stat().st_size, max(0, memory_now() - before)
    for name in PACKED:
        path = write_table(name, n, folder)
        before = memory_now()
        works[name] = partial(_look_up_all, load(path).rows, batches)
        works[name]()
        sizes[name] = path.stat().st_size, max(0, memory_now() - before)
    by_numpy = load(folder / WITHOUT_NUMBA)
    by_numpy._read_by_loop = by_numpy._read_by_precision
    name = f"{WITHOUT_NUMBA}, without numba"
    works[name] = partial(_look_up_all, by_numpy.rows, batches)
    sizes[name] = sizes[WITHOUT_NUMBA]
    taken = alternating(works, repeat)
    first = taken[next(iter(taken))]
    return [
        LookUp(
            name,
            *sizes[name],
            microseconds=1e6 * float(np.median(rounds)) / BATCHES,
            factor=float(np.median(rounds / first)),
        )
        for name, rounds in taken.items()
    ]


def _look_up_all(rows: Callable, batches: Sequence) -> None:
    for batch in batches:
        rows(batch)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.lookup", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    with fixed_threads(), tempfile.TemporaryDirectory() as folder:
        measured = measure(options.rows, options.repeat, Path(folder))
    print(f"{machine()}; {options.rows:,} rows, batches of {BATCH:,}, median of {options.repeat}\n")
    print("| table | file | opened | a batch | against float32 |\n|---|---|---|---|---|")
    for row in measured:
        sizes = f"{row.file / 1e6:,.1f} MB | {row.opened:,.1f} MB"
        print(f"| {row.table} | {sizes} | {row.microseconds:,.0f} us | {row.factor:.2f}x |")


if __name__ == "__main__":
    main(sys.argv[1:])
