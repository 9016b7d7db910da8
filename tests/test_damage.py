"""What is kept between runs is right, made anew or refused: whatever one flipped bit, a cut or a
file of another cell did to it.
"""

import io
import logging
import shutil

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from damage import KEY, check_damage, cut, flipped, keep
from made_up import only_cells, smoke_cell

from bet.errors import BetError
from bet.study import bundle
from bet.study.part import encode
from bet.study.per_user import COLUMNS, read_rows
from bet.study.record import read_record, record_path
from bet.study.run import run_cell
from bet.training import load_state, save_state

FLIPS = 1_000


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Results and cache of this test's own, and two cells."""
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    cells = [smoke_cell("lightgcn", "80%", "su", seed) for seed in (0, 1)]
    only_cells(monkeypatch, cells)
    return tmp_path, cells


def test_no_flipped_bit_changes_a_number_that_is_reported(folders, caplog):
    caplog.set_level(logging.CRITICAL, "bet")
    kept, rng = keep(*folders), np.random.default_rng(20)
    files = [
        path for path in kept.files if path.suffix not in (".lock",) and "cache" not in path.parts
    ]
    assert {path.name.split(".", 1)[1] for path in files} == {
        "json",
        "jsonl",
        "parquet",
        "pt",
        "unreached",
    }
    expected = {path: kept.values(path) for path in files}
    for i in range(FLIPS):
        path = files[i % len(files)]
        check_damage(kept, path, expected[path], cut if i % 10 == 0 else flipped, rng)


def test_files_of_another_cell_are_refused(folders):
    folder, cells = folders
    first, second = (run_cell(cell) for cell in cells)
    paths, results = [record_path(cell) for cell in cells], folder / "results" / "smoke"
    per_user = [path.with_suffix(".parquet") for path in paths]
    rows = [path.read_bytes() for path in per_user]
    per_user[0].write_bytes(rows[1])
    with pytest.raises(BetError, match=f"{per_user[0]}: damaged, or not the per-user metrics of"):
        bundle.read_results("smoke", results)
    per_user[0].write_bytes(rows[0])
    assert bundle.read_results("smoke", results).records == (first, second)
    whole = paths[0].read_text()
    paths[0].write_text(encode(msgspec.structs.replace(first, per_user_digest=None)))
    with pytest.raises(BetError, match="has no digest of them.*; delete it and run the cell again"):
        bundle.read_results("smoke", results)
    paths[0].write_text(whole)
    with pytest.raises(BetError, match="is of profile smoke, not default; put it where it belongs"):
        bundle.read_results("default", results)
    shutil.copy(paths[1], paths[0])
    for read in (lambda: read_record(cells[0]), lambda: bundle.read_results("smoke", results)):
        with pytest.raises(
            BetError, match=f"{paths[0]}: the record of another cell, {second.cell_id}"
        ):
            read()


def test_a_bundle_with_a_record_twice_is_refused(folders):
    folder, cells = folders
    run_cell(cells[0])
    bundle.write(bundle.read_results("smoke", folder / "results" / "smoke"), folder / "bundle")
    lines = folder / "bundle" / bundle.RECORDS
    lines.write_bytes(2 * lines.read_bytes())
    with pytest.raises(BetError, match="2 lines of .*; restore it from git"):
        bundle.load("smoke", folder / "nothing", folder / "bundle")


def test_a_state_that_is_none_is_made_anew(tmp_path, caplog):
    path = tmp_path / "a.pt"
    save_state(path, KEY, 3)
    assert load_state(path, KEY) is None
    torch.save({"key": KEY, "state": {}}, path)  # of an earlier version, without a digest
    assert load_state(path, KEY) is None
    path.write_bytes(b"")
    assert load_state(path, KEY) is None
    assert caplog.text.count("starting afresh") == 3


def test_text_that_is_not_utf8_is_refused():
    ends, text = pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")
    numbers = dict.fromkeys(COLUMNS, pa.array([1], pa.int32()))
    table = pa.table({"cell_id": pa.StringArray.from_buffers(1, ends, text), **numbers})
    pq.write_table(table, file := io.BytesIO())
    with pytest.raises(BetError, match="rows: no readable Parquet file .*; restore it"):
        read_rows(file.getvalue(), "rows", "restore it")
