"""Run all cells of a profile through Snakemake: ``python -m bet.study.grid PROFILE [--jobs N]
[snakemake options]``.

Finished cells are not run again; a run that was interrupted, even by kill -9, continues when it is
started again.
"""

import argparse
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bet.errors import BetError
from bet.paths import project_root, results_dir
from bet.study.profiles import PROFILES


def run_grid(profile: str, jobs: int, options: Sequence[str] = ()) -> list[str]:
    """Run the unfinished cells of ``profile``, ``jobs`` at once, and return the ids of those
    without a record after it.

    options: further arguments for Snakemake, for example ``["--executor", "slurm"]``. Raises
    BetError when Snakemake is absent, this is not a checkout, or a grid runs already in the same
    results folder.
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
    with _only_grid_in(results):
        # Snakemake's own lock survives a kill; ours does not, so whatever lock is there now is a
        # dead one's.
        _run([*command, "--unlock", "--quiet", "all"])
        _run([*command, "--jobs", str(jobs), *options])
    return missing(profile)


# What Snakemake says besides "3 of 9 steps done" and its errors; all of it stays in
# results/.snakemake/log.
_CHATTER = re.compile(
    r"Select jobs|Execute \d+ jobs|\[\w{3} \w{3} |Finished jobid|Using (shell|profile)|Provided cores|Rules claiming"
    r"|Assuming|Building DAG|Job stats|job +count|-{5,}|(cell|all|total) +\d+$|Unlock|Complete log|Elapsed time|$"
)


def _run(command: Sequence[str]) -> None:
    """Run Snakemake and pass on what matters; after Ctrl-C wait until it has stopped its cells and
    cleaned up.
    """
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if not _CHATTER.match(line):
                    print(line, end="", flush=True)
        except KeyboardInterrupt:
            process.communicate()
            raise


def missing(profile: str) -> list[str]:
    """Ids of the cells of ``profile`` that have no record."""
    folder = results_dir() / profile
    return [
        cell.id for cell in PROFILES[profile].cells if not (folder / f"{cell.id}.json").is_file()
    ]


@contextmanager
def _only_grid_in(results: Path) -> Iterator[None]:
    """Hold the results folder's lock; Python does not hand it down to children, so orphaned cells
    do not hold it.
    """
    results.mkdir(parents=True, exist_ok=True)
    with open(results / ".grid.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BetError(
                f"a grid runs in {results} already; wait, or set BET_RESULTS to another folder"
            ) from None
        yield


def _report_missing(profile: str, cells: Sequence[str]) -> int:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every cell has a record, 1 when some failed, 2 when the grid could
    not run.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bet.study.grid", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("profile", choices=sorted(PROFILES))
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="cells at once (default: one per core)",
    )
    parser.add_argument(
        "--check", action="store_true", help="run nothing, only name the cells without a result"
    )
    known, options = parser.parse_known_args(arguments)
    try:
        cells = (
            missing(known.profile) if known.check else run_grid(known.profile, known.jobs, options)
        )
    except BetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; start it again to continue", file=sys.stderr)
        return 130
    return _report_missing(known.profile, cells)


if __name__ == "__main__":
    raise SystemExit(main())
