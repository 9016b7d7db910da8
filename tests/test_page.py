"""One HTML file from an executed notebook."""

import base64
from pathlib import Path

import nbformat
import pytest

from bet.errors import BetError
from bet.report.page import render_html, settle

# The smallest PNG there is: one gray pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def executed(
    path: Path, *, html: str = "<table><tr><td>3</td></tr></table>", text: str = "Some text."
) -> Path:
    outputs = [
        nbformat.v4.new_output(
            "display_data",
            {"image/png": base64.b64encode(PIXEL).decode(), "text/plain": "<Figure>"},
        ),
        nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": "3"}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell(
            f"# A title\n\n{text}\n\n[a link](https://example.org) and x²\n\n## A part"
        ),
        nbformat.v4.new_code_cell("secret_source = 1", outputs=outputs, execution_count=1),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.filterwarnings("ignore:Alternative text is missing")
def test_the_page_is_one_file_without_scripts_or_inputs(tmp_path):
    page = tmp_path / "report.html"
    render_html(executed(tmp_path / "in.ipynb"), page, title="The study")
    content = page.read_text()
    assert "<title>The study</title>" in content
    assert "<script" not in content
    assert "secret_source" not in content
    assert "data:image/png;base64," in content
    assert "<td>3</td>" in content
    assert 'href="https://example.org"' in content, "a link to follow loads nothing"
    assert 'href="#s0">A part</a>' in content and '<h2 id="s0">A part</h2>' in content


@pytest.mark.filterwarnings("ignore:Alternative text is missing")
@pytest.mark.parametrize(
    "html",
    [
        '<img src="https://example.org/a.png">',
        "<script src=//example.org/a.js></script>",
        '<link rel="stylesheet" href="a.css">',
        "<style>@import 'a.css';</style>",
        "<style>p { background: url(http://example.org/a.png) }</style>",
    ],
)
def test_a_page_that_would_load_something_is_refused(tmp_path, html):
    with pytest.raises(BetError, match="cannot become one file"):
        render_html(executed(tmp_path / "in.ipynb", html=html), tmp_path / "report.html", title="a")
    assert not (tmp_path / "report.html").exists()


def test_settling_takes_out_what_differs_and_empty_sections(tmp_path):
    notebook = nbformat.read(executed(tmp_path / "in.ipynb"), as_version=4)
    notebook.cells += [
        nbformat.v4.new_markdown_cell("## Nothing here"),
        nbformat.v4.new_code_cell("", execution_count=2),
        nbformat.v4.new_markdown_cell("## Prose only"),
    ]
    notebook.metadata.papermill = {"duration": 3.0}
    notebook.metadata.language_info = {"name": "python", "version": "3.11.7"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    settle(tmp_path / "in.ipynb")
    text = (tmp_path / "in.ipynb").read_text()
    for gone in ("papermill", "3.11.7", "Nothing here"):
        assert gone not in text
    cells = nbformat.read(tmp_path / "in.ipynb", as_version=4).cells
    assert [cell.id for cell in cells] == ["cell-0", "cell-1", "cell-2"]
    assert cells[1].execution_count is None and cells[2].source == "## Prose only"
