"""``bet run --out``: a file from which a fresh process recommends, for every backbone."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from bet import load
from bet.__main__ import main
from bet.backbones import BACKBONES
from bet.data import evaluable_split, load_dataset, planted
from bet.packed import load as load_file
from bet.study.cell import Cell
from bet.study.record import read_record
from bet.study.run import run_cell
from bet.training import evaluate

METHODS = {"ials": "uniform-int4", "ncf": "su", "gmf": "su", "ngcf": "su", "lightgcn": "su"}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))


@pytest.fixture
def ratings(tmp_path):
    users, items = planted().matrix.nonzero()
    lines = [f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)]
    (tmp_path / "ratings.csv").write_text("user,item\n" + "".join(lines))
    return tmp_path / "ratings.csv"


def recommended(*arguments):
    """What ``bet recommend`` prints in a process of its own, as lists of columns."""
    command = [sys.executable, "-m", "bet", "recommend", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [line.split("\t") for line in run.stdout.splitlines()]


@pytest.mark.parametrize("backbone", [*BACKBONES, "none"])
def test_the_file_of_a_run_recommends(tmp_path, ratings, capsys, backbone):
    method, out = METHODS.get(backbone, "item-knn"), tmp_path / "out" / "f"
    command = ["run", "--data", str(ratings), "--backbone", backbone, "--method", method]
    command += ["--profile", "smoke", "--with-seen", "--out", str(out)]
    assert main(command) == 0
    size = f"file {out}: {out.stat().st_size:,} bytes; it holds people's histories"
    assert size in capsys.readouterr().out
    assert {path.name for path in out.parent.iterdir()} == {"f", "f.ids"}
    split = evaluable_split(load_dataset(str(ratings)), 0)
    data = load_dataset(str(ratings))
    ann = list(data.user_ids).index("u7")
    seen = {data.item_ids[i] for i in split.train[[ann]].indices}
    printed = recommended(out, "--user", "u7", "-k", "5")
    items = [line[2] for line in printed]
    assert len(items) == 5 and not seen & set(items), "what the model was fitted to is left out"
    model = load(out)
    assert model.recommend(["u7"], k=5).items == [items]
    scores = rows_by_entity(model, data)
    means = evaluate(lambda users: scores[users], split.test, [split.train, split.validation])
    cell = Cell(
        str(ratings), backbone, None if backbone == "none" else "90%", method, profile="smoke"
    )
    recorded = read_record(cell).metrics.test
    assert means.means()["recall@20"] == pytest.approx(recorded.recall_at_20, abs=1e-3)


def rows_by_entity(model, data):
    """Scores (|U|, |V|) of a file, in the order of the data's numbers."""
    return torch.from_numpy(np.stack([model.score(user, data.item_ids) for user in data.user_ids]))


def test_without_histories_the_file_has_the_bytes_of_the_record(tmp_path, ratings):
    data, out = load_dataset(str(ratings)), tmp_path / "f"
    cell = Cell(str(ratings), "ncf", "80%", "su", profile="smoke")
    record = run_cell(cell, interactions=data, file=out)
    assert out.stat().st_size == record.serving.bytes
    file = load_file(out)
    assert file.seen is None and file.table.byte_report().total == record.size.bytes
    assert len(recommended(out, "--user", "u1", "--keep-seen")) == 10
    again = run_cell(cell, interactions=data, file=out, with_seen=True)
    assert out.stat().st_size == again.serving.bytes + again.serving.seen_bytes
    assert {path.name for path in tmp_path.glob("f*")} == {"f", "f.ids"}
