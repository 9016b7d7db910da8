"""What `make test` runs, one step after the other: test.py JOBS. Its last line is the verdict.

The first step that fails ends it and is named in that line. Nothing has a time limit: a busy
machine is slow, not wrong. The studies run in folders of their own: nothing committed is
overwritten, nothing finished is reused. What keeps one core busy shares the machine with others.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "smoke"
UNLIMITED = "1000000"  # seconds
FOLDERS = {"BET_RESULTS": "results", "BET_REPORTS": "reports", "BET_CACHE": "cache"}
SETTINGS = {
    "OMP_WAIT_POLICY": "passive",  # a thread that waits leaves the core to others
    "PYTHONDONTWRITEBYTECODE": "",  # containers set it: each of hundreds of processes would compile
}
REPORT = "report.ipynb"
STUDIES = {"smoke study": "smoke", "streams smoke": "stream-smoke"}


def steps(jobs: str) -> list[dict[str, list[str]]]:
    """Arguments of ``python`` by the name of the step; those of a dict run at once."""
    pytest = ["-m", "pytest", "-q", "-p", "no:randomly"]
    workers = ["-n", jobs, "--maxprocesses", "8", "--dist"]
    nbval = ["--nbval-lax", "--nbval-current-env"]
    nbval += ["--nbval-cell-timeout", UNLIMITED, "--nbval-kernel-startup-timeout", UNLIMITED]
    scopes, notebooks = [*pytest, *workers, "loadscope", *nbval], FOLDER / "notebooks"
    each = str(max(1, int(jobs) // len(STUDIES)))
    return [
        {"lint": ["-m", "ruff", "check", "."], "format": ["-m", "ruff", "format", "--check", "."]},
        {"types": ["-m", "mypy"], "tests": [*pytest, *workers, "worksteal", "tests"]},
        {"small notebooks": [".ci/small_notebooks.py", str(notebooks)]},
        # A worker takes whole notebooks, as their cells share a kernel.
        {"notebook cells": [*scopes, str(notebooks), "--ignore", str(notebooks / REPORT)]},
        {"report cells": [*pytest, *nbval, str(notebooks / REPORT)]}  # of the cell that has run
        | {
            name: ["-m", "bet", "study", profile, "--jobs", each, "--report"]
            for name, profile in STUDIES.items()
        },
    ]


def start(name: str, command: list[str]) -> subprocess.Popen:
    """The step, in its folders."""
    folder = FOLDER / STUDIES.get(name, "")
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | SETTINGS | {name: str(folder / part) for name, part in FOLDERS.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(process: subprocess.Popen) -> str:
    """All that the step prints, which is passed on as it comes."""
    lines = []
    with process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines)


def main() -> int:
    """Run all steps; 1 when one has failed."""
    started, counts = time.monotonic(), []
    shutil.rmtree(FOLDER, ignore_errors=True)
    for at_once in steps(sys.argv[1]):
        running = {name: start(name, command) for name, command in at_once.items()}
        for name, process in running.items():
            print(f"== {name}: python {' '.join(at_once[name])}", flush=True)
            output = output_of(process)
            minutes = f"{(time.monotonic() - started) / 60:.1f} minutes"
            if process.returncode:
                for other in running.values():
                    other.terminate()
                print(f"make test: FAILED in {name}, after {minutes}; its lines are above")
                return 1
            counts += [f"{number} {name}" for number in re.findall(r"^(\d+) passed", output, re.M)]
            counts += [f"{number} study cells" for number in re.findall(r"all (\d+) cells", output)]
    print(f"make test: passed: {', '.join(counts)} in {minutes}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("make test: stopped")
