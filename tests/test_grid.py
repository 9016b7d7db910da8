"""The grid itself, with a stand-in for the cells: failures are named and isolated, what is finished is
not run again.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bet.__main__ import main
from bet.study.estimate import in_words, recorded_seconds, seconds_left
from bet.study.grid import _only_grid_in
from bet.study.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
CELLS = [cell.id for cell in PROFILES["smoke"].cells]
# Two cells of one job and one of another are open; the others are finished before, as restored
# records are.
OPEN = (CELLS[0], CELLS[1], CELLS[-1])
# Fails for the cell named in $BREAK, and counts its runs; like the real one it runs the other cells
# of its job, too, and not those with a record.
STAND_IN = """\
#!/usr/bin/env bash
set -eu
profile=$1 status=0
mkdir -p "$BET_RESULTS/$profile/logs"
for cell in "${@:2}"; do
    record="$BET_RESULTS/$profile/$cell.json"
    if [[ $cell = --* ]] || { [ -e "$record" ] && ! grep -q old "$record"; }; then continue; fi
    echo run >> "$BET_RESULTS/runs-$cell"
    echo "start  $cell"
    echo log > "$BET_RESULTS/$profile/logs/$cell.txt"
    if [ "${BREAK:-}" = "$cell" ]; then echo "FAILED $cell"; status=1; continue; fi
    echo '{}' > "$record"
    echo rows > "$BET_RESULTS/$profile/$cell.parquet"
    echo "done   $cell  1 s"
done
exit $status
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a checkout, with its own results; the cells of profile smoke do
    nothing in it, most are finished.
    """
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    (tmp_path / "workflow" / "job.sh").write_text(STAND_IN)
    (results := tmp_path / "results" / "smoke").mkdir(parents=True)
    for cell in set(CELLS).difference(OPEN):
        for suffix in ("parquet", "json"):
            (results / f"{cell}.{suffix}").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for name in ("BET_RESULTS", "BREAK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def start(**environment):
    command = [sys.executable, "-m", "bet", "study", "smoke", "--jobs", "2"]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate()
    return process.returncode, output


def runs(checkout, cell):
    file = checkout / "results" / f"runs-{cell}"
    return len(file.read_text().split()) if file.exists() else 0


def test_a_failed_cell_is_named_and_stops_no_other_and_the_grid_continues(checkout):
    """One history, since every start of the grid takes seconds: with a failed cell, whole."""
    code, output = finish(start(BREAK=CELLS[0]))
    assert code == 1 and output.startswith(f"{len(CELLS)} cells, 3 to run; starting\n")
    assert f"1 of {len(CELLS)} cells have no result" in output
    assert f"FAILED {CELLS[0]}  see results/smoke/logs/{CELLS[0]}.txt" in output
    assert f"done   {OPEN[1]}  1 s  (" in output and "steps" not in output
    assert (checkout / "results" / "smoke" / "logs" / f"{CELLS[0]}.txt").read_text() == "log\n"
    assert main(["study", "smoke", "--check"]) == 1

    # A record of other settings, as a restored one may be, is run again, too; no other is.
    (checkout / "results" / "smoke" / f"{OPEN[1]}.json").write_text('{"key": "old"}')
    code, output = finish(start())
    assert code == 0 and f"all {len(CELLS)} cells finished" in output
    assert f"{len(CELLS)} cells, 2 to run" in output
    assert f"({len(CELLS)} of {len(CELLS)} cells)" in output
    again = {CELLS[0]: 2, OPEN[1]: 2, OPEN[-1]: 1}
    assert {cell: runs(checkout, cell) for cell in CELLS} == dict.fromkeys(CELLS, 0) | again


def test_second_grid_in_the_same_folder_is_refused(checkout, capsys):
    with _only_grid_in(checkout / "results"):
        assert main(["study", "smoke"]) == 1
    assert "a grid runs in" in capsys.readouterr().err


def test_outside_a_checkout_the_grid_is_refused(checkout, capsys):
    shutil.rmtree(checkout / "workflow")
    assert main(["study", "smoke"]) == 1
    shown = capsys.readouterr()
    assert "inside a checkout" in shown.err and shown.out == ""
    assert main(["report", "smoke"]) == 1
    assert "report.ipynb: run it inside a checkout of the project" in capsys.readouterr().err
    assert not (checkout / "reports").exists()


def test_a_workflow_that_cannot_start_is_an_error(checkout, capfd):
    (checkout / "workflow" / "Snakefile").write_text("rule broken\n")
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
