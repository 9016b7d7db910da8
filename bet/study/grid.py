"""All cells of a study through Snakemake.

Finished cells are not run again; a run that was interrupted, even by kill -9, continues when it is
started again.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bet.errors import BetError
from bet.files import locked
from bet.paths import project_root, results_dir
from bet.process import PARENT
from bet.study.estimate import in_words, seconds_left
from bet.study.finished import is_finished, is_stale
from bet.study.profiles import PROFILES


def run_grid(
    profile: str,
    jobs: int,
    options: Sequence[str] = (),
    recorded: Mapping[str, float] | None = None,
) -> list[str]:
    """Run the unfinished cells of ``profile``, ``jobs`` at once, and return the ids of those
    without a record of today's settings after it.

    options: further arguments for Snakemake, for example ``["--executor", "slurm"]``. recorded:
    seconds that cells took before, for an estimate of what is left. Raises BetError when Snakemake
    is absent, this is not a checkout, or a grid runs already in the same results folder.
    """
    if find_spec("snakemake") is None:
        raise BetError("the grid needs the study packages: pip install 'bet[study]'")
    workflow = project_root() / "workflow"
    if not (workflow / "Snakefile").is_file():
        raise BetError(
            f"no {workflow / 'Snakefile'}: run the grid inside a checkout of the project"
        )
    results = results_dir().resolve()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow / "Snakefile")]
    command += ["--directory", str(results), "--profile", str(workflow / "profiles" / "local")]
    command += ["--config", f"profile={profile}"]
    progress = _Progress(profile, jobs, recorded or {})
    with _only_grid_in(results):
        # Snakemake says nothing for its first 10 to 30 seconds.
        print(f"{progress.total} cells, {len(progress.left)} to run; starting", flush=True)
        # Snakemake's own lock would survive a kill; ours does not.
        command += ["--nolock", "--jobs", str(jobs), *options]
        status = _run([*command, *_forced(profile)], progress)
    if status and not progress.finished:
        free = shutil.disk_usage(results).free
        raise BetError(
            f"Snakemake ended with status {status} before any cell; see its lines above "
            f"({free:,} bytes are free in {results})"
        )
    return missing(profile)


# What Snakemake says besides its errors; all of it stays in results/.snakemake/log.
_CHATTER = re.compile(
    r"Select jobs|Execute \d+ jobs|\[\w{3} \w{3} |Finished jobid|Using (shell|profile)"
    r"|Provided cores|Rules claiming|Assuming|Building DAG|Job stats|job +count|-{5,}"
    r"|(job_\d+|all|total) +\d+$"
    r"|Complete log|Elapsed time|Nothing to be done|\d+ of \d+ steps"
    r"|Cannot restore .* no backup found|No (SLURM )?account |Unable to guess SLURM account|$"
)


_JOB_ENDED = re.compile(r"(?:Finished jobid: .*\(Rule: |Error in rule )job_(\d+)")


class _Progress:
    """Adds to every finished cell how many are finished and about how long the others take."""

    def __init__(self, profile: str, jobs: int, recorded: Mapping[str, float]):
        self.job_cells = PROFILES[profile].jobs()
        self.total = len(PROFILES[profile].cells)
        self.jobs, self.recorded = jobs, recorded
        self.left, self.finished = set(missing(profile)), set[str]()
        self.started = time.monotonic()

    def complete(self, line: str) -> str:
        """``line``, a job's "start ID", "done ID ... s" or "FAILED ID" or anything else."""
        event, cell, *_ = [*line.split(), "", ""]
        if event not in ("done", "FAILED"):
            return line
        self.left.discard(cell)
        self.finished.add(cell)
        if event == "FAILED":
            return line
        text = f"{line.rstrip()}  ({self.total - len(self.left)} of {self.total} cells"
        if self.left:
            elapsed = time.monotonic() - self.started
            seconds = seconds_left(elapsed, self.finished, self.left, self.recorded, self.jobs)
            if seconds is not None:
                text += f", about {in_words(seconds)} left"
        return f"{text})\n"

    def of_job(self, line: str) -> Iterator[str]:
        """Where ``line`` says that a job has ended, a line for each of its cells that has said
        nothing itself: what jobs print elsewhere, on a cluster, does not arrive here.
        """
        if ended := _JOB_ENDED.match(line):
            for cell in self.job_cells[int(ended[1])]:
                if cell.id in self.left:
                    event = "done  " if is_finished(cell) else "FAILED"
                    yield self.complete(f"{event} {cell.id}\n")


def _run(command: Sequence[str], progress: _Progress) -> int:
    """Run Snakemake, pass on what matters and return its status; after Ctrl-C wait until it has
    stopped its cells and cleaned up.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {PARENT: str(os.getpid())},
        start_new_session=True,  # a terminal's Ctrl-C reaches us only, who pass it on once
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(*progress.of_job(line), sep="", end="", flush=True)
                if not _CHATTER.match(line):
                    print(progress.complete(line), end="", flush=True)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # and it interrupts its cells (Snakefile)
            process.communicate()
            raise
    return process.returncode


def missing(profile: str) -> list[str]:
    """Ids of the cells of ``profile`` that have no record of today's settings."""
    return [cell.id for cell in PROFILES[profile].cells if not is_finished(cell)]


def _forced(profile: str) -> list[str]:
    """Arguments that make Snakemake run the jobs of records of other settings again: it knows the
    settings only of those that it made itself.
    """
    jobs = enumerate(PROFILES[profile].jobs())
    names = [f"job_{number}" for number, cells in jobs if any(map(is_stale, cells))]
    return ["--forcerun", *names] if names else []


@contextmanager
def _only_grid_in(results: Path) -> Iterator[None]:
    """Hold the results folder's lock; Python does not hand it down to children, so orphaned cells
    do not hold it.
    """
    with locked(results / ".grid", wait=False) as is_only:
        if not is_only:
            raise BetError(
                f"a grid runs in {results} already; wait, or set BET_RESULTS to another folder"
            )
        yield


def report_missing(profile: str, cells: Sequence[str]) -> int:
    """Name the cells without a record on stderr; 1 if there are any."""
    total = len(PROFILES[profile].cells)
    if not cells:
        print(f"profile {profile}: all {total} cells finished")
        return 0
    print(f"profile {profile}: {len(cells)} of {total} cells have no result:", file=sys.stderr)
    logs = Path(os.path.relpath(results_dir() / profile / "logs"))
    for cell in cells:
        started = (logs / f"{cell}.txt").is_file()
        print(
            f"  FAILED {cell}  see {logs / cell}.txt and .ipynb"
            if started
            else f"  not run {cell}",
            file=sys.stderr,
        )
    return 1
