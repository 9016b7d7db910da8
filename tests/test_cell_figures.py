"""The figures of one cell's record, and what is said about it."""

import matplotlib.pyplot as plt
import msgspec
import pytest

from bet.report.style import use_style
from bet.study.record import Record
from bet.walkthrough import cell


@pytest.fixture
def record(search_record):
    return msgspec.convert(search_record, Record)


def test_cell_figures(record):
    use_style()
    for make in (cell.plot_learning_curve, cell.plot_search, cell.plot_sizes, cell.plot_budget):
        figure = make(record)
        assert all(axis.get_xlabel() for axis in figure.axes)
        plt.close(figure)
    assert cell.plot_search(msgspec.structs.replace(record, search=None)) is None


def test_what_is_said_about_a_search(record):
    curve = record.learning_curve
    best = max(curve, key=lambda row: row.quality)
    assert f"epoch {best.epoch} of {curve[-1].epoch}" in cell.explain_training(record)
    fittest = max(record.search.iterations, key=lambda row: row.fitness)
    sentence = cell.explain_search(record)
    assert f"t = {fittest.t} is the fittest" in sentence
    again = record.search.winners[-1].retrained_t
    assert sentence.endswith("the same." if again == fittest.t else "another one.")
    assert "100.0% of it used" in cell.explain_budget(record)
    assert "first 20 recommendations" in cell.explain_quality(record)


def test_a_table_above_its_budget_is_never_explained_away(record):
    size = msgspec.structs.replace(record.size, parameters=record.size.limit + 1)
    with pytest.raises(AssertionError, match="exact"):
        cell.explain_budget(msgspec.structs.replace(record, size=size))


def test_what_is_said_where_there_is_nothing(record):
    size = msgspec.structs.replace(record.size, parameters=0)
    bare = msgspec.structs.replace(record, search=None, learning_curve=(), size=size)
    assert cell.explain_training(bare).startswith("Nothing is trained")
    assert cell.explain_search(bare) == "No search: one training."
    assert cell.explain_budget(bare).startswith("There is no table")
    tried = msgspec.structs.replace(bare, trials=({"rate": 1},) * 3)
    assert cell.explain_search(tried) == "No search; 3 settings were tried."
