"""Records on disk: bundles, going on from them, and whether a run equals the committed one."""

import dataclasses
import json
import shutil
import subprocess

import msgspec
import pandas as pd
import pytest
from made_up import cells_of, only_cells, smoke_cell

from bet.analysis.results import results_of
from bet.analysis.verify import TOLERANCE, verification_text, verify
from bet.errors import BetError
from bet.methods import METHODS
from bet.study import bundle
from bet.study.finished import is_finished, is_stale
from bet.study.grid import missing
from bet.study.part import decode, encode
from bet.study.per_user import rows_digest
from bet.study.profiles import PROFILES
from bet.study.record import Record
from bet.study.run import run_cell
from bet.study.unreached import Unreached


def write_results(folder, content, *, hits=0b10):
    """A record, given as content values, and its per-user file."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"user": [0, 1, 3], "positives": [1, 2, 3], "hits": [0b1, hits, 0]}
    frame = pd.DataFrame(columns, dtype="int32")
    frame.to_parquet(folder / f"{content['cell_id']}.parquet")
    content = content | {"per_user_digest": rows_digest(frame)}
    (folder / f"{content['cell_id']}.json").write_text(json.dumps(content))
    return frame


@pytest.fixture
def content(search_record, monkeypatch):
    only_cells(monkeypatch, [smoke_cell("lightgcn", "80%", "bet", iterations=6)])
    return json.loads(json.dumps(search_record))


def test_bundle_gives_the_results_back(content, tmp_path):
    results = tmp_path / "results"
    frame = write_results(results, content)
    per_user = results / f"{content['cell_id']}.parquet"
    per_user.unlink()
    with pytest.raises(BetError, match="per-user metrics"):
        bundle.read_results("smoke", results)
    frame.drop(columns="hits").to_parquet(per_user)
    with pytest.raises(BetError, match="lacks hits"):
        bundle.read_results("smoke", results)
    frame.to_parquet(per_user)
    first = results_of(bundle.load("smoke", results, tmp_path))
    bundle.write(bundle.load("smoke", results, tmp_path), tmp_path / "bundle")
    again = results_of(bundle.load("smoke", tmp_path / "nothing", tmp_path / "bundle"))
    assert again.records == first.records
    assert list(first.per_user["recall@5"]) == [1.0, 0.5, 0.0]
    pd.testing.assert_frame_equal(again.per_user, first.per_user, check_categorical=False)
    path = results / f"{content['cell_id']}.json"
    path.write_text(json.dumps(content)[:-20])
    with pytest.raises(BetError, match=f"{path}: Input data was truncated.*run the cell again"):
        bundle.read_results("smoke", results)
    path.write_text(json.dumps(content | {"form": 2}))
    with pytest.raises(BetError, match="form.*of another version"):
        bundle.read_results("smoke", results)
    (tmp_path / "bundle" / bundle.PER_USER).unlink()
    with pytest.raises(BetError, match="restore both from git"):
        bundle.load("smoke", tmp_path / "nothing", tmp_path / "bundle")


def test_an_exact_repetition_changes_no_byte_of_the_bundle(content, tmp_path):
    write_results(tmp_path / "first", content)
    folder = tmp_path / "bundle"
    bundle.write(bundle.load("smoke", tmp_path / "first", folder), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = json.loads(json.dumps(content))
    again["run"] |= {"commit": "other", "peak_memory_bytes": 7}
    again["run"]["seconds"]["total"] = 1e6
    write_results(tmp_path / "again", again)
    bundle.write(bundle.load("smoke", tmp_path / "again", folder), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again["metrics"]["test"]["quality"] *= 0.5
    write_results(tmp_path / "again", again)
    (record,) = bundle.load("smoke", tmp_path / "again", folder).records
    assert record.run.commit == "other", "another result comes with its own measurements"


def test_restored_records_are_not_run_again(tmp_path, monkeypatch, caplog):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    cells, results = PROFILES["smoke"].cells[:2], tmp_path / "results" / "smoke"
    only_cells(monkeypatch, cells)
    folder = tmp_path / "bundle"
    records = [run_cell(cell) for cell in cells]
    bundle.write(bundle.load("smoke", results, folder), folder)
    files = {path.name: path.read_bytes() for path in sorted(results.iterdir())}
    assert bundle.restore("smoke", folder, results) == 0
    shutil.rmtree(results)
    assert bundle.restore("smoke", folder, results) == 2
    assert len({path.stat().st_mtime_ns for path in results.iterdir()}) == 1
    assert {path.name for path in results.iterdir()} == set(files)
    for cell in cells:
        assert (results / f"{cell.id}.json").read_bytes() == files[f"{cell.id}.json"]
    for name in ("su", "full"):
        monkeypatch.setitem(METHODS, name, dataclasses.replace(METHODS[name], run=None))
    assert [run_cell(cell) for cell in cells] == records
    assert all(map(is_finished, cells)) and not missing("smoke")
    # Records of other settings are shown until their cells have run again.
    shutil.rmtree(results)
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], d_max=8))
    assert bundle.restore("smoke", folder, results) == 2
    assert "2 of them are of other settings than now" in caplog.text
    assert bundle.load("smoke", results, folder).records == tuple(records)
    assert all(map(is_stale, cells)) and missing("smoke") == [cell.id for cell in cells]
    with pytest.raises(BetError, match="no records in"):
        bundle.restore("smoke", tmp_path, results)


def test_cells_above_their_budget_survive_bundle_and_restore(tmp_path, monkeypatch):
    cells = cells_of()
    only_cells(monkeypatch, cells)
    numbers = {"commit": None, "target": 5, "reached": 9, "why": "9 are left"}
    key = PROFILES["smoke"].key(cells[-1])
    unreached = Unreached(cell_id=cells[-1].id, key=key, **numbers)
    stale = Unreached(cell_id=cells[0].id, key="of other settings", **numbers)
    results, folder = tmp_path / "results", tmp_path / "bundle"
    results.mkdir()
    for cell in (unreached, stale):
        (results / f"{cell.cell_id}.unreached").write_text(encode(cell))
    loaded = bundle.load("smoke", results, folder)
    assert loaded.unreached == (unreached,) and not loaded.records
    bundle.write(loaded, folder)
    bundle.restore("smoke", folder, tmp_path / "again")
    assert bundle.load("smoke", tmp_path / "again", folder).unreached == (unreached,)
    assert bundle.load("smoke", tmp_path / "nothing", folder).unreached == (unreached,)


def git(folder, *arguments):
    names = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def committed(content, tmp_path):
    """A folder with the bundle of one record, committed to git; and a results folder."""
    results, folder = tmp_path / "results", tmp_path / "checkout" / "reports"
    write_results(results, content)
    bundle.write(bundle.load("smoke", results, folder), folder)
    git(tmp_path / "checkout", "init", "-q")
    git(tmp_path / "checkout", "add", ".")
    git(tmp_path / "checkout", "commit", "-qm", "records")
    return results, folder


def test_verify_compares_with_what_git_committed(content, committed):
    results, folder = committed
    outcome = verify("smoke", results, folder)
    assert outcome.equal and outcome.identical == (content["cell_id"],)
    text = verification_text(outcome)
    assert text.splitlines()[0] == "1 of 1 runs equal the committed records"
    content["metrics"]["test"]["ndcg@20"] *= 1.5
    content["run"]["host"]["processor"] = "another"
    write_results(results, content)
    bundle.write(bundle.load("smoke", results, folder), folder)  # as a report does
    outcome = verify("smoke", results, folder)
    (difference,) = outcome.differences
    assert difference.field == "metrics.test.ndcg@20" and not outcome.equal
    assert difference.relative == pytest.approx(1 / 3)
    text = verification_text(outcome)
    assert text.startswith("0 of 1 runs equal") and "processor another instead of" in text
    assert "metrics.test.ndcg@20" in text and f"{TOLERANCE:g}" in text
    shutil.rmtree(folder.parent / ".git")
    assert verify("smoke", results, folder).equal and "without git" in (
        verify("smoke", results, folder).source
    )


def test_verify_knows_small_differences_hits_settings_and_what_did_not_run(content, committed):
    results, folder = committed
    content["learning_curve"][0]["loss"] *= 1 + 1e-12
    write_results(results, content)
    outcome = verify("smoke", results, folder)
    assert outcome.equal and outcome.close and "within a relative" in verification_text(outcome)
    write_results(results, content, hits=0b11)
    (difference,) = verify("smoke", results, folder).differences
    assert difference.field == "users with other hits" and difference.here == 1
    write_results(results, content | {"key": "0" * 16})
    (reason,) = verify("smoke", results, folder).reasons.values()
    assert reason.startswith("other settings")
    shutil.rmtree(results)
    text = verification_text(dataclasses.replace(outcome, missing=("another",)))
    assert text.startswith("1 of 2 runs equal") and "not run: another" in text
    outcome = verify("smoke", results, folder)
    assert outcome.missing == (content["cell_id"],) and not outcome.equal
    assert verification_text(outcome) == (
        "nothing of profile smoke has run here; 'make reproduce PROFILE=smoke' (or 'bet study "
        "smoke') runs it"
    )
    text = verification_text(dataclasses.replace(outcome, profile="default"))
    assert "; 'make reproduce' (or 'bet study default') runs it" in text
    with pytest.raises(BetError, match="no committed records"):
        verify("smoke", results, folder / "nowhere")


def test_records_are_equal_after_json(content):
    record = msgspec.convert(content, Record)
    for indent in (0, 1):
        assert decode(encode(record, indent), Record, "a.json") == record
