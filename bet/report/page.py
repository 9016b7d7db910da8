"""From an executed notebook to one self-contained HTML page with a list of contents."""

import re
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from string import Template

import nbformat
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from bet.errors import BetError
from bet.files import atomic_path
from bet.text import for_html

_FRAGMENT = """\
{% extends 'basic/index.html.j2' %}
{% block markdowncell %}<section class="prose">{{ cell.source | markdown2html }}</section>
{% endblock %}
{% block data_png scoped %}
<img src="data:image/png;base64,{{ output.data['image/png'] | replace('\\n', '') }}"
 alt="{{ output | get_metadata('alt', 'image/png') or 'figure' | e }}"
 width="{{ output | get_metadata('width', 'image/png') or '' | e }}">
{% endblock %}
"""


def settle(notebook: Path) -> None:
    """Take out of an executed notebook what differs from run to run (times, ids, versions), and the
    sections whose code has shown nothing.
    """
    content = nbformat.read(notebook, as_version=4)
    content.cells = list(chain.from_iterable(_sections(content)))
    content.metadata.pop("papermill", None)
    content.metadata.language_info = {"name": "python"}
    for number, cell in enumerate(content.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {name: cell.metadata[name] for name in ("tags",) if name in cell.metadata}
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                output.pop("execution_count", None)
    with atomic_path(notebook) as temporary:
        nbformat.write(content, temporary)


def _sections(notebook: NotebookNode) -> list[list[NotebookNode]]:
    """The cells from each heading of the second level on, without sections that show nothing."""
    sections: list[list[NotebookNode]] = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    return sections[:1] + list(filter(_shows_something, sections[1:]))


def _shows_something(section: list[NotebookNode]) -> bool:
    code = [cell for cell in section if cell.cell_type == "code"]
    return not code or any(cell.outputs for cell in code)


def render_html(notebook: Path, html: Path, *, title: str) -> None:
    """Render an executed notebook, without its code, as one HTML file that needs no other file, no
    script and no network.

    Formulas are not typeset: write them as plain Unicode. Raises BetError when the page would still
    load something.
    """
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"page.html.j2": _FRAGMENT})],
        template_file="page.html.j2",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        embed_images=True,
    )
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    headings = re.findall(r"<h2>(.*?)</h2>", body)
    for number, heading in enumerate(headings):
        body = body.replace(f"<h2>{heading}</h2>", f'<h2 id="s{number}">{heading}</h2>', 1)
    contents = "\n".join(f'<a href="#s{i}">{heading}</a>' for i, heading in enumerate(headings))
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    page = template.substitute(title=for_html(title), contents=contents, body=body)
    if loads := _loaded_by(page):
        what = ", ".join(loads)[:300]
        raise BetError(
            f"{notebook} cannot become one file: it would load {what}; embed it or leave it out"
        )
    with atomic_path(html) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _loaded_by(page: str) -> list[str]:
    """Everything a browser would fetch to show ``page``; a plain link to follow is not among it."""
    loads = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            loaded = {"src", "srcset", "poster", "data"} | ({"href"} if tag == "link" else set())
            for name, value in attrs:
                if name in loaded and value and not value.startswith(("data:", "#")):
                    loads.append(f"<{tag} {name}={value}>")

    Reader().feed(page)
    return loads + re.findall(r"@import\s[^;]*|\burl\([\"']?(?:https?:)?//[^)]*\)", page)
