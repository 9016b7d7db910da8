"""docs/paper_to_code.md names what exists, and leaves no equation, line, figure or method out."""

import importlib
import re
from pathlib import Path

import pytest

from bet.backbones import BACKBONES
from bet.methods import METHODS
from bet.stream import STREAM_METHODS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "paper_to_code.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Of the other branches of the redesign; to be removed with them in place.


def dotted_names():
    """Names like ``bet.actions.sampler.allocate`` between backticks, each once."""
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    return sorted(set(re.findall(r"`(bet(?:\.\w+)+)`", pages)))


def resolve(dotted):
    """The module, class, function, method or field of this name, and the module that the name says
    it is in; raises AttributeError if there is none.
    """
    module, _, attributes = dotted, None, []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, attribute = module.rpartition(".")
            attributes.insert(0, attribute)
    home = found
    for attribute in attributes:
        if attribute not in getattr(found, "__dataclass_fields__", {}):
            found = getattr(found, attribute)
    return found, home


def section(heading):
    return PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def first_column(heading):
    return re.findall(r"^\| ([^|]*?) \|", section(heading), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("name", dotted_names())
def test_names_exist(name):
    found, home = resolve(name)
    if home is not found and not hasattr(home, "__path__"):  # a file, where it must be defined
        assert getattr(found, "__module__", home.__name__) == home.__name__


def test_names_that_do_not_exist_are_noticed():
    for name in ("bet.actions.sampler.alocate", "bet.no_such_part", "bet.search.SearchSettings.x"):
        with pytest.raises(AttributeError):
            resolve(name)
    resolve("bet.search.SearchSettings.iterations")


def test_steps_and_equations_are_complete():
    assert [row.split(".")[0] for row in first_column("Ten steps")] == [*map(str, range(1, 11))]
    assert first_column("Equations") == [*map(str, range(1, 15))]


def test_algorithm_is_complete():
    lines = ", ".join(first_column("Algorithm 1, line by line")).split(", ")
    assert lines == [*map(str, range(1, 23))]


def test_figures_and_tables_are_complete():
    names = [row.split(",")[0] for row in first_column("Figures and tables")]
    assert names == [*(f"Figure {i}" for i in range(1, 7)), "Table 1", "Table 2"]


PLACES = {"Methods": METHODS, "Methods on streams": STREAM_METHODS, "Backbones": BACKBONES}


@pytest.mark.parametrize(("heading", "known"), PLACES.items())
def test_every_method_and_backbone_has_its_place(heading, known):
    names = re.findall(r"`([^`]+)`", " ".join(first_column(heading)))
    assert sorted(names) == sorted(known)


def test_every_row_has_a_name_or_a_link():
    for row in re.findall(r"^\|(?!-)(.*)\|$", PAGE, flags=re.MULTILINE):
        place = row.split("|")[-1].strip()
        assert place in ("where", "here") or "`bet." in place or "](" in place, row
