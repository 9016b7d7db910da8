"""A real disk that gets full: a small tmpfs as the folder of results, cache and outputs, which the
tests and the soak fill up and then let grow.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from example_vectors import as_arrays, both_sides
from grids import CELLS, Checkout
from made_up import smoke_cell

from bet.__main__ import main
from bet.data import planted
from bet.errors import BetError
from bet.files import write_whole
from bet.packed import layout_of, load, write_packed
from bet.study import bundle
from bet.study.record import Record, read_record_file
from bet.study.run import run_cell

PAGE = 4096  # bytes, of which a tmpfs gives no part
ROOM = "size=256m,nr_inodes=100k"
CELL = "tiny_lightgcn_80_su_s0"
FORMS = ("npy", "npy16", "faiss", "torch")
MESSAGE = re.compile(
    r"cannot write (.+?): the disk or the quota is full; it needs .* free in (.+?)[,;] .*again"
)


@dataclass(frozen=True)
class Disk:
    """A mounted file system; ``folder`` is its root."""

    folder: Path

    @property
    def used(self):
        """Bytes."""
        space = os.statvfs(self.folder)
        return (space.f_blocks - space.f_bfree) * space.f_frsize

    @property
    def files(self):
        """How many files and folders there are."""
        space = os.statvfs(self.folder)
        return space.f_files - space.f_ffree

    def leave(self, pages):
        """Let so many pages be free."""
        self._remount(f"size={self.used + pages * PAGE}")

    def leave_files(self, count):
        """Let there be room for so many files and folders more."""
        self._remount(f"nr_inodes={self.files + count}")

    def grow(self):
        """Let nothing be full."""
        self._remount(ROOM)

    def _remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)


@contextlib.contextmanager
def disk():
    """A ``Disk`` with room, unmounted at the end; None where this process may not mount."""
    with tempfile.TemporaryDirectory(prefix="disk") as folder:
        command = ["mount", "-t", "tmpfs", "-o", ROOM, "tmpfs", folder]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            mounted = False
        if not mounted:
            yield None
            return
        try:
            yield Disk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass(frozen=True)
class Work:
    """A command on a disk: ``run`` prints its errors and returns 0 or 1; ``out``: the folder that
    it writes to; ``check``: that what a finished one left there is right; ``pages``: that it takes,
    about. ``last``: a file that is written when the others of ``out`` have their place.
    """

    run: Callable[[], int]
    out: Path
    check: Callable[[], None]
    pages: int
    last: str = ""

    def check_unchanged(self, before):
        """What a failed one left there is what was there, or all but the last file."""
        now = content(self.out)
        if now != before:
            assert self.last and not (self.out / self.last).exists(), "half-written"
            assert all(now[path] != before.get(path) for path in now), "half-written"


def cell_work(folder, rng):
    """A cell, with its cache."""
    path = folder / "results" / "smoke" / f"{CELL}.json"

    def check():
        assert read_record_file(path, Record).cell_id == CELL
        assert len(bundle.read_results("smoke", path.parent).records) == 1

    return Work(lambda: main(["study", "smoke", "--cell", CELL]), folder / "out", check, 12)


def bundle_work(folder, rng):
    """The bundle of two cells where that of one stands: the old one or the new one."""
    results, out = folder / "results" / "smoke", folder / "out"
    run_cell(smoke_cell("lightgcn", "80%", "su", 0))
    bundle.write(bundle.read_results("smoke", results), out)
    run_cell(smoke_cell("lightgcn", "80%", "powerlaw", 0))

    def run():
        try:
            bundle.write(bundle.load("smoke", results, out), out)
        except BetError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    def check():
        assert len(bundle.read_bundle("smoke", bundle.reader(out)).records) == 2

    return Work(run, out, check, 6)


def table_work(folder, rng):
    """``bet table``: a file and its ids together, then its page, in the place of earlier ones."""
    data, out = folder / "data.csv", folder / "out" / "table"
    page = out.with_name("table.html")
    users, items = planted().matrix.nonzero()
    lines = [f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)]
    data.write_text("user,item\n" + "".join(lines))
    words = ["--epochs", "1", "--l2", "0.3", "--learning-rate", "0.03", "--minutes", "0.01"]
    command = ["table", "--data", str(data), "--budget", "9 B/entity", "--out", str(out), *words]
    for name in ("table", "table.ids", page.name):
        write_whole(out.with_name(name), b"of an earlier file")

    def check():
        assert load(out).ids.user_rows.keys() == {f"u{u}" for u in users}
        assert page.read_text().endswith("</html>")

    return Work(lambda: main(command), out.parent, check, 60, page.name)


def export_work(folder, rng):
    """Vectors for another tool."""
    n, form = int(rng.integers(100, 5_000)), str(rng.choice(FORMS))
    values = rng.standard_normal((n, 1, 8)).astype("f4")
    layout = replace(layout_of(np.full(n, 8), 4, n // 2), file_kind="vectors")
    ids = [f"u{i}" for i in range(n // 2)], [f"i{i}" for i in range(n - n // 2)]
    write_packed(folder / "vectors", layout, values, ids)
    out = folder / "out" / "export"

    def check():
        assert (out / "user_ids.json").is_file() and (out / "item_ids.json").is_file()
        if form == "npy":
            assert sum(len(np.load(out / f"{side}.npy")) for side in ("users", "items")) == n

    command = ["export", str(folder / "vectors"), "--to", form, "--out", str(out)]
    return Work(lambda: main(command), out.parent, check, n // 60 + 4)


def pack_work(folder, rng):
    """Vectors of one's own, with ids beside them."""
    as_arrays(folder / "vectors", both_sides())
    out = folder / "out" / "packed"
    command = ["pack", "--budget", "40 B/entity", "--out", str(out)]
    for side in ("users", "items"):
        command += [f"--{side}", str(folder / "vectors" / f"{side}.npy")]
    return Work(lambda: main(command), out.parent, lambda: load(out).ids.user_rows["0"], 6)


