"""Executing and rendering notebooks: strict parameters, kept failures, self-contained pages."""

import nbformat
import pytest

from bet.errors import BetError
from bet.study.notebook import execute, parameters_of, render_html


def write(path, *cells, parameters="alpha = 1\nname: str = 'a=b'  # a comment"):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    if parameters is not None:
        notebook.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, path)
    return path


def test_parameters_are_read_and_replaced(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "import os\nprint(alpha + 1, name, os.getcwd())")
    assert parameters_of(notebook) == {"alpha": 1, "name": "a=b"}
    output = tmp_path / "deep" / "out.ipynb"
    execute(notebook, output, {"alpha": 41}, cwd=tmp_path / "deep" / "..")
    executed = nbformat.read(output, as_version=4)
    assert executed.cells[-1].outputs[0].text.split() == ["42", "a=b", str(tmp_path)]
    assert [file.name for file in output.parent.iterdir()] == ["out.ipynb"]


def test_unknown_parameter_is_refused_and_nothing_is_run(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "open('ran', 'w')")
    with pytest.raises(BetError, match="no parameter 'alhpa'; it declares alpha, name"):
        execute(notebook, tmp_path / "out.ipynb", {"alhpa": 2})
    assert [file.name for file in tmp_path.iterdir()] == ["a.ipynb"]


def test_failing_cell_keeps_the_notebook_and_names_cell_and_frame(tmp_path):
    (tmp_path / "helper.py").write_text("def fail():\n    raise KeyError('deep')\n")
    notebook = write(tmp_path / "a.ipynb", "import helper\nhelper.fail()", "print('never')")
    output = tmp_path / "out.ipynb"
    with pytest.raises(BetError, match=r"KeyError: 'deep' \(code cell \d+, at .*helper\.py:2\)") as caught:
        execute(notebook, output, {})
    assert str(output) in str(caught.value)
    outputs = [out for cell in nbformat.read(output, as_version=4).cells for out in cell.get("outputs", [])]
    assert any(out.output_type == "error" and out.ename == "KeyError" for out in outputs)


def test_killed_kernel_keeps_the_notebook(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "print('before')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    output = tmp_path / "out.ipynb"
    with pytest.raises(BetError, match="kernel died"):
        execute(notebook, output, {})
    assert "before" in output.read_text()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (None, "0 cells tagged 'parameters'"),
        ("alpha = len('x')", "not \"alpha = len"),
        ("import os", "not 'import os'"),
        ("alpha: int", "not 'alpha: int'"),
        ("alpha = ", "is not Python"),
    ],
)
def test_notebook_without_plain_parameters_is_refused(tmp_path, parameters, message):
    with pytest.raises(BetError, match=message):
        parameters_of(write(tmp_path / "a.ipynb", parameters=parameters))


def test_missing_and_broken_notebooks_are_refused(tmp_path):
    with pytest.raises(BetError, match="no notebook at"):
        parameters_of(tmp_path / "absent.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(BetError, match="not a notebook"):
        parameters_of(tmp_path / "broken.ipynb")


def test_page_is_self_contained_and_hides_code(tmp_path):
    picture = "from IPython.display import Image\nImage(data=b'\\x89PNG', format='png', alt='a picture')"
    notebook = write(tmp_path / "a.ipynb", "secret = 1", "print('shown')", picture)
    execute(notebook, tmp_path / "out.ipynb", {})
    render_html(tmp_path / "out.ipynb", tmp_path / "page.html", title="A title")
    page = (tmp_path / "page.html").read_text()
    assert "shown" in page and "data:image/png;base64" in page and "<title>A title</title>" in page
    assert "secret" not in page
    assert "<script" not in page and "<link" not in page
    render_html(tmp_path / "out.ipynb", tmp_path / "page.html", show_code=True)
    assert "secret" in (tmp_path / "page.html").read_text()


def test_page_that_would_load_something_is_refused(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "from IPython.display import HTML\nHTML('<img src=\"https://example.org/x.png\">')")
    execute(notebook, tmp_path / "out.ipynb", {})
    with pytest.raises(BetError, match=r"would load <img src=https://example"):
        render_html(tmp_path / "out.ipynb", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
