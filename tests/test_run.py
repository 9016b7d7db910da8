"""One cell end to end: within budget, reproducible, and the same after being killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bet.errors import BetError
from bet.study.cell import Cell
from bet.study.profiles import PROFILES

CELL = "tiny_lightgcn_80_bet_s0"


def start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"BET_RESULTS": str(folder / "results"), "BET_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "bet", "cell", CELL, "--profile", "smoke"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def record(folder: Path) -> dict:
    return json.loads((folder / "results" / "smoke" / f"{CELL}.json").read_text())


def test_killed_search_continues_to_the_same_result(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run = start(whole)
    assert run.wait(timeout=300) == 0
    state = killed / "cache" / "work" / f"smoke-{CELL}" / "search.pt"
    run = start(killed)
    while not state.is_file() and run.poll() is None:
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert run.returncode == -signal.SIGKILL and not (killed / "results").exists()
    run = start(killed)
    assert run.wait(timeout=300) == 0
    first, second = record(whole), record(killed)
    assert first["metrics"] == second["metrics"] and first["sizes"] == second["sizes"]
    assert [i["fitness"] for i in first["search"]["iterations"]] == [i["fitness"] for i in second["search"]["iterations"]]
    assert first["size"]["parameters"] == first["size"]["limit"]
    assert not state.parent.exists()


def test_cells_are_named_and_checked():
    assert CELL in [cell.id for cell in PROFILES["smoke"].cells]
    for wrong in ({"dataset": "x"}, {"backbone": "x"}, {"method": "x"}, {"protocol": "x"}, {"budget": "none"}):
        with pytest.raises(BetError):
            Cell(**({"dataset": "tiny", "backbone": "ncf", "budget": "80%", "method": "su"} | wrong))
