"""The grid itself: whoever of it is killed, soon nothing of it runs; what failed is named and stops
no other cell; the same command continues, and what is finished is not run again.
"""

import os
import shutil
import signal
from pathlib import Path

import msgspec
import pytest
from grids import CELLS, NOTEBOOK, PLAIN, Checkout

from bet.__main__ import main
from bet.study import bundle
from bet.study.estimate import in_words, recorded_seconds, seconds_left
from bet.study.grid import _only_grid_in
from bet.study.profiles import PROFILES
from bet.study.record import Record, read_record_file, write_record
from bet.study.run import run_cell

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a checkout, with its own results; we are in it."""
    made = Checkout.make(tmp_path / "checkout")
    monkeypatch.chdir(made.folder)
    monkeypatch.delenv("BET_RESULTS", raising=False)
    return made


def test_a_grid_survives_the_death_of_each_of_its_processes(checkout, monkeypatch, tmp_path):
    """One history, since every start of the grid takes seconds."""
    with checkout.hold(*CELLS), checkout.start() as grid:
        roles = checkout.by_role(grid)
        os.kill(roles["kernel"], signal.SIGKILL)
        while f"FAILED {NOTEBOOK}" not in grid.stdout.readline():
            assert grid.poll() is None, "the grid goes on without the cell"
        os.kill(roles["cell"], signal.SIGKILL)
        output = checkout.output(grid)
    assert grid.returncode == 1 and "2 of 2 cells have no result" in output
    for cell in CELLS:
        assert f"FAILED {cell}  see results/pair/logs/{cell}.txt and .ipynb" in output
        assert (checkout.results / "logs" / f"{cell}.txt").is_file()

    with checkout.hold(PLAIN), checkout.start() as grid:
        while f"done   {NOTEBOOK}" not in (line := grid.stdout.readline()):
            assert grid.poll() is None, "the grid ended before the cell"
        assert "s  (1 of 2 cells, about" in line
        os.kill(checkout.by_role(grid)["snakemake"], signal.SIGTERM)
        assert "1 of 2 cells have no result" in checkout.output(grid) and grid.returncode == 1

    for kill, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        with checkout.hold(PLAIN), checkout.start() as grid:
            os.kill(checkout.by_role(grid)["launcher"], kill)
            assert checkout.output(grid).startswith("2 cells, 1 to run; starting\n")
        assert grid.returncode == status and not checkout.record(PLAIN).exists()

    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    undisturbed = {cell.id: run_cell(cell) for cell in PROFILES["smoke"].cells if cell.id in CELLS}
    # A record of other settings, as a restored one may be, is run again; the other one is not.
    old = msgspec.structs.replace(undisturbed[PLAIN], key="0" * 16)
    write_record(checkout.record(PLAIN), old, bundle.EMPTY)
    before = checkout.record(NOTEBOOK).read_bytes()
    with checkout.start() as grid:
        output = checkout.output(grid)
    assert grid.returncode == 0 and output.startswith("2 cells, 1 to run; starting\n"), output
    assert "(2 of 2 cells)" in output and "all 2 cells finished" in output
    assert "steps" not in output and checkout.record(NOTEBOOK).read_bytes() == before
    assert not list(checkout.folder.rglob(".bet-*")), "what the dead left"
    for cell, expected in undisturbed.items():
        record = read_record_file(checkout.record(cell), Record)
        assert record.per_user_digest == expected.per_user_digest
        assert (record.metrics, record.search) == (expected.metrics, expected.search)


def test_second_grid_in_the_same_folder_is_refused(checkout, capsys):
    with _only_grid_in(checkout.folder / "results"):
        assert main(["study", "smoke"]) == 1
    assert "a grid runs in" in capsys.readouterr().err


def test_outside_a_checkout_the_grid_is_refused(checkout, capsys):
    for name in ("workflow", "notebooks"):
        shutil.rmtree(checkout.folder / name)
    assert main(["study", "smoke"]) == 1
    shown = capsys.readouterr()
    assert "inside a checkout" in shown.err and shown.out == ""
    assert main(["report", "smoke"]) == 1
    assert "report.ipynb: run it inside a checkout of the project" in capsys.readouterr().err
    assert not (checkout.folder / "reports").exists()


def test_a_workflow_that_cannot_start_is_an_error(checkout, capfd):
    (checkout.folder / "workflow" / "Snakefile").write_text("rule broken\n")
    assert main(["study", "smoke"]) == 1
    assert "before any cell" in capfd.readouterr().err


def test_what_is_left_follows_the_records_first_and_the_clock_later(tmp_path):
    recorded = {"a": 6.0, "b": 56.0, "c": 6.0}  # and 4 seconds to start each
    assert seconds_left(10.0, ["a"], ["b", "c"], recorded) == 70.0, (
        "as fast as the records' machine"
    )
    slow = seconds_left(10_000.0, ["a", "b"], ["c"], recorded)
    assert 700 < slow < 10 / 70 * 10_000, "mostly what the others took"
    assert seconds_left(5.0, ["a"], ["b", "new"], recorded) == seconds_left(
        5.0, ["a"], ["b", "new"], recorded | {"new": 68 / 3}
    )
    assert seconds_left(5.0, [], ["b"], {}) is None and seconds_left(5.0, [], ["b"], recorded) > 0
    assert [in_words(s) for s in (50.2, 119, 240, 9_000)] == ["50 s", "119 s", "4 min", "2.5 h"]
    (tmp_path / "damaged.jsonl").write_text('{"cell_id": "a"}\n[')
    assert recorded_seconds(tmp_path / "damaged.jsonl") == {} == recorded_seconds(tmp_path / "none")
    committed = recorded_seconds(ROOT / "reports" / "records.jsonl")
    assert set(committed) <= {cell.id for cell in PROFILES["default"].cells} and committed
