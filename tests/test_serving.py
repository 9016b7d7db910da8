"""What serving takes, what is best at which size, and the columns that records hold."""

import msgspec
import numpy as np
import pytest
from made_up import ENTITIES

from bet.actions import Allocation
from bet.analysis.answers import best_at_sizes
from bet.analysis.serving import GRAPH, VECTORS
from bet.report import byte_tables, figures
from bet.report.findings import what_is_best_at_which_size
from bet.study.cell import Cell
from bet.study.record import Record, decode, encode
from bet.study.run import run_cell
from bet.tables import PrunedTable

QUALITY = {  # by bytes per entity, and the limit where it is one of bytes
    "su": {"80%": (53.0, None, 0.40), "90%": (27.0, None, 0.30), "95%": (13.8, None, 0.20)},
    "sr": {"90%": (27.0, None, 0.25)},
    "uniform-int8": {"12.8 B/entity": (12.8, 12.8, 0.30), "26 B/entity": (26.0, 26.0, 0.34)},
    "uniform-int2": {"26 B/entity": (24.0, 26.0, 0.45), "6.4 B/entity": (6.4, 6.4, 0.15)},
}


def served(results):
    table = byte_tables.quality_by_bytes(results, *results.groups)
    return table, table.data.set_index("budget").loc["90%"]


def test_serving_bytes_by_hand(sized):
    """1,000 entities, 600 of them users, 7,000 edges (8,000 with validation), a table of 27 bytes
    per entity, d_max 16.
    """

    def change(content):
        content["size"] |= {"width": 5, "backbone_parameters": 250}
        content["settings"]["d_max"] = 16

    only = {"su": QUALITY["su"]}
    table, row = served(sized(only, change=change))
    assert row[GRAPH] == pytest.approx(27 + 4 * (7000 + 601 + 250) / ENTITIES)
    assert row[VECTORS] == 4 * 5 and "Older records" not in table.caption
    table, row = served(sized(only, protocol="merged", change=change))
    assert row[GRAPH] == pytest.approx(27 + 4 * (8000 + 601 + 250) / ENTITIES)
    table, row = served(sized(only, backbone="ngcf", change=change))
    assert row[VECTORS] == 4 * (5 + 3 * 16)
    table, row = served(sized(only, backbone="ncf", change=change))
    assert np.isnan(row[GRAPH]) and np.isnan(row[VECTORS])
    assert (table.text[[GRAPH, VECTORS]] == "–").all(axis=None)
    assert "NCF needs the table and its own weights, 1,000 bytes (1.0 per entity)" in table.caption


def test_older_records_have_the_widest_bin(sized):
    def change(content):
        content["size"]["width"] = None
        content["sizes"]["users"]["size"] = [3.0, 2.5]
        content["sizes"]["items"]["size"] = [6.2, 1.0]

    table, row = served(sized({"su": QUALITY["su"]}, change=change))
    assert row[VECTORS] == 4 * 7 and "Older records" in table.caption
    table, row = served(sized({"magnitude": QUALITY["su"]}, change=change))
    assert row[VECTORS] == 4 * 16


@pytest.mark.parametrize(
    ("backbone", "method"),
    [("lightgcn", "su"), ("ncf", "sr"), ("lightgcn", "magnitude"), ("ngcf", "hash")],
)
def test_records_hold_the_width_of_what_the_backbone_reads(backbone, method, tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    budget = "12.8 B/entity" if method == "hash" else "80%"
    record = run_cell(Cell("tiny", backbone, budget, method, profile="smoke"))
    largest = max(*record.sizes.users.size, *record.sizes.items.size)
    width = record.size.width
    assert width == 16 if method == "magnitude" else largest <= width <= 16
    if method in ("su", "hash"):
        assert width == np.ceil(largest)
    assert width < 16 or method != "su"
    old = msgspec.to_builtins(record)
    del old["size"]["width"]
    assert decode(msgspec.json.encode(old), Record, "old").size.width is None
    assert decode(encode(record), Record, "new") == record


def test_a_pruned_table_has_all_columns():
    allocation = Allocation.from_mask(np.eye(3, 8, dtype=bool))
    assert PrunedTable(allocation, d_max=8, n_users=1)().shape[1] == 8  # zeros, but there


def test_the_best_at_every_size_is_chosen_on_validation(sized):
    results = sized(QUALITY)
    (group,) = results.groups
    best = best_at_sizes(results, group).set_index("sparsity")
    assert best["bytes"].to_dict() == {"80%": 52.0, "90%": 26.0, "95%": 12.8}
    assert best["float32"].tolist() == ["su"] * 3
    assert best["float32_share"].tolist() == pytest.approx([0.8, 0.6, 0.4])
    assert best.loc["90%", "packed"] == "uniform-int2"
    assert best.loc["90%", "packed_share"] == pytest.approx(0.9)
    assert best.loc["90%", "difference"] == pytest.approx(0.15)
    assert best.loc["95%", "packed"] == "uniform-int8" and best.loc["80%"].isna()["packed"]
    (sentence,) = what_is_best_at_which_size(results)
    assert "; uniform-int2 keeps 90% in 26.0 bytes (float32: su, 60%)" in sentence
    assert " su keeps 80% in 52.0 bytes;" in sentence
    table = byte_tables.best_at(results, group)
    assert table.text.loc[("lightgcn", "52.0"), "best packed"] == "–"


def test_bytes_are_drawn_where_the_files_are(sized):
    results = sized(QUALITY)
    figure = figures.quality_against_bytes(results, *results.groups)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "other methods"
    assert {"uniform-int2", "uniform-int8", "su", "full table"} == set(labels[:-1])
    whole, near = figure.axes
    lines = {tuple(line.get_xdata()) for line in whole.lines}
    assert {(13.8, 27.0, 53.0), (6.4, 24.0), (12.8, 26.0), (27.0,)} <= lines
    assert near.get_ylim()[0] == pytest.approx(figures.NEAR * 0.5)
    assert np.log2(near.get_xlim()) == pytest.approx(np.log2(near.get_xticks()[[0, -1]]))
