"""``python -m benchmarks.lookup``: looking rows up in a packed file against dense ``nn.Embedding``
tables.

Every table is written to a file and opened again; "opened" is what the process grew by, the mapped
pages that the look-ups touched included. Rows are asked for at random, a batch at a time, on one
thread.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.__main__ import machine, resident
from benchmarks.work import seconds
from bet.packed import layout_of, load, write_packed
from bet.process import fixed_threads

D_MAX = 128
BATCH, BATCHES = 4096, 8  # rows of a look-up, look-ups that are timed together
# name -> (columns of row i of n, bits per number, rows by rank)
PACKED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int, bool]] = {
    "packed, 128 columns, float32": (lambda share: np.full(len(share), D_MAX), 32, True),
    "packed, 128 columns, int8": (lambda share: np.full(len(share), D_MAX), 8, True),
    "packed, 48 columns, int4": (lambda share: np.full(len(share), 48), 4, True),
    "packed, 2 to 128 columns, int4, by rank": (lambda share: ragged(share), 4, True),
    "packed, 2 to 128 columns, int4, by id": (lambda share: ragged(share), 4, False),
}


def ragged(share: np.ndarray) -> np.ndarray:
    """Sizes that fall with the rank, from 128 to 2; ``share`` (n,): rank over n."""
    return np.maximum(2 * np.floor(D_MAX / 2 * (1 - share) ** 3).astype(np.int64), 2)


def packed(name: str, n: int, folder: Path) -> Path:
    """Write the table of this name with ``n`` random rows; its path."""
    sizes_of, bits, by_rank = PACKED[name]
    sizes = sizes_of(np.arange(n) / n)
    if not by_rank:
        sizes = np.random.default_rng(0).permutation(sizes)
    values = np.random.default_rng(1).standard_normal((n, 1, sizes.max()), dtype=np.float32)
    path = folder / "packed"
    write_packed(path, layout_of(sizes, bits, n, by_rank=by_rank), values)
    return path


def rows(n: int, repeat: int, folder: Path) -> list[dict]:
    """A row per table: name, bytes of the file, MB of growth when opened, microseconds per look-up
    of a batch.
    """
    batches = [np.random.default_rng(i).integers(0, n, BATCH) for i in range(BATCHES)]
    found = []
    for dtype in (torch.float32, torch.float16):
        path = folder / "dense"
        save_file({"weight": torch.randn(n, D_MAX).to(dtype)}, path)
        before = resident()
        table = torch.nn.Embedding.from_pretrained(load_file(path)["weight"])
        asked = [torch.from_numpy(batch) for batch in batches]
        taken = seconds(lambda table=table, asked=asked: [table(batch) for batch in asked], repeat)
        name = f"nn.Embedding, 128 columns, {str(dtype).removeprefix('torch.')}"
        found.append(_row(name, path, before, taken))
        del table
    for name in PACKED:
        path = packed(name, n, folder)
        before = resident()
        opened = load(path)
        taken = seconds(lambda opened=opened: [opened.rows(batch) for batch in batches], repeat)
        found.append(_row(name, path, before, taken))
        del opened
    return found


def _row(name: str, path: Path, before: float, taken: float) -> dict:
    return {
        "table": name,
        "file": path.stat().st_size,
        "opened": max(0, resident() - before),
        "microseconds": 1e6 * taken / BATCHES,
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookup", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    with fixed_threads(), tempfile.TemporaryDirectory() as folder:
        found = rows(options.rows, options.repeat, Path(folder))
    print(f"{machine()}; {options.rows:,} rows, batches of {BATCH:,}, median of {options.repeat}\n")
    print("| table | file | opened | a batch | against float32 |\n|---|---|---|---|---|")
    for row in found:
        factor = row["microseconds"] / found[0]["microseconds"]
        sizes = f"{row['file'] / 1e6:,.1f} MB | {row['opened']:,.1f} MB"
        print(f"| {row['table']} | {sizes} | {row['microseconds']:,.0f} us | {factor:.1f}x |")


if __name__ == "__main__":
    main(sys.argv[1:])
