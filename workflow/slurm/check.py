"""``make test-slurm``: the smoke study through Slurm on this machine, for real.

``one_node.sh`` starts Slurm; where it cannot, nothing is tested, which is no failure. The study
runs as jobs of Slurm; in the middle the grid and its Snakemake are killed (SIGKILL), which leaves
its jobs running, and the same command runs again to the end. Then the study runs without Slurm,
and every number of its records must be equal.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bet.errors import BetError
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import read_record

STUDY = "smoke"
NODE = Path(__file__).with_name("one_node.sh")
JOBS = 20  # Slurm decides how many run at once
EXECUTOR = [
    "--executor", "slurm",
    # Without accounting Slurm forgets jobs: squeue is asked, soon and often.
    "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "5",
    "--seconds-between-status-checks", "5",
]  # fmt: skip


def main() -> int:
    """The command; 1 where records differ or a cell has none."""
    try:
        if subprocess.run([NODE, "up"], check=False).returncode:
            print("make test-slurm: not run: Slurm cannot be started here, for the reason above")
            return 0
        with tempfile.TemporaryDirectory() as folder:
            return check(Path(folder))
    except BetError as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"error: {error}; its lines are above", file=sys.stderr)
    finally:
        subprocess.run([NODE, "down"], check=False)
    return 1


def check(folder: Path) -> int:
    """All steps, in ``folder``; the exit status."""
    cells = PROFILES[STUDY].cells
    on_slurm, here = folder / "slurm", folder / "here"
    kill_in_the_middle(on_slurm, len(cells))
    subprocess.run(study(JOBS, *EXECUTOR), env=environment(on_slurm), check=True)
    subprocess.run(study(os.cpu_count() or 1), env=environment(here), check=True)
    others = [cell.id for cell in cells if numbers(cell, on_slurm) != numbers(cell, here)]
    verdict = f"FAILED, other numbers in {', '.join(others)}" if others else "passed"
    print(f"make test-slurm: {verdict}: {len(cells) - len(others)} of {len(cells)} records equal")
    return int(bool(others))


def study(jobs: int, *options: str) -> list[str]:
    """The command."""
    return [sys.executable, "-m", "bet", "study", STUDY, "--jobs", str(jobs), *options]


def environment(results: Path) -> dict[str, str]:
    """Ours, with a folder of results."""
    return os.environ | {"BET_RESULTS": str(results)}


def kill_in_the_middle(results: Path, cells: int) -> None:
    """Start the study and kill it, its Snakemake included, once some of its cells are finished."""
    command = study(JOBS, *EXECUTOR)
    with subprocess.Popen(command, env=environment(results), start_new_session=True) as grid:
        while grid.poll() is None and finished(results) < cells // 4:
            time.sleep(1)
        if grid.poll() is not None:
            raise BetError(f"the grid ended by itself, status {grid.returncode}")
        os.killpg(grid.pid, signal.SIGKILL)
    print(f"== killed after {finished(results)} of {cells} cells; again", flush=True)


def finished(results: Path) -> int:
    """How many records there are."""
    return len(list((results / STUDY).glob("*.json")))


def numbers(cell: Cell, results: Path) -> dict:
    """What the record of ``cell`` says, without where and how fast it ran."""
    os.environ["BET_RESULTS"] = str(results)
    return {**msgspec.to_builtins(read_record(cell)), "run": None}


if __name__ == "__main__":
    sys.exit(main())
