"""How long the rest of a study takes, from what its cells took before and take now."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

START_SECONDS = 4.0  # of an interpreter or a notebook's kernel; records do not count them
ASSUMED_SECONDS = 60.0  # of recorded work that are taken to have gone as fast here as there


def recorded_seconds(file: Path) -> dict[str, float]:
    """Seconds by cell id, from the records of an earlier run, one JSON object a line; empty where
    there is no such file, or another one.
    """
    seconds = {}
    try:
        for line in file.read_text().splitlines():
            record = json.loads(line)
            seconds[record["cell_id"]] = float(record.get("run", record)["seconds"]["total"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # an estimate is no reason to stop
    return seconds


def seconds_left(
    elapsed: float,
    finished: Collection[str],
    left: Collection[str],
    recorded: Mapping[str, float],
    jobs: int = 1,
) -> float | None:
    """Until the cells ``left`` are finished, if those ``finished`` took ``elapsed`` seconds.

    Cells count by their ``recorded`` seconds, by the mean of these where there are none. At first
    this machine is taken to be as fast as that of the records, on ``jobs`` cores. None while there
    is nothing to judge by: no records, and less than a tenth of the cells finished.

    >>> seconds_left(20.0, ["a"], ["b", "c"], {})  # one of three in 20 s
    40.0
    >>> seconds_left(20.0, ["a"], ["b"], {"a": 6.0, "b": 31.0})  # 20 + 60 s for 10 + 60, so for 35
    40.0
    """
    if not recorded:
        enough = 10 * len(finished) >= len(finished) + len(left)
        return elapsed * len(left) / len(finished) if enough and finished else None
    usual = sum(recorded.values()) / len(recorded)
    before = sum(recorded.get(cell, usual) + START_SECONDS for cell in finished)
    after = sum(recorded.get(cell, usual) + START_SECONDS for cell in left)
    return (elapsed + ASSUMED_SECONDS / jobs) * after / (before + ASSUMED_SECONDS)


def in_words(seconds: float) -> str:
    """Whole seconds below two minutes, then minutes, then hours: "50 s", "4 min", "2.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
