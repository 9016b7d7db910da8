"""``python -m benchmarks.speed.serving_worker FILE USERS K``: a process that serves from a file.

It answers once, prints the largest memory (MB) that took, and for every line that it is sent prints
its memory now. It needs no torch, as a process that serves does not.
"""

import json
import resource
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
        best[first:end] = top_items(users, table, table.n_users, k)[0]
    return best


def memory() -> dict[str, float]:
    """MB of this process: resident, its share where pages are shared, and its own alone."""
    path = Path("/proc/self/smaps_rollup")
    if not path.is_file():
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return {"resident": resident, "share": resident, "private": resident}
    lines = [line.split() for line in path.read_text().splitlines()[1:]]
    kilobytes = {line[0].removesuffix(":"): int(line[1]) for line in lines}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {
        "resident": kilobytes["Rss"] * 1.024e-3,
        "share": kilobytes["Pss"] * 1.024e-3,
        "private": private * 1.024e-3,
    }


def main(arguments: list[str]) -> None:
    """Answer, then wait for lines."""
    path, n_users, k = arguments
    table = load(path)
    assert isinstance(table, PackedFile)
    answer(table, int(n_users), int(k))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024e-3
    print(json.dumps({"peak": peak}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(memory()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
