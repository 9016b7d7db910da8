"""One cell end to end: within budget, reproducible, and the same after being killed."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch

import bet.__main__
from bet.data import planted, split_interactions
from bet.errors import BetError
from bet.search import Trained, loop
from bet.study.cell import Cell
from bet.study.notebook import run_cell_notebook
from bet.study.per_user import unpack
from bet.study.profiles import PROFILES
from bet.study.record import Record, read_record, read_record_file
from bet.study.run import run_cell
from bet.study.setup import cell_context
from bet.training import TrainResult

CELL = "tiny_lightgcn_80_bet_s0"


def start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {
        "BET_RESULTS": str(folder / "results"),
        "BET_CACHE": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "bet", "study", "smoke", "--cell", CELL]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def test_killed_search_continues_to_the_same_result(tmp_path, folders):
    killed = tmp_path / "killed"
    state = killed / "cache" / "work" / f"smoke-{CELL}" / "search.pt"
    run = start(killed)
    while not state.is_file() and run.poll() is None:
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert run.returncode == -signal.SIGKILL and not (killed / "results").exists()
    (cell,) = (cell for cell in PROFILES["smoke"].cells if cell.id == CELL)
    first = run_cell(cell)
    folders("killed")
    second = run_cell(cell)
    assert second == read_record_file(killed / "results" / "smoke" / f"{CELL}.json", Record)
    assert results_of(first) == results_of(second)
    assert first.size.parameters == first.size.limit
    assert not state.parent.exists()


def test_cells_are_named_and_checked():
    assert CELL in [cell.id for cell in PROFILES["smoke"].cells]
    for wrong in (
        {"dataset": "x"},
        {"backbone": "x"},
        {"method": "x"},
        {"protocol": "x"},
        {"budget": "none"},
    ):
        with pytest.raises(BetError):
            Cell(
                **({"dataset": "tiny", "backbone": "ncf", "budget": "80%", "method": "su"} | wrong)
            )


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Results and cache of this test's own; call it with a name for another pair."""

    def use(name):
        monkeypatch.setenv("BET_RESULTS", str(tmp_path / name / "results"))
        monkeypatch.setenv("BET_CACHE", str(tmp_path / name / "cache"))
        return tmp_path / name / "results"

    use("first")
    return use


def results_of(record):
    """What must not depend on how, where and when a cell ran."""
    return msgspec.structs.replace(record, run=None)


def test_call_command_line_and_notebook_give_equal_results(folders):
    cell = Cell("tiny", "ngcf", "85%", "bet", seed=3, profile="smoke", iterations=6, actions=7)
    called = run_cell(cell)
    folders("second")
    names = ("backbone", "budget", "method", "seed", "profile", "iterations", "actions")
    options = [f"--data={cell.dataset}", *(f"--{name}={getattr(cell, name)}" for name in names)]
    assert bet.__main__.main(["run", *options]) == 0
    by_command = read_record(cell)
    results = folders("third")
    executed = run_cell_notebook(cell)
    assert executed.is_file() and executed.parent == results / "smoke" / "logs"
    assert results_of(called) == results_of(by_command) == results_of(read_record(cell))
    winners = called.search.winners
    assert [w.t for w in winners] == [5, 6] and winners[-1].test == called.metrics.test


def test_per_user_metrics_have_the_recorded_means(folders):
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")
    record = run_cell(cell)
    frame = unpack(pd.read_parquet(folders("first") / "smoke" / record.per_user))
    assert frame["user"].is_unique and frame["positives"].sum() == record.data.test
    for name, value in msgspec.to_builtins(record.metrics.test).items():
        if name != "quality":
            assert frame[name].mean() == pytest.approx(value, abs=1e-12)


def test_merged_protocol_refits_and_changes_the_test_score_only(folders):
    clean, merged = (
        run_cell(Cell("tiny", "lightgcn", "80%", "su", protocol=p, profile="smoke"))
        for p in ("clean", "merged")
    )
    assert clean.metrics.validation == merged.metrics.validation
    assert clean.metrics.test != merged.metrics.test
    assert merged.cell_id.endswith("_merged")


def test_finished_cell_is_read_unless_data_or_numbers_changed(folders, monkeypatch):
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")
    first = run_cell(cell)
    assert run_cell(cell) == first  # seconds included: nothing ran
    other = run_cell(cell, interactions=planted(seed=5))
    assert other.data.hash != first.data.hash


def test_own_file_leaves_a_table_within_the_byte_budget(folders, tmp_path, capsys):
    matrix = planted().matrix.tocoo()
    frame = pd.DataFrame({"who": [f"u{i}" for i in matrix.row], "what": matrix.col})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    options = [
        f"--data={tmp_path / 'mine.csv'}",
        "--user-column=who",
        "--item-column=what",
        "--method=su",
    ]
    table = tmp_path / "mine.table"
    assert (
        bet.__main__.main(["run", *options, "--budget=5 kB", "--profile=smoke", f"--out={table}"])
        == 0
    )
    said = capsys.readouterr().out
    assert re.search(r"mine-[0-9a-f]{8}_lightgcn_5kB_su_s0", said)
    # The budget is the table's; the file holds the interactions besides, which LightGCN reads.
    (n_bytes,) = re.findall(r"parameters, ([\d,]+) bytes", said)
    assert 4_900 < int(n_bytes.replace(",", "")) <= 5_000
    (to_serve,) = re.findall(r"to serve ([\d,]+) bytes", said)
    assert table.stat().st_size == int(to_serve.replace(",", "")) > 5_000
    assert bet.__main__.main(["run", *options, "--budget=1 kB", "--profile=smoke"]) == 1
    assert "smallest possible" in capsys.readouterr().err


