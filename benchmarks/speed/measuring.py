"""What all measurements share: the data, the clock, the memory, and a line about the machine."""

import platform
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import torch

from bet.data import Interactions, Split, load_dataset, power_law, split_interactions

USERS, ITEMS, INTERACTIONS = 29_858, 40_981, 1_027_370  # Gowalla
BATCH = 10_000
D_MAX = 128


def dataset(name: str, size: float) -> Interactions:
    """Power-law data of ``size`` times Gowalla's, or a named dataset."""
    if name != "power-law":
        return load_dataset(name)
    users, items = max(30, round(size * USERS)), max(30, round(size * ITEMS))
    drawn = max(30, round(size * 1.033 * INTERACTIONS))  # about 3 % repeat an earlier pair
    return power_law(users, items, drawn)


def prepare(name: str, size: float) -> Split:
    """The split that all rows work on."""
    return split_interactions(dataset(name, size), seed=0)


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Median wall-clock seconds of ``repeat`` calls, after one that warms up."""
    work()
    taken = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def alternating(
    works: Mapping[str, Callable[[], object]],
    repeat: int,
    warm_up: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, np.ndarray]:
    """Processor seconds of every work in each of ``repeat`` rounds, (repeat,) by name, after a
    round of ``warm_up``, of ``works`` if None: with one thread, those of the clock where nothing
    else runs. What slows the machine down for a while slows all of them down.
    """
    for work in (works if warm_up is None else warm_up).values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            started = processor_seconds()
            work()
            taken[name].append(processor_seconds() - started)
    return {name: np.array(rounds) for name, rounds in taken.items()}


def memory_now() -> float:
    """Memory of this process, MB."""
    path = Path("/proc/self/statm")
    if path.is_file():
        return int(path.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def run_watched(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, float]:
    """What ``command`` prints, and its peak memory in MB, on Linux only; stderr passes through.
    Raises CalledProcessError where it fails.

    The peak that the system reports for a child that has ended includes its parent's.
    """
    peak = 0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:  # until then its status can be read
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]))
            time.sleep(0.05)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return printed, peak * 1.024e-3


class MemoryWatch:
    """The largest memory (MB) of this process while a ``with`` block runs, looked at every
    millisecond; the system's own peak includes what came before.
    """

    def __enter__(self) -> "MemoryWatch":
        self.before = self.peak = memory_now()
        self._done, self._pool = Event(), ThreadPoolExecutor(1)
        self._largest = self._pool.submit(self._look)
        return self

    def _look(self) -> float:
        largest = self.before
        while not self._done.wait(0.001):
            largest = max(largest, memory_now())
        return largest

    def __exit__(self, *error) -> None:
        self._done.set()
        self.peak = self._largest.result()
        self._pool.shutdown()


def machine() -> str:
    """Processor and versions, in one line."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{model}, one thread; Python {platform.python_version()}, torch {torch.__version__}"