WORKS = {"cell": cell_work, "bundle": bundle_work, "table": table_work}
WORKS |= {"export": export_work, "pack": pack_work}


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill_and_grow(disk, work, rng, run):
    """Let the disk of ``work`` be full at three random places, then grow; how often it was full.

    run: calls what it is given; its exit status and what it wrote to stderr.
    """
    failed, before = 0, content(work.out)
    for _ in range(3):
        if rng.random() < 0.7:
            disk.leave(int(np.exp(rng.uniform(0, np.log(work.pages)))))
        else:
            disk.leave_files(rng.integers(0, 6))
        status, said = run(work.run)
        if status == 0:
            break
        check_full(status, said, disk)
        work.check_unchanged(before)
        failed += 1
        disk.grow()
    disk.grow()
    status, said = run(work.run)
    assert status == 0, said
    work.check()
    return failed


def check_full(status, said, disk):
    """One message names the file and the room; nothing private stays."""
    errors = [line for line in said.splitlines() if line.startswith("error")]
    assert status == 1 and "Traceback" not in said, (status, said)
    assert len(errors) == 1, said
    full = MESSAGE.search(errors[0])
    assert full and ".bet-" not in errors[0], errors
    for path in full.groups():
        assert Path(path).is_relative_to(disk.folder), errors
    check_nothing_private(disk.folder)


def check_nothing_private(folder):
    assert not list(folder.rglob(".bet-*")), "leftovers"


def in_child(function):
    """Exit status and stderr of ``function`` in a process of its own, which may die."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(said.fileno(), 2)
                status = function()
                sys.stderr.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode()


def fill_a_grid(disk, rng):
    """A grid of two cells, one of them a notebook, twice on a disk that gets full; then it ends."""
    checkout = Checkout.make(disk.folder / "checkout")
    failed = 0
    for _ in range(2):
        disk.leave(int(rng.integers(0, 120)))
        with checkout.start() as grid:
            output = checkout.output(grid)
        if grid.returncode == 0:
            break
        assert "full; it needs" in output and "Traceback" not in output, output
        failed += 1
        disk.grow()
        check_nothing_private(disk.folder)
    disk.grow()
    with checkout.start() as grid:
        output = checkout.output(grid)
    assert grid.returncode == 0 and "all 2 cells finished" in output, output
    for cell in CELLS:
        assert read_record_file(checkout.record(cell), Record).cell_id == cell
    check_nothing_private(disk.folder)
    return failed
