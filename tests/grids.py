"""A grid of two real cells that wait until they are told to go on, and its processes: what the
tests and the soak kill.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bet.files import locked

ROOT = Path(__file__).resolve().parent.parent
SMOKE = (ROOT / "workflow" / "studies" / "smoke.toml").read_text().partition("[[grids]]")[0]
STUDY = (
    SMOKE
    + """
[[grids]]
dataset = "tiny"
backbones = ["lightgcn"]
budgets = ["80%"]
methods = ["bet", "su"]
"""
)
# The first one runs as a notebook, in a kernel; the other one in the process of its job.
NOTEBOOK, PLAIN = CELLS = ("tiny_lightgcn_80_bet_s0", "tiny_lightgcn_80_su_s0")


def listen():
    """Let signals have their usual effect even where the tests run in the background, which ignores
    some.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True)
class Checkout:
    """A folder that looks like a checkout, with a study of ``CELLS``."""

    folder: Path

    @classmethod
    def make(cls, folder):
        folder = folder.resolve()
        for name in ("workflow", "notebooks"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / "pair.toml").write_text(STUDY)
        return cls(folder)

    @property
    def results(self):
        return self.folder / "results" / "pair"

    @contextmanager
    def start(self):
        """The grid, in a session of its own: what reaches it reaches nobody else."""
        folders = {f"BET_{name}": str(self.folder / name.lower()) for name in ("RESULTS", "CACHE")}
        with subprocess.Popen(
            [sys.executable, "-m", "bet", "study", "pair.toml", "--jobs", "2"],
            cwd=self.folder,
            env=os.environ | folders,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=listen,
        ) as grid:
            try:
                yield grid
            except BaseException:
                grid.kill()  # its cells may wait for us
                raise

    def record(self, cell):
        return self.results / f"{cell}.json"

    def hold(self, *cells):
        """A context in which these cells get no further than the lock of their work."""
        stack = ExitStack()
        for cell in cells:
            stack.enter_context(locked(self.work(cell)))
        return stack

    def work(self, cell):
        return self.folder / "cache" / "work" / f"pair-{cell}"

    def processes(self):
        """Command line by number, of all that work in this folder, but not this process."""
        found = {}
        for number in map(int, filter(str.isdecimal, os.listdir("/proc"))):
            try:
                inside = Path(os.readlink(f"/proc/{number}/cwd")).is_relative_to(self.folder)
                if inside and number != os.getpid():
                    command = Path(f"/proc/{number}/cmdline").read_bytes()
                    found[number] = command.replace(b"\0", b" ").decode()
            except OSError:  # it has ended, or is not ours
                continue
        return found

    def waiting(self, cell):
        """The process that waits for the lock of ``cell``'s work; None as long as none does."""
        lock = f"{self.work(cell)}.lock"
        for number in self.processes():
            with suppress(OSError):  # it has ended, or closed a file
                for name in os.listdir(f"/proc/{number}/fd"):
                    if os.readlink(f"/proc/{number}/fd/{name}") == lock:
                        return number
        return None

    def by_role(self, launcher):
        """The processes of a grid whose open cells, the plain one among them, all wait, by what
        they are.
        """
        open_cells = [cell for cell in CELLS if not self.record(cell).exists()]
        while not all(map(self.waiting, open_cells)):
            assert launcher.poll() is None, launcher.stdout.read()
            time.sleep(0.1)
        (snakemake,) = (n for n, text in self.processes().items() if "-m snakemake" in text)
        roles = {"launcher": launcher.pid, "snakemake": snakemake, "cell": self.waiting(PLAIN)}
        if kernel := self.waiting(NOTEBOOK):
            parent = Path(f"/proc/{kernel}/stat").read_text().rpartition(")")[2].split()[1]
            roles |= {"kernel": kernel, "notebook": int(parent)}
        return roles

    def output(self, launcher):
        """What the grid still says, when nothing of it runs any more."""
        while self.processes():
            time.sleep(0.1)
        text = launcher.stdout.read()
        launcher.wait()
        return text
