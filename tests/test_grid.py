"""The grid itself, with a stand-in for the cells: failures are named and isolated, interrupted runs
continue.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bet.study.grid import _only_grid_in, main
from bet.study.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
CELLS = [cell.id for cell in PROFILES["smoke"].cells]
OPEN = (
    CELLS[0],
    CELLS[1],
    CELLS[-1],
)  # the others are finished before, as restored records are: a cell takes Snakemake a second
# Fails for the cell named in $BREAK, waits in the cell named in $HOLD, and counts its runs.
STAND_IN = """\
#!/usr/bin/env bash
set -eu
echo run >> "$BET_RESULTS/runs-$2"
if [ "${HOLD:-}" = "$2" ]; then sleep 60; fi
echo log > "$3"
if [ "${BREAK:-}" = "$2" ]; then echo "FAILED $2"; exit 1; fi
echo '{}' > "$BET_RESULTS/$1/$2.json"
echo rows > "$BET_RESULTS/$1/$2.parquet"
echo '{}' > "$BET_RESULTS/$1/logs/$2.ipynb"
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a checkout, with its own results; the cells of profile smoke do
    nothing in it, most are finished.
    """
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    (tmp_path / "workflow" / "cell.sh").write_text(STAND_IN)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "cell.ipynb").write_text("{}")
    (results := tmp_path / "results" / "smoke").mkdir(parents=True)
    for cell in set(CELLS).difference(OPEN):
        for suffix in ("parquet", "json"):
            (results / f"{cell}.{suffix}").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for name in ("BET_RESULTS", "BREAK", "HOLD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def start(**environment):
    command = [sys.executable, "-m", "bet.study.grid", "smoke", "--jobs", "2"]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Ctrl-C reaches the grid even where the tests run in the background, which ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process):
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def runs(checkout, cell):
    file = checkout / "results" / f"runs-{cell}"
    return len(file.read_text().split()) if file.exists() else 0


def test_failed_cell_is_named_and_stops_no_other(checkout):
    code, output = finish(start(BREAK=CELLS[0]))
    assert code == 1
    assert f"1 of {len(CELLS)} cells have no result" in output
    assert f"FAILED {CELLS[0]}  see results/smoke/logs/{CELLS[0]}.txt" in output
    assert (checkout / "results" / "smoke" / "logs" / f"{CELLS[0]}.txt").read_text() == "log\n"
    assert main(["smoke", "--check"]) == 1

    code, output = finish(start())
    assert code == 0 and f"all {len(CELLS)} cells finished" in output
    assert {cell: runs(checkout, cell) for cell in CELLS} == {
        **dict.fromkeys(CELLS, 0),
        **dict.fromkeys(OPEN, 1),
        CELLS[0]: 2,
    }


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_stopped_grid_continues(checkout, stop):
    process = start(HOLD=CELLS[-1])
    try:
        deadline = time.monotonic() + 60
        while not runs(checkout, CELLS[-1]):
            assert time.monotonic() < deadline and process.poll() is None, "the cell did not start"
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, stop)
    code, _ = finish(process)
    assert code != 0

    code, output = finish(start())
    assert code == 0, output
    assert runs(checkout, CELLS[-1]) == 2


def test_second_grid_in_the_same_folder_is_refused(checkout, capsys):
    with _only_grid_in(checkout / "results"):
        assert main(["smoke"]) == 2
    assert "a grid runs in" in capsys.readouterr().err


def test_outside_a_checkout_the_grid_is_refused(checkout, capsys):
    shutil.rmtree(checkout / "workflow")
    assert main(["smoke"]) == 2
    assert "inside a checkout" in capsys.readouterr().err
