"""Every notebook that explains something runs from top to bottom, on the tiny made-up data.

The other two are run by the smoke study: one of its cells in cell.ipynb, its report in
report.ipynb.
"""

from pathlib import Path

import pytest

from bet.study.notebook import execute, parameters_of

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = [path for path in sorted(FOLDER.glob("0*.ipynb")) if '"parameters"' in path.read_text()]
SMALL = {"dataset": "tiny", "profile": "smoke"}  # instead of the defaults, where there are such


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook, tmp_path, monkeypatch):
    for name in ("BET_CACHE", "BET_RESULTS", "BET_REPORTS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    declared = parameters_of(notebook)
    assert "dataset" in declared
    small = {name: value for name, value in SMALL.items() if name in declared}
    execute(notebook, tmp_path / notebook.name, small)