def test_a_cell_leaves_the_process_as_it_was(folders):
    threads = torch.get_num_threads()
    run_cell(Cell("tiny", "lightgcn", "80%", "su", profile="smoke"))
    assert torch.get_num_threads() == threads
    assert 1e-320 * 1.0 > 0.0 and float(torch.tensor(1e-40) * 0.5) > 0.0  # denormals are back


def test_a_cell_may_use_more_threads(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")
    with pytest.raises(BetError, match="threads must be from 1 to 256, got 0"):
        run_cell(cell, threads=0)
    assert run_cell(cell, threads=2).run.host.threads == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "tiny", "--k-core", "5"], "tiny is a named dataset"),
        (["--data", "tiny", "--minimum-rating", "0"], "tiny is a named dataset"),
        (["--data", "tiny", "--budget", "2 TB"], "units: B, kB, MB, GB, KiB, MiB, GiB"),
        (["--data", "tiny", "--item-column", "product"], "tiny is a named dataset"),
        (
            ["--data", "{file}", "--item-column", "user"],
            "cannot hold both the user and the item",
        ),
        (["--data", "{file}"], "no user has three interactions"),
        (
            ["--data", "tiny", "--device", "banana"],
            "'banana' cannot be used here; known are auto, cpu, cuda\n",
        ),
        (["--data", "tiny", "--out", "{folder}"], "table to {folder}: it is a folder; name a file"),
        (["--data", "tiny", "--out", "{file}/x/table.bet"], "choose another file"),
        (["--data", "tiny", "--budget", "1,8 MB"], "cannot read the budget '1,8 MB'"),
    ],
)
def test_bad_requests_are_refused_before_any_work(folders, tmp_path, capsys, arguments, message):
    file, folder = tmp_path / "tiny.csv", tmp_path / "folder"
    file.write_text("user,item\na,1\na,2\nb,1\nb,3\nc,2\n")
    folder.mkdir()
    given = [argument.format(file=file, folder=folder) for argument in arguments]
    assert (
        bet.__main__.main(
            ["run", "--profile", "smoke", "--method", "su", "--budget", "80%", *given]
        )
        == 1
    )
    assert message.format(folder=folder) in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json")) and not list(folder.iterdir())


def test_own_files_and_budgets_have_names_of_their_own(tmp_path):
    files = [tmp_path / "tiny.csv", tmp_path / "other" / "tiny.csv"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("user,item\na,1\n")
    datasets = ["tiny", *map(str, files)]
    ids = {
        Cell(dataset, "lightgcn", budget, "su").id
        for dataset in datasets
        for budget in ("80%", "80")
    }
    assert len(ids) == 6


def test_a_worthless_full_model_is_refused(folders, monkeypatch):
    monkeypatch.setattr(
        loop, "load_or_pretrain", lambda context: Trained(None, TrainResult(1, 0.0, 0.0))
    )
    with pytest.raises(BetError, match="quality on validation is 0"):
        run_cell(Cell("tiny", "lightgcn", "80%", "bet", profile="smoke"))


def test_both_protocols_share_one_selection(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    profile = PROFILES["smoke"]
    clean = Cell("tiny", "lightgcn", "80%", "bet", profile="smoke")
    merged = replace(clean, protocol="merged")
    monkeypatch.setitem(PROFILES, "smoke", replace(profile, cells=(clean, merged)))
    work = tmp_path / "cache" / "work" / f"smoke-{clean.id}"
    first = run_cell(clean)
    assert work.is_dir(), "kept for the other protocol"
    monkeypatch.setattr(loop, "evaluate_finetuned", None)  # nothing is searched a second time
    second = run_cell(merged)
    assert not work.exists()
    for part in ("search", "learning_curve"):
        assert getattr(first, part) == getattr(second, part)
    for side in ("users", "items"):  # by rank; how frequent ranks are differs
        binned = [getattr(record.sizes, side) for record in (first, second)]
        assert binned[0].size == binned[1].size and binned[0].rank == binned[1].rank
        assert binned[0].frequency != binned[1].frequency
    seconds = [record.run.seconds for record in (first, second)]
    for stage in ("pretrain", "search", "retrain"):
        assert getattr(seconds[0], stage) == getattr(seconds[1], stage)
    assert first.metrics.validation == second.metrics.validation
    assert first.metrics.test != second.metrics.test


def test_selection_can_look_at_a_share_of_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")
    split = split_interactions(planted(), 0)
    whole = cell_context(cell, split)
    training = replace(whole.settings.training, validation_share=0.5)
    half = replace(whole, settings=replace(whole.settings, training=training))
    reseeded = replace(half, settings=replace(half.settings, seed=1))
    users, chosen = (np.flatnonzero(np.diff(context.selection.indptr)) for context in (whole, half))
    assert len(chosen) == -(-len(users) // 2) and set(chosen) < set(users)
    assert all(
        set(half.selection[[u]].indices) == set(split.validation[[u]].indices) for u in chosen
    )
    assert half.key != whole.key and (reseeded.selection.indptr != half.selection.indptr).any()
