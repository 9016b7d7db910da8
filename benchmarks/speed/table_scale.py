"""``python -m benchmarks.speed.table_scale``: ``bet table`` on large files of interactions.

They are made up (``bet.data.planted_groups``): a user for every 40 interactions and an item for
every 100, in groups of a thousand items, where nine of ten interactions stay inside the group; in
random order, as CSV with ids of text. "Memory" is the peak of the command's process, from reading
to writing. The three lines that the command prints last are then run in a fresh process, which
opens the file and recommends to a user.
"""

import argparse
import ast
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.speed.measuring import machine, run_watched
from bet.data import planted_groups

PER_USER, PER_ITEM = 40, 100  # interactions
GROUP = 1000  # items, where there are as many


@dataclass(frozen=True)
class Written:
    """Counts of a file of interactions, and its MB."""

    interactions: int
    users: int
    items: int
    size: float


@dataclass(frozen=True)
class Built:
    """What ``bet table`` took and wrote: seconds, MB, MB of the file, what it printed; then, for
    opening the file and recommending, seconds and MB.
    """

    seconds: float
    memory: float
    size: float
    lines: list[str]
    answer_seconds: float
    answer_memory: float

    @property
    def chosen(self) -> str:
        """The model that the file holds."""
        return self.lines[0].rpartition("; ")[2]


def write_interactions(path: Path, n_interactions: int) -> Written:
    """Write about ``n_interactions`` to ``path``, columns user and item."""
    n_users, n_items = n_interactions // PER_USER, n_interactions // PER_ITEM
    groups = max(2, n_items // GROUP)
    matrix = planted_groups(n_users, n_items, n_interactions, groups).matrix.tocoo()
    order = np.random.default_rng(0).permutation(matrix.nnz)
    users, items = matrix.row[order], matrix.col[order]
    pairs = pd.DataFrame({"user": users, "item": items}).astype(str)
    pd.DataFrame({"user": "u" + pairs["user"], "item": "i" + pairs["item"]}).to_csv(
        path, index=False
    )
    counts = (len(np.unique(side)) for side in (users, items))
    return Written(len(pairs), *counts, path.stat().st_size / 1e6)


def build(data: Path, budget: str, minutes: float, out: Path) -> Built:
    """Run ``bet table``; raises AssertionError unless the lines that it prints recommend."""
    environment = os.environ | {"BET_CACHE": str(out.parent / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bet", "table", "--data", str(data), "--out", str(out)]
    started = time.perf_counter()
    printed, memory = run_watched(
        [*command, "--budget", budget, "--minutes", f"{minutes:g}"], environment
    )
    built = time.perf_counter()
    lines = printed.splitlines()
    answer, answer_memory = run_watched([sys.executable, "-c", "\n".join(lines[-3:])], environment)
    answered = time.perf_counter()
    (items,) = ast.literal_eval(answer)
    if not items or not all(item.startswith("i") for item in items):
        raise AssertionError(f"{out} recommends {items}")
    size = out.stat().st_size / 1e6
    return Built(built - started, memory, size, lines, answered - built, answer_memory)


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and what every command printed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.table_scale", description=__doc__
    )
    parser.add_argument("--interactions", type=int, default=1_000_000)
    parser.add_argument("--budget", default="25.6 B/entity")
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "interactions.csv")
        written = write_interactions(data, options.interactions)
        built = build(data, options.budget, options.minutes, Path(folder, "table.safetensors"))
    print("\n".join(built.lines))
    print(f"\n{machine()}; {options.budget}, --minutes {options.minutes:g}\n")
    print(
        "| interactions | users | items | CSV | seconds | memory | file | chosen | opened, asked |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {written.interactions:,} | {written.users:,} | {written.items:,} | "
        f"{written.size:,.0f} MB | {built.seconds:,.0f} | {built.memory:,.0f} MB | "
        f"{built.size:,.2f} MB | {built.chosen} | "
        f"{built.answer_seconds:.1f} s, {built.answer_memory:,.0f} MB |"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
