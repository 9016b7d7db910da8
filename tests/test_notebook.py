"""The strict notebook runner."""

import json
from pathlib import Path

import nbformat
import pytest

from bet.errors import BetError
from bet.study.notebook import execute, parameters_of


def write(path: Path, *code: str, parameters: str | None = "x = 1\nname: str = 'a=b'") -> Path:
    cells = [nbformat.v4.new_markdown_cell("# A title")]
    if parameters is not None:
        cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [nbformat.v4.new_code_cell(source) for source in code]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_parameters_reach_the_notebook_and_a_wide_float_survives(tmp_path):
    notebook = write(
        tmp_path / "in.ipynb", "import json, os\njson.dump([x, name, os.getcwd()], open(name, 'w'))"
    )
    seen = tmp_path / "seen.json"
    execute(
        notebook, tmp_path / "out" / "in.ipynb", {"x": 0.1 + 0.2, "name": str(seen)}, cwd=tmp_path
    )
    assert json.loads(seen.read_text()) == [0.1 + 0.2, str(seen), str(tmp_path.resolve())]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["in.ipynb"], (
        "no temporary file is left behind"
    )


def test_the_kernel_starts_in_the_notebooks_folder_unless_told_otherwise(tmp_path):
    (tmp_path / "sub").mkdir()
    execute(
        write(tmp_path / "sub" / "in.ipynb", "open('here', 'w').close()"),
        tmp_path / "out.ipynb",
        {},
    )
    assert (tmp_path / "sub" / "here").exists()


def test_an_undeclared_parameter_is_refused_before_anything_runs(tmp_path):
    notebook = write(tmp_path / "in.ipynb")
    with pytest.raises(BetError, match=r"no parameter 'bugdet'; it declares x, name"):
        execute(notebook, tmp_path / "out.ipynb", {"bugdet": 0.1})
    assert not (tmp_path / "out.ipynb").exists()


def test_a_failed_notebook_is_kept_and_the_error_says_where_and_why(tmp_path):
    (tmp_path / "helper.py").write_text("def divide(x):\n    return x / 0\n")
    notebook = write(
        tmp_path / "in.ipynb",
        "print('so far so good')",
        "import helper\nhelper.divide(x)",
        "print('never')",
    )
    output = tmp_path / "out.ipynb"
    with pytest.raises(BetError) as caught:
        execute(notebook, output, {"x": 2}, cwd=tmp_path)
    message = str(caught.value)
    assert "ZeroDivisionError: division by zero" in message
    assert "helper.py:2" in message
    assert str(output) in message
    kept = output.read_text()
    assert "so far so good" in kept
    assert "ZeroDivisionError" in kept


def test_a_kernel_that_dies_is_reported_too(tmp_path):
    notebook = write(
        tmp_path / "in.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(BetError, match="kernel died"):
        execute(notebook, tmp_path / "out.ipynb", {})


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        (None, "has 0 cells tagged 'parameters'"),
        ("x = 1 + y", r"not 'x = 1 \+ y'"),
        ("import os", "not 'import os'"),
        ("x = y = 1", "not 'x = y = 1'"),
        ("x: int", "not 'x: int'"),
    ],
)
def test_the_parameters_cell_holds_literals_only(tmp_path, parameters, complaint):
    with pytest.raises(BetError, match=complaint):
        parameters_of(write(tmp_path / "in.ipynb", parameters=parameters))


def test_parameters_papermill_would_overlook_are_seen(tmp_path):
    source = "# how many\nn: int | None = None\nname = 'a=b'\nlist_ = [1, -2]"
    assert parameters_of(write(tmp_path / "in.ipynb", parameters=source)) == {
        "n": None,
        "name": "a=b",
        "list_": [1, -2],
    }


def test_what_is_not_a_notebook_is_named(tmp_path):
    with pytest.raises(BetError, match=r"no notebook at .*none\.ipynb"):
        parameters_of(tmp_path / "none.ipynb")
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    with pytest.raises(BetError, match=r"broken\.ipynb is not a notebook"):
        parameters_of(broken)
