"""What serves best in how many bytes, which table is best by its file, and how both are shown."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import ENTITIES, only_cells, sized_study

from bet.actions import Allocation
from bet.analysis.answers import SIZES, best_tables, best_to_serve
from bet.analysis.results import REFERENCE, TABLE_BYTES, TO_SERVE
from bet.methods import IN_BYTES
from bet.report import byte_tables, figures
from bet.report.findings import what_serves_best, which_table_is_best
from bet.study.cell import Cell
from bet.study.part import decode, encode
from bet.study.record import Record
from bet.study.run import run_cell
from bet.tables import PrunedTable

QUALITY = {  # by table bytes per entity, and the limit where it is one of bytes
    "su": {"80%": (53.0, None, 0.40), "90%": (27.0, None, 0.30), "95%": (13.8, None, 0.20)},
    "sr": {"90%": (27.0, None, 0.25)},
    "uniform-int8": {"12.8 B/entity": (12.8, 12.8, 0.30), "26 B/entity": (26.0, 26.0, 0.34)},
    "uniform-int2": {"26 B/entity": (24.0, 26.0, 0.45), "6.4 B/entity": (6.4, 6.4, 0.15)},
}
RULES = {  # without a table, by bytes per entity to serve
    "graph-filter": {"none": (11.0, None, 0.40)},
    "popularity": {"none": (0.3, None, 0.10)},
}
SIZE = st.floats(1, 120).map(lambda size: round(size, 3))
POINTS = st.dictionaries(
    st.sampled_from(["su", "bet", "uniform-int2", "bet-int4", "pq", "item-knn"]),
    st.tuples(SIZE, st.none(), st.sampled_from([0.2, 0.3, 0.4, 0.5])),
    max_size=6,
)


def ruled(sized, **details):
    """Tables that need ten bytes per entity of interactions, and two references."""
    return sized(QUALITY | RULES, graph=10.0, **details)


def test_what_serves_best_by_hand(sized):
    results = ruled(sized)
    (group,) = results.groups
    best = best_to_serve(results, group).set_index("at most")
    assert best["method"].to_dict() == {
        6.4: "popularity",
        12.8: "graph-filter",
        25.6: "graph-filter",
        51.2: "uniform-int2",
    }
    assert best.loc[51.2, [TO_SERVE, TABLE_BYTES, "ndcg@20"]].tolist() == [34.0, 24.0, 0.45]
    assert best["holds"].tolist() == ["interactions"] * 3 + ["table and interactions"]
    assert best["of full"].tolist() == pytest.approx([0.2, 0.8, 0.8, 0.9])
    assert best["rival"].fillna("").tolist() == ["", "", "su", "su"]
    assert best.loc[25.6, "difference"] == pytest.approx(0.2)
    finding = what_serves_best(results)
    assert finding.answer.startswith(
        "On tiny graph-filter (reference) at 12.8 and 25.6 (80%, 80%) and uniform-int2 on LightGCN "
        "at 51.2 (90%), in brackets"
    )
    points = [point.removeprefix("tiny, protocol clean: ") for point in finding.points]
    lost = "-0.4000 [-0.4000, -0.4000]"
    fits = f"20% of the full LightGCN's ({lost}); no searched or float32 table fits."
    assert points[0].endswith(fits)
    gained = "the difference is +0.2000 [+0.2000, +0.2000]"
    assert points[2] == (
        "Within 25.6: graph-filter (reference) takes 11.0 (interactions) and has Recall@20 .4000, "
        "NDCG@20 .4000, 80% of the full LightGCN's (-0.1000 [-0.1000, -0.1000]); best searched or "
        f"float32 table: su on LightGCN with .2000, {gained}."
    )
    assert points[3].startswith("Within 51.2: uniform-int2 on LightGCN takes 34.0 (table and inter")
    table = byte_tables.best_at(results, group)
    assert table.text.loc["6.4", "best searched or float32"] == "–"
    assert table.text.loc["51.2", "best"] == "uniform-int2 on LightGCN"


def test_the_largest_size_is_shown_where_it_changes_the_answer(sized):
    better = QUALITY | {"su": {"80%": (53.0, None, 0.48)}}
    results = sized(better, graph=10.0)
    best = best_to_serve(results, *results.groups)
    assert best["method"].tolist() == ["uniform-int8", "uniform-int2", "su"]
    assert best["at most"].tolist() == [25.6, 51.2, 102.4]
    assert np.isnan(best["low"].iloc[-1]) and best["rival"].iloc[-1] == "su"
    last = what_serves_best(results).points[-1]
    assert last.endswith("; it is the best searched or float32 table as well.")


@settings(max_examples=25, deadline=None)
@given(points=POINTS, graph=st.sampled_from([0.0, 7.5]))
def test_the_best_that_fits_is_the_best_that_fits(search_record, points, graph):
    """Against a search of its own, for all studies: the choice, its rival, and the sizes. What is
    best on test is worst on validation.
    """

    def change(content):
        content["metrics"]["validation"]["quality"] = 0.9 - content["metrics"]["test"]["ndcg@20"]

    with pytest.MonkeyPatch.context() as patch:
        quality = {name: {_budget(name): point} for name, point in points.items()}
        cells, results = sized_study(search_record, quality, graph=graph, change=change)
        only_cells(patch, cells)
        rows = best_to_serve(results, *results.groups).to_dict("records")
    served = {"full": (257.0 + graph, 0.9 - 0.5)}
    for name, (size, _, mean) in points.items():
        served[name] = (
            round(size * ENTITIES) / ENTITIES + graph * (name != "item-knn"),
            0.9 - mean,
        )
    least = min(size for size, _ in served.values())
    shown = [row["at most"] for row in rows]
    assert shown in ([s for s in SIZES if least <= s], [s for s in SIZES[:-1] if least <= s])
    for row in rows:
        fits = {name: point for name, point in served.items() if point[0] <= row["at most"]}
        tables = {
            n: p for n, p in fits.items() if n[:3] == "bet" or n not in (*IN_BYTES, "item-knn")
        }
        assert fits[row["method"]] == _best(fits)
        assert pd.isna(row["rival"]) if not tables else tables[row["rival"]] == _best(tables)
        assert row[TO_SERVE] == pytest.approx(_best(fits)[0])


def _budget(method):
    return "none" if method == "item-knn" else "9 B/entity" if method in IN_BYTES else "90%"


def _best(served):
    """Size and quality of the best, of equals the smallest."""
    return min(served.values(), key=lambda point: (-point[1], point[0]))


def test_every_seed_must_fit_and_the_choice_is_on_those_that_all_have(sized):
    def change(content):
        names = content["cell"]
        if (names["method"], names["seed"]) == ("su", 1):
            content["serving"]["bytes"] += 12 * ENTITIES

    seeds = dict.fromkeys(["full", "su", "sr", "uniform-int8"], (0, 1))
    results = sized(QUALITY, seeds=seeds, change=change)
    best = best_to_serve(results, *results.groups).set_index("at most")
    assert best["method"].tolist() == ["uniform-int2", "uniform-int8", *2 * ["uniform-int2"]]
    assert pd.isna(best.loc[25.6, "rival"]), "su takes 13.8 with one seed, 25.8 with the other"
    assert best.loc[51.2, ["budget", "rival"]].tolist() == ["26 B/entity", "su"]


def test_the_table_of_bytes_says_what_is_counted(sized):
    def change(content):
        if content["cell"]["method"] == "su":
            content["serving"] |= {"weights": 1500, "interactions": 0, "seen_bytes": 8800}

    results = ruled(sized, change=change)
    table = byte_tables.quality_by_bytes(results, *results.groups)
    row = table.text.loc[("lightgcn", "su", "90%")]
    assert row[["bytes to serve", "table bytes", "of full"]].tolist() == ["37.00", "27.00", "60%"]
    row = table.text.loc[(REFERENCE, "graph-filter", "none")]
    assert row.tolist()[:3] == ["11.00", "interactions", "0.00"] and row["of full"] == "–"
    assert table.text.index[-1][0] == REFERENCE
    for part in ("Weights in it: lightgcn 1.5 bytes", "which adds 8.8;", "items add 3.0 to any"):
        assert part in table.caption
    at = table.data.groupby("backbone", sort=False)[TO_SERVE]
    assert at.is_monotonic_increasing.all()


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


def test_the_best_table_at_every_size_is_chosen_on_validation(sized):
    to_serve = {"pq": {"26 B/entity to serve": (26.0, 26.0, 0.5)}}
    results = sized(QUALITY | to_serve)
    (group,) = results.groups
    best = best_tables(results, group).set_index("sparsity")
    assert best["bytes"].to_dict() == {"80%": 52.0, "90%": 26.0, "95%": 12.8}
    assert best["float32"].tolist() == ["su"] * 3
    assert best["float32_share"].tolist() == pytest.approx([0.8, 0.6, 0.4])
    assert best.loc["90%", "packed"] == "uniform-int2"
    assert best.loc["90%", "packed_share"] == pytest.approx(0.9)
    assert best.loc["90%", "difference"] == pytest.approx(0.15)
    assert best.loc["95%", "packed"] == "uniform-int8" and best.loc["80%"].isna()["packed"]
    finding = which_table_is_best(results)
    assert finding.answer.startswith("On tiny quantized or coded tables at ")
    sentence = "\n".join(finding.points)
    assert "; uniform-int2 keeps 90% in 26.0 bytes (float32: su, 60%)" in sentence
    assert " su keeps 80% in 52.0 bytes;" in sentence


def test_bytes_are_drawn_where_the_files_are(sized):
    results = ruled(sized)
    figure = figures.bytes_by_backbone(results, *results.groups)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    points = [
        "full LightGCN, 267 bytes",
        "graph-filter, 11 bytes",
        "popularity, 0.3 bytes (.1000, below)",
    ]
    assert set(points) <= set(labels) and labels[-1] == "other methods"
    assert {"full table", "su", "uniform-int2", "uniform-int8"} == set(labels[:-1]) - set(points)
    for axis, besides in zip(figure.axes, (10, 0), strict=True):
        lines = {tuple(line.get_xdata()) for line in axis.lines}
        tables = [(13.8, 27.0, 53.0), (6.4, 24.0), (12.8, 26.0), (27.0,)]
        assert {tuple(size + besides for size in table) for table in tables} <= lines
        assert ((11.0,) in lines) == ((267.0,) in lines) == bool(besides)
    assert figure.axes[0].get_xlim()[0] < 6.4 and figure.axes[0].get_xlim()[1] > 267
    assert figure.axes[0].get_ylim()[0] == pytest.approx(figures.LOWEST * 0.5)


def test_a_reference_larger_than_all_tables_stands_at_the_edge(sized):
    results = sized(QUALITY | {"graph-filter": {"none": (4000.0, None, 0.4)}})
    axis = figures.bytes_by_backbone(results, *results.groups).axes[0]
    edge = [line for line in axis.lines if line.get_label() == "graph-filter, 4,000 bytes"]
    assert [line.get_xdata()[0] for line in edge] == [axis.get_xlim()[1]]
    assert axis.get_xlim()[1] < 512
