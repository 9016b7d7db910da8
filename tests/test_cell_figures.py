"""The figures of one cell's record."""

import matplotlib.pyplot as plt
import msgspec

from bet.report.style import use_style
from bet.study.record import Record
from bet.walkthrough import cell


def test_cell_figures(search_record):
    use_style()
    record = msgspec.convert(search_record, Record)
    for make in (cell.plot_learning_curve, cell.plot_search, cell.plot_sizes, cell.plot_budget):
        figure = make(record)
        assert all(axis.get_xlabel() for axis in figure.axes)
        plt.close(figure)
    assert cell.plot_search(msgspec.structs.replace(record, search=None)) is None
