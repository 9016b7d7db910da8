"""A real disk that is full: what is written there is whole or not there, one line says what it
needs, and with more room the same command ends.
"""

from dataclasses import replace

import numpy as np
import pytest
from full_disk import WORKS, disk, fill_and_grow
from made_up import smoke_cell

from bet.__main__ import main
from bet.errors import BetError
from bet.packed import layout_of, write_packed
from bet.study import job

SEED = 20
SKIPPED = "this process may not mount a disk of its own"


@pytest.fixture
def mounted():
    with disk() as small:
        if small is None:
            pytest.skip(SKIPPED)
        yield small


@pytest.mark.parametrize("name", WORKS)
def test_a_full_disk_leaves_nothing_half_written_and_the_same_command_ends(
    name, mounted, monkeypatch, capfd
):
    for folder in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{folder}", str(mounted.folder / folder.lower()))

    def run(work):
        capfd.readouterr()
        return work(), capfd.readouterr().err

    rng = np.random.default_rng(SEED)
    assert fill_and_grow(mounted, WORKS[name](mounted.folder, rng), rng, run)


def test_a_log_that_is_full_hides_no_error(mounted, monkeypatch, capsys):
    for folder in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{folder}", str(mounted.folder / folder.lower()))

    def run(cell, **options):
        with (
            pytest.raises(OSError, match="No space left"),
            open(mounted.folder / "a", "wb") as file,
        ):
            file.write(bytes(2**20))
        raise BetError("cannot write it: the disk is full")

    monkeypatch.setattr(job, "run_and_describe", run)
    mounted.leave(4)
    assert job.run_logged([smoke_cell("lightgcn", "80%", "su")]) == 1
    assert "error: cannot write" in capsys.readouterr().out


def test_no_full_disk_kills_an_export(mounted, capfd):
    """Written through a mapping, it would die of a signal where the pages end."""
    vectors, out = mounted.folder / "vectors", mounted.folder / "out"
    layout = replace(layout_of(np.full(5_000, 8), 4, 2_500), file_kind="vectors")
    write_packed(vectors, layout, np.ones((5_000, 1, 8), np.float32))
    mounted.leave(10)  # of twenty pages for each side
    assert main(["export", str(vectors), "--to", "npy", "--out", str(out)]) == 1
    assert f"cannot write {out / 'users.npy'}: the disk" in capfd.readouterr().err
    assert not out.exists()
