"""How this process uses the machine: a device, a fixed number of threads, no denormals, and memory
that is kept for the next step.
"""

import ctypes
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bet.errors import BetError, check_between
from bet.text import printable, quoted

MOST_THREADS = 256
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt
_KEEP = 2**31 - 1  # bytes
PARENT = "BET_PARENT"  # number of the process whose end ends the one that is started


@contextmanager
def fixed_threads(threads: int = 1) -> Iterator[None]:
    """``threads`` threads and no denormals: the same numbers however the cell is started, and no
    slow multiplications.

    Sums are rounded differently with another number of threads. Raises BetError for fewer than one,
    and for more than a process may start.
    """
    check_between("threads", threads, 1, MOST_THREADS)
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def end_with_parent(seconds: float = 1.0) -> None:
    """End this process within ``seconds`` of the end of the parent that the environment names; do
    nothing where it names none.

    Of a grid whoever is killed can stop nobody, so everybody looks at his parent: the system gives
    the children of a dead process to another one at once.
    """
    parent = os.environ.pop(PARENT, None)  # children have another one
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, name="watch the parent", daemon=True).start()


def resolve_device(device: str) -> str:
    """The torch device that ``device`` means here; raises BetError when it cannot be used."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    # Torch has others, which hold no numbers ("meta") or run none of ours.
    reason = ""
    if device == "cpu" or re.fullmatch(r"cuda(:[0-9]{1,2})?", device):
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = f" ({printable(str(error).splitlines()[0], 200)})"
        else:
            return device
    raise BetError(
        f"device {quoted(device)} cannot be used here{reason}; known are auto, cpu, cuda"
    )


def keep_freed_memory() -> bool:
    """Let glibc reuse large freed blocks instead of returning them to the system; False where there
    is no glibc.

    A training step frees and asks again for the same arrays of tens of megabytes; fetched from the
    system each time, all their pages are cleared each time, which takes as long as the arithmetic
    (benchmarks/README.md). For the whole process, for good.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not Linux, or another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _KEEP) and mallopt(_TRIM_THRESHOLD, _KEEP))
