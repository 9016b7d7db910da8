"""Studies are data: what the files say, how wrong ones are refused, and cells keep their keys."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bet.__main__ import main
from bet.errors import BetError
from bet.methods import METHODS
from bet.paths import study_files
from bet.study.cell import Cell
from bet.study.profiles import PROFILES, load_profile

ROOT = Path(__file__).resolve().parent.parent
STUDIES = ROOT / "workflow" / "studies"


@pytest.fixture
def smoke_with(tmp_path):
    """Call it with a piece of smoke.toml and what stands there instead: the changed file."""

    def change(old, new):
        text = (STUDIES / "smoke.toml").read_text()
        assert old in text
        file = tmp_path / "mine.toml"
        file.write_text(text.replace(old, new, 1))
        return file

    return change


@pytest.mark.parametrize("profile", PROFILES)
def test_every_file_says_what_it_is_for(profile):
    assert (STUDIES / f"{profile}.toml").read_text().startswith(f"# {profile}: ")


def is_unchanged(record):
    """Whether a record is of today's settings, and its method has never changed."""
    cell = Cell(**record["cell"])
    settings = json.loads(json.dumps(PROFILES[cell.profile].settings(cell)))
    first = METHODS[cell.method].version_on(cell.backbone) == 1 and cell.protocol == "clean"
    return first and settings == record["settings"]


@pytest.mark.parametrize(
    ("bundle", "profile"), [(".", "default"), ("full", "full"), ("paper", "paper")]
)
def test_committed_records_keep_their_keys(bundle, profile):
    keys = {cell.id: PROFILES[profile].key(cell) for cell in PROFILES[profile].cells}
    lines = (ROOT / "reports" / bundle / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) > 30
    unchanged = [record for record in records if is_unchanged(record)]
    assert unchanged
    assert {record["cell_id"]: record["key"] for record in unchanged}.items() <= keys.items()
    # In the order of the profile, which is the order of the reports.
    order = [cell for cell in keys if cell in {record["cell_id"] for record in records}]
    assert [record["cell_id"] for record in records] == order
    for record in records:
        assert Cell(**record["cell"]).id == record["cell_id"]


def test_absent_options_are_none_and_keep_their_spelling():
    cell = Cell("tiny", "lightgcn", "none", "full", profile="smoke")
    assert (cell.budget, cell.iterations, cell.actions) == (None, None, None)
    assert cell == Cell("tiny", "lightgcn", None, "full", profile="smoke")
    assert cell.id == "tiny_lightgcn_none_full_s0"
    old = cell.in_old_spelling()
    assert (old["budget"], old["iterations"], old["actions"]) == ("none", 0, 0)
    for name, value, least in (("iterations", 0, 1), ("actions", 0, 1), ("seed", -1, 0)):
        with pytest.raises(BetError, match=f"{name} must be from {least} to .*, got {value}"):
            Cell("tiny", "lightgcn", "80%", "bet", **{name: value})


def test_jobs_hold_every_cell_once_and_notebooks_alone():
    for profile in PROFILES.values():
        jobs = profile.jobs()
        assert sorted(cell.id for job in jobs for cell in job) == sorted(
            cell.id for cell in profile.cells
        )
        for job in jobs:
            as_notebook = [cell.method in profile.notebooks for cell in job]
            assert len(job) == 1 if any(as_notebook) else len(job) <= profile.cells_per_job
    assert PROFILES["smoke"].notebooks == ("bet",) and len(PROFILES["smoke"].jobs()) == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("top = 2", "topp = 2", "search: no setting or backbone 'topp'; known are iterations"),
        ("top = 2", "top = 0", "search of .*: top must be at least 1, got 0"),
        ("d_max = 16", 'd_max = "16"', r"Expected `int`, got `str` - at `\$.d_max`"),
        ('"pep"', '"pepp"', "unknown method 'pepp'; known are full"),
        ('"tiny"', '"tinny"', "unknown dataset 'tinny'"),
        ('"80%"', '"none"', "method 'su' with budget 'none'"),
        ('"su"', '"su", "su"', "tiny_lightgcn_80_su_s0 is listed twice"),
        ("[[grids]]", "[[grids]]\nseed = 1", r"unknown field `seed` - at `\$.grids\[0\]`"),
        ('["bet"]', '["bett"]', "notebooks: no method 'bett'"),
        ("[training]", "[training", "Expected ']'"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_field(smoke_with, old, new, message):
    with pytest.raises(BetError, match=message) as caught:
        load_profile(smoke_with(old, new))
    assert "mine.toml" in str(caught.value) and "default.toml shows one" in str(caught.value)


def test_a_study_of_ones_own_is_a_path(smoke_with, monkeypatch, capsys, request):
    request.addfinalizer(lambda: PROFILES.pop("mine", None))
    monkeypatch.setenv("BET_STUDY", "")
    file = smoke_with('["80%"]', '["85%"]')
    assert main(["study", str(file), "--list"]) == 0
    assert "tiny_lightgcn_85_su_s0" in capsys.readouterr().out.splitlines()
    # Processes that are started now know it by its name.
    code = "from bet.study.profiles import PROFILES; print(len(PROFILES['mine'].cells))"
    cells = len(PROFILES["smoke"].cells)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(cells)
    shutil.copy(file, file.with_name("paper.toml"))
    assert main(["study", str(file.with_name("paper.toml")), "--list"]) == 1
    assert "there is a study 'paper' already; rename the file" in capsys.readouterr().err
    assert main(["study", "none.toml", "--list"]) == 1
    assert "no study 'none.toml': known are converged, default, full" in capsys.readouterr().err


def test_studies_are_found_outside_of_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BET_STUDY", raising=False)
    known = {"smoke", "default", "full", "paper", "converged", "scratch", "gowalla", "yelp2018"}
    known |= {"stream", "stream-smoke"}
    assert {file.stem for file in study_files()} == known
    yours = tmp_path / "workflow" / "studies"
    yours.mkdir(parents=True)
    (tmp_path / "workflow" / "Snakefile").touch()
    shutil.copy(STUDIES / "smoke.toml", yours)
    assert study_files() == [yours / "smoke.toml"]
