"""Links in README and docs lead somewhere, and the commands shown there exist."""

import importlib.util
import re
import shlex
from pathlib import Path

import nbformat
import pytest

from bet.__main__ import main
from bet.study.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What is shown as of today; the changelog also names what is gone.
SHOWN = [text for page, text in TEXT.items() if page.name != "CHANGELOG.md"]
CODE = r"^ {4}(.+)$|`([^`\n]+)`"  # a line of a block, or between backticks


def anchors(page):
    """What GitHub calls the headings of a page."""
    for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(notebook):
    """The text of its cells that are no code."""
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def links():
    for page, text in (TEXT | {path: prose(path) for path in NOTEBOOKS}).items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            yield pytest.param(page, target, id=f"{page.name}: {target}")


@pytest.mark.parametrize(("page", "target"), [*links()])
def test_links_lead_somewhere(page, target):
    if "://" in target:
        pytest.fail(f"{page.name}: {target} leads out of the repository; say what it is instead")
    file, _, anchor = target.partition("#")
    path = (page.parent / file).resolve() if file else page
    assert path.is_relative_to(ROOT) and path.exists()
    if anchor:
        assert anchor in anchors(path)


def test_every_page_of_docs_is_found_from_the_readme():
    readme = TEXT[ROOT / "README.md"]
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name


def paths():
    """Files and folders named between backticks, from the root of the checkout."""
    folders = "bet|workflow|notebooks|requirements|benchmarks|tests|docs|reports"
    named = {
        path for text in TEXT.values() for path in re.findall(rf"`((?:{folders})/[\w./]*)`", text)
    }
    yield from sorted(named)


@pytest.mark.parametrize("path", [*paths()])
def test_named_files_exist(path):
    assert (ROOT / path).exists()


def lines_of_code():
    for text in SHOWN:
        for block, inline in re.findall(CODE, text, flags=re.MULTILINE):
            yield block or inline


def bet_commands():
    """Every subcommand that is shown, and all options it is shown with."""
    shown = {}
    for line in lines_of_code():
        if re.match("bet [a-z]", line):
            _, subcommand, *rest = shlex.split(line, comments=True)
            options = shown.setdefault(subcommand, set())
            options |= {word.split("=")[0] for word in rest if word.startswith("--")}
    return shown


# Options of Snakemake, which `bet study` passes on.
PASSED_ON = {"--executor", "--default-resources"}


@pytest.mark.parametrize(("subcommand", "options"), sorted(bet_commands().items()))
def test_commands_exist(subcommand, options, capsys):
    with pytest.raises(SystemExit) as end:
        main([subcommand, "--help"])
    assert end.value.code == 0
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert options - PASSED_ON <= known


def test_there_are_commands():
    assert {"table", "run", "study", "report", "verify", "restore", "inspect"} <= set(
        bet_commands()
    )


def make_targets():
    matches = [re.match("make ([a-z-]+)", line) for line in lines_of_code()]
    yield from sorted({match[1] for match in matches if match})


@pytest.mark.parametrize("name", [*make_targets()])
def test_make_targets_exist(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE)


def test_modules_that_are_run_exist():
    matches = [re.search(r"python -m (benchmarks[\w.]*)", line) for line in lines_of_code()]
    names = {match[1] for match in matches if match}
    assert names
    for name in names:
        assert importlib.util.find_spec(name), name


def test_profiles_are_described():
    page = TEXT[ROOT / "docs" / "profiles.md"]
    described = dict(re.findall(r"^\| `([\w-]+)` \| (\d+): ", page, flags=re.MULTILINE))
    assert described == {name: str(len(profile.cells)) for name, profile in PROFILES.items()}
    results = TEXT[ROOT / "docs" / "results.md"]
    assert f"Of the {described['paper']} cells of profile `paper`" in results
    assert f"runs {described['default']} cells" in TEXT[ROOT / "README.md"]
