"""Whether interactions fit into this machine's memory: asked before they are read."""

import resource
from collections.abc import Sequence
from pathlib import Path

from bet.errors import BetError

# Bytes of memory per byte of a file, at least: CSV takes about nine while it is read, Parquet and
# LightGCN text about twenty.
FACTOR = 6
_MEMORY = Path("/proc/meminfo")
_PROCESS = Path("/proc/self/statm")  # its first number: pages of addresses


def available_memory() -> int | None:
    """Bytes that can still be used here, by the machine or by this process (``ulimit -v``); None
    where the system does not say.
    """
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        pages = int(_PROCESS.read_text(encoding="ascii").split()[0])
    except OSError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    left = limit - pages * resource.getpagesize()
    for line in lines:
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            free = 1024 * int(rest.split()[0])
            return free if limit == resource.RLIM_INFINITY else min(free, max(0, left))
    return None


def check_memory(paths: Sequence[Path]) -> None:
    """Raise BetError, with the road for data of any size, where reading the files ``paths`` takes
    more memory than there is.
    """
    check_room(paths, FACTOR * sum(path.stat().st_size for path in paths if path.is_file()))


def check_room(paths: Sequence[Path], needed: int) -> None:
    """Raise BetError as ``check_memory`` where reading the files ``paths`` takes ``needed`` bytes,
    and there are fewer.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise BetError(
            f"{', '.join(map(str, paths))}: reading this takes at least {needed / 1e9:.1f} GB of "
            f"memory, and {available / 1e9:.1f} GB are free; take a larger machine, or fit on "
            "Spark and pack its vectors (workflow/spark/als.py and bet pack; docs/scale_out.md)"
        )
