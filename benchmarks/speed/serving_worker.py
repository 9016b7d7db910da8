"""``python -m benchmarks.speed.serving_worker FILE USERS K``: a process that serves from a file.

It answers once, prints a line, and for every line that it is sent prints its memory, on Linux only.
It needs no torch, as a process that serves does not.
"""

import json
import sys
from pathlib import Path

import numpy as np

from bet.packed import load
from bet.packed.ragged import PackedFile
from bet.recommend.top_vectors import top_items

BATCH = 2048  # users that are answered together


def answer(table: PackedFile, n_users: int, k: int) -> np.ndarray:
    """The ``k`` best items of the first ``n_users`` users: (n_users, k) int64."""
    best = np.empty((n_users, k), dtype=np.int64)
    for first in range(0, n_users, BATCH):
        end = min(first + BATCH, n_users)
        users = table.rows(np.arange(first, end))[:, 0]
        best[first:end] = top_items(users, table, table.n_users, k).items
    return best


def memory() -> dict[str, float]:
    """MB of this process, on Linux: the peak, what is resident, its share where pages are shared,
    and what is its own alone.
    """
    kilobytes = {}
    for name in ("status", "smaps_rollup"):
        for line in Path("/proc/self", name).read_text().splitlines():
            words = line.split()
            if words[-1] == "kB":
                kilobytes[words[0].removesuffix(":")] = int(words[1])
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    counted = {
        "peak": kilobytes["VmHWM"],
        "resident": kilobytes["Rss"],
        "share": kilobytes["Pss"],
        "private": private,
    }
    return {name: number * 1.024e-3 for name, number in counted.items()}


def main(arguments: list[str]) -> None:
    """Answer, then wait for lines."""
    path, n_users, k = arguments
    table = load(path)
    assert isinstance(table, PackedFile)
    answer(table, int(n_users), int(k))
    print("answered", flush=True)
    for _ in sys.stdin:
        print(json.dumps(memory()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
