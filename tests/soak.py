"""Damage and kills with fresh random seeds, for as long as you like: ``python -m tests.soak``.

Every round damages what is kept between runs (``damage.py``), kills writers in the middle of a
file, fills the disk, a small one of its own where it may mount one (``full_disk.py``), and stops a
grid by random signals to its processes (``grids.py``). A finding is printed with the seed of its
round; ``--seed`` repeats that round alone.
"""

import argparse
import contextlib
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from damage import check_damage, cut, flipped, keep
from full_disk import WORKS, disk, fill_a_grid, fill_and_grow, in_child
from grids import CELLS, Checkout, listen
from made_up import only_cells, smoke_cell

KILLS = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGSEGV", "SIGUSR1", "SIGALRM")
# Writes files of random length over and over until it is killed.
WRITER = """
import random, sys
from pathlib import Path
from bet.files import write_whole
while True:
    letter = random.choice("abcd")
    write_whole(Path(sys.argv[1]), letter.encode() * random.randrange(1, 10**6))
    print("written", flush=True)
"""
# The same command where no file may have more bytes than each of argv, 0 for any number.
LIMITED = """
import resource, sys
from bet.__main__ import main
for limit in map(int, sys.argv[1:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit or -1, resource.RLIM_INFINITY))
    status = main(["study", "smoke", "--cell", "tiny_lightgcn_80_su_s0"])
sys.exit(status)
"""


class Setting:
    """What the fixtures of the tests do with pytest's monkeypatch."""

    setitem = staticmethod(dict.__setitem__)


@contextlib.contextmanager
def folders(folder):
    """Results and cache below ``folder``."""
    before = dict(os.environ)
    for name in ("RESULTS", "CACHE"):
        os.environ[f"BET_{name}"] = str(folder / name.lower())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def damage_everything(folder, rng):
    """2,000 flipped bits and cuts: refused, made anew, or right."""
    cells = [smoke_cell("lightgcn", "80%", "su", int(seed)) for seed in rng.choice(99, 2, False)]
    with folders(folder):
        only_cells(Setting, cells)
        kept = keep(folder, cells)
        files = [path for path in kept.files if "cache" not in path.parts]
        expected = {path: kept.values(path) for path in files}
        for _ in range(2_000):
            path = files[rng.integers(len(files))]
            check_damage(kept, path, expected[path], flipped if rng.random() < 0.9 else cut, rng)
    return 2_000


def kill_writers(folder, rng):
    """20 writers of one file, killed at random times: the file is whole, and nothing stays."""
    path = folder / "file"
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            command = [sys.executable, "-c", WRITER, str(path)]
            writers = [
                stack.enter_context(
                    subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=listen)
                )
                for _ in range(2)
            ]
            for writer in writers:
                writer.stdout.readline()
            time.sleep(rng.random() * 0.2)
            for writer in writers:
                writer.send_signal(getattr(signal, rng.choice(KILLS)))
                writer.wait()
        content = path.read_bytes()
        assert content == content[:1] * len(content), "a torn file"
    from bet.files import write_whole

    write_whole(path, b"")
    assert [entry.name for entry in folder.iterdir()] == ["file"], "leftovers"
    return 20


def fill_the_disk(folder, rng):
    """A cell where files may have few bytes, then more, then any number."""
    limits = [*sorted(rng.integers(1, 30_000, 3).tolist()), 0]
    with folders(folder):
        run = subprocess.run(
            [sys.executable, "-c", LIMITED, *map(str, limits)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0 and "Traceback" not in run.stderr, run.stderr
    for line in run.stderr.splitlines():
        assert not line.startswith("error") or "full; it needs" in line, line
    assert (folder / "results" / "smoke" / "tiny_lightgcn_80_su_s0.json").is_file()
    return len(limits) - 1


def fill_a_small_disk(folder, rng):
    """Every command of ``full_disk.py`` three times, and a grid, on disks that get full."""
    full = 0
    for make in [*WORKS.values()] * 3:
        with disk() as mounted:
            if mounted is None:
                print("  no disk of its own: this process may not mount one", flush=True)
                return 0
            with folders(mounted.folder):
                full += fill_and_grow(mounted, make(mounted.folder, rng), rng, in_child)
    with disk() as mounted:
        return full + fill_a_grid(mounted, rng)


def kill_a_grid(folder, rng):
    """A random process by a random signal, twice; then the same command finishes."""
    checkout = Checkout.make(folder / "checkout")
    for _ in range(2):
        with checkout.hold(*CELLS), checkout.start() as grid:
            roles = checkout.by_role(grid)
            victims = rng.permutation(list(roles))
            # A killed cell or kernel leaves the grid to the other cell: that one follows.
            for who in victims:
                kill = getattr(signal, rng.choice([*KILLS, "SIGINT"]))
                if who in ("notebook", "kernel", "cell") and kill == signal.SIGINT:
                    kill = signal.SIGKILL  # an interrupt is no death there
                print(f"  {kill.name} to the {who}", flush=True)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(roles[who], kill)
                if who in ("launcher", "snakemake"):
                    break
            started = time.monotonic()
            checkout.output(grid)
            seconds = time.monotonic() - started
            print(f"  nothing runs after {seconds:.1f} s", flush=True)
    with checkout.start() as grid:
        output = checkout.output(grid)
    assert grid.returncode == 0 and "all 2 cells finished" in output, output
    assert not list(checkout.folder.rglob(".bet-*")), "leftovers"
    return 2


TRIALS = (damage_everything, kill_writers, fill_the_disk, kill_a_grid, fill_a_small_disk)
NAMES = [trial.__name__ for trial in TRIALS]


def run_round(seed, names, counts):
    """The trials of these names, each once; how many findings there were."""
    findings = 0
    for number, trial in enumerate(TRIALS):
        if trial.__name__ not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="soak") as folder:
            try:
                counts[trial.__name__] += trial(Path(folder), np.random.default_rng([seed, number]))
            except Exception:
                findings += 1
                print(f"FINDING in {trial.__name__}, --seed {seed}", flush=True)
                traceback.print_exc()
    return findings


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, help="repeat the round of this seed, and no other")
    parser.add_argument("--trial", nargs="+", choices=NAMES, default=NAMES, help="(default: all)")
    options = parser.parse_args()
    logging.getLogger("bet").setLevel(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ends, findings, counts = time.monotonic() + 60 * options.minutes, 0, Counter()
    while True:
        seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4))
        findings += run_round(seed, options.trial, counts)
        done = ", ".join(f"{name} {count}" for name, count in counts.items())
        print(f"seed {seed}: {findings} findings so far; {done}", flush=True)
        if options.seed is not None or time.monotonic() > ends:
            return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
