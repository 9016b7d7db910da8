"""Whichever process of a grid is killed: soon nothing of it runs, and the same command continues."""

import os
import signal

from grids import CELLS, NOTEBOOK, Checkout

from bet.study.profiles import PROFILES
from bet.study.record import read_record_file
from bet.study.run import run_cell


def test_a_grid_survives_the_death_of_each_of_its_processes(tmp_path, monkeypatch):
    """One history, since every start of the grid takes seconds."""
    checkout = Checkout.make(tmp_path / "checkout")
    ends = {"launcher": (signal.SIGKILL, -9), "snakemake": (signal.SIGTERM, 1)}
    ends |= {"launcher, as by Ctrl-C": (signal.SIGINT, 130)}
    for who, (kill, status) in ends.items():
        with checkout.hold(), checkout.start() as grid:
            os.kill(checkout.by_role(grid)[who.split(",")[0]], kill)
            checkout.wait_until_nothing_runs()
            output = grid.stdout.read()
        assert grid.returncode == status, (who, output)
        assert not list(checkout.results.glob("*.json")) and "finished" not in output

    with checkout.hold(), checkout.start() as grid:
        roles = checkout.by_role(grid)
        os.kill(roles["kernel"], signal.SIGKILL)
        while f"FAILED {NOTEBOOK}" not in grid.stdout.readline():
            assert grid.poll() is None, "the grid goes on without the cell"
        os.kill(roles["cell"], signal.SIGKILL)
        checkout.wait_until_nothing_runs()
        output = grid.stdout.read()
    assert grid.returncode == 1 and "2 of 2 cells have no result" in output
    for cell in CELLS:
        assert f"FAILED {cell}  see " in output

    with checkout.start() as grid:
        output = grid.stdout.read()
    assert grid.returncode == 0 and "all 2 cells finished" in output, output
    assert not [path for path in checkout.folder.rglob(".bet-*")], "what the dead left"
    same_as_undisturbed(checkout, monkeypatch, tmp_path)


def same_as_undisturbed(checkout, monkeypatch, folder):
    """The records of the grid equal those of cells that nobody stopped."""
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(folder / name.lower()))
    for cell in PROFILES["smoke"].cells:
        if cell.id in CELLS:
            first = read_record_file(checkout.results / f"{cell.id}.json")
            again = run_cell(cell)
            assert first.per_user_digest == again.per_user_digest
            assert first.metrics == again.metrics and first.search == again.search
