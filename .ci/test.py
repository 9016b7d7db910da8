"""What `make test` runs, one step after the other: test.py JOBS. Its last line is the verdict.

The first step that fails ends it and is named in that line. Nothing has a time limit: a busy
machine is slow, not wrong. The smoke study runs in folders of its own: nothing committed is
overwritten, nothing finished is reused.
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


def steps(jobs: str) -> dict[str, list[str]]:
    """Arguments of ``python`` by the name of the step."""
    pytest = ["-m", "pytest", "-q", "-p", "no:randomly"]
    nbval = ["--nbval-lax", "--nbval-current-env"]
    nbval += ["--nbval-cell-timeout", UNLIMITED, "--nbval-kernel-startup-timeout", UNLIMITED]
    return {
        "lint": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "types": ["-m", "mypy"],
        "tests": [*pytest, "-n", jobs, "--maxprocesses", "8", "tests"],
        "small notebooks": [".ci/small_notebooks.py", str(FOLDER / "notebooks")],
        "notebook cells": [*pytest, *nbval, str(FOLDER / "notebooks")],
        "smoke study": ["-m", "bet", "study", "smoke", "--jobs", jobs, "--report"],
        "streams smoke": ["-m", "bet", "study", "stream-smoke", "--jobs", jobs, "--report"],
    }


def run(command: list[str]) -> tuple[int, str]:
    """Exit status and output, which is passed on as it comes."""
    environment = os.environ | {name: str(FOLDER / part) for name, part in FOLDERS.items()}
    lines = []
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


def main() -> int:
    """Run all steps; 1 when one has failed."""
    started, counts = time.monotonic(), []
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, command in steps(sys.argv[1]).items():
        print(f"== {name}: python {' '.join(command)}", flush=True)
        if name == "smoke study":
            shutil.rmtree(FOLDER)  # the notebooks have finished a cell there
        status, output = run(command)
        minutes = f"{(time.monotonic() - started) / 60:.1f} minutes"
        if status:
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
