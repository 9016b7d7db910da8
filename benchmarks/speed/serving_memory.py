"""Memory of processes that serve from one file at the same time, on Linux only."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

MOST_MEMORY = 300.0  # MB that a process may take beside the file


@dataclass(frozen=True)
class Workers:
    """MB of each of the processes, by name (peak, resident, share, private), after ``users``
    were answered.
    """

    users: int
    processes: Sequence[dict[str, float]]

    def most(self, name: str) -> float:
        return max(process[name] for process in self.processes)


def memory_of_workers(path: Path, k: int, users: int, count: int) -> Workers:
    """``count`` processes that have answered ``users``, ``k`` items for each, while all are
    there.
    """
    command = [sys.executable, "-m", "benchmarks.speed.serving_worker", str(path), str(users)]
    with ExitStack() as started:
        processes = [
            started.enter_context(
                subprocess.Popen(
                    [*command, str(k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(count)
        ]
        for process in processes:
            assert process.stdout and process.stdout.readline() == "answered\n"
        measured = []
        for process in processes:
            assert process.stdin and process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            measured.append(json.loads(process.stdout.readline()))
    return Workers(users, measured)


def workers_table(measured: Sequence[Workers]) -> str:
    """Markdown, one line per number of processes and of users that each of them answers."""
    lines = ["| processes | users | peak of one | resident, one | its own | all together |"]
    lines.append("|---|---|---|---|---|---|")
    for workers in measured:
        peak, resident, private = (
            f"{workers.most(name):,.0f} MB" for name in ("peak", "resident", "private")
        )
        together = f"{sum(process['share'] for process in workers.processes):,.0f} MB"
        counts = f"{len(workers.processes)} | {workers.users:,}"
        lines.append(f"| {counts} | {peak} | {resident} | {private} | {together} |")
    return "\n".join(lines)


def check_memory(size: float, measured: Sequence[Workers]) -> None:
    """Raise AssertionError if a process took more than the ``size`` of the file and
    ``MOST_MEMORY``, all in MB.
    """
    peak = max(workers.most("peak") for workers in measured)
    if peak > size + MOST_MEMORY:
        raise AssertionError(
            f"a process took {peak:,.0f} MB, the file has {size:,.1f} MB and {MOST_MEMORY:g} MB "
            "more are allowed"
        )
