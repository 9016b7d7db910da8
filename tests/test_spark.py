"""The road through Spark without Spark: its command line, and the check behind ``make test-spark``
with factors from a stand-in.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bet.data import load_dataset, split_interactions

ROOT = Path(__file__).resolve().parent.parent
# In place of PySpark: factors of the data by singular value decomposition, in the same form.
STAND_IN = """\
import sys
from pathlib import Path
import numpy as np, pandas as pd
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
pairs = pd.read_parquet(given["--interactions"])
matrix = pd.crosstab(pairs["user"], pairs["item"])
u, s, v = np.linalg.svd(matrix.to_numpy(dtype=float), full_matrices=False)
rank = int(given["--rank"])
for side, ids, factors in (
    ("users", matrix.index, u[:, :rank] * s[:rank]), ("items", matrix.columns, v[:rank].T)
):
    folder = Path(given["--out"]) / f"{side}.parquet"
    folder.mkdir(parents=True)
    rows = {"id": ids, "features": list(factors.astype(np.float32)), "frequency": 1}
    pd.DataFrame(rows).to_parquet(folder / "part-00000.parquet")
    (folder / "_SUCCESS").touch()
"""


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "workflow" / "spark" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


als, check = script("als"), script("check")


BAD = [
    (["--rank", "0"], "--rank must be at least 1, got 0"),
    (["--local", "-1"], "--local must be at least 1, got -1"),
    (["--alpha", "-1"], "--alpha must be at least 0 and finite, got -1.0"),
    (["--l2", "nan"], "--l2 must be at least 0 and finite, got nan"),
    (["--user-column", "item"], "column 'item' cannot hold both"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_are_refused_before_spark_starts(options, message, capsys):
    assert als.main(["--interactions", "absent", "--out", "out", *options]) == 1
    assert message in capsys.readouterr().err


def test_a_machine_without_java_is_told_so(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert als.main(["--interactions", "absent", "--out", "out"]) == 1
    assert "install openjdk" in capsys.readouterr().err


def test_als_needs_nothing_of_this_project(tmp_path):
    """A cluster has the file alone; PySpark is imported when it is needed."""
    command = [sys.executable, "-I", str(ROOT / "workflow/spark/als.py"), "--help"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "--interactions" in run.stdout
    source = (ROOT / "workflow/spark/als.py").read_text(encoding="utf-8")
    assert "import bet" not in source and "from bet" not in source


@pytest.fixture
def stand_in(tmp_path):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/stand_in.py" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_factors_are_packed_and_recommended_from(stand_in, capfd, monkeypatch):
    arguments = ["--spark", stand_in, "--dataset", "tiny", "--budget", "100 B/entity"]
    assert check.main(arguments) == 0
    out = capfd.readouterr().out
    assert "make test-spark: passed: the packed file keeps" in out
    monkeypatch.setattr(check, "KEPT", 2.0)
    assert check.main(arguments) == 1
    assert "FAILED, at least 200% are asked for" in capfd.readouterr().out


def test_what_fails_is_named(tmp_path, capfd):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\nexit 3\n")
    path.chmod(0o755)
    assert check.main(["--spark", str(path), "--dataset", "tiny"]) == 1
    assert "als.py" in capfd.readouterr().err


def test_lists_and_recall(tmp_path):
    data = load_dataset("tiny")
    split = split_interactions(data, 0)
    test = check.lists_of(split.test, data)
    assert sum(map(len, test.values())) == split.test.nnz
    check.write_pairs(str(tmp_path / "pairs.parquet"), split.test, data)
    pairs = pd.read_parquet(tmp_path / "pairs.parquet")
    assert pairs.groupby("user")["item"].apply(set).to_dict() == {u: {*i} for u, i in test.items()}
    wanted = {"ann": ["tea", "cup"], "bob": ["tea"]}
    assert check.recall({"ann": ["cup", "rye"], "bob": ["rye", "tea"]}, wanted) == 0.75
    vectors = {"users": (["ann"], [[1.0, 0.0]]), "items": (["tea", "cup", "rye"], np.eye(3, 2))}
    for side, (ids, rows) in vectors.items():
        frame = pd.DataFrame({"id": ids, "features": list(np.array(rows, dtype=np.float32))})
        frame.to_parquet(tmp_path / f"{side}.parquet")
    paths = [str(tmp_path / f"{side}.parquet") for side in vectors]
    assert check.best_by_factors(*paths, {"ann": ["tea"]}) == {"ann": ["cup", "rye", "tea"]}
