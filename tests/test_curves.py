"""Curves of quality against bytes: areas and crossings of known lines, intervals over users, and
what serving takes.
"""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bet.actions import Allocation
from bet.analysis.curves import (
    Curve,
    Panel,
    areas,
    crossings,
    last_crossing,
    lead,
    panels,
    shared_span,
)
from bet.analysis.results import METRICS, Results
from bet.analysis.serving import GRAPH, VECTORS, final_width
from bet.analysis.statistics import interval, paired, resampled_means
from bet.report import curve_tables, tables
from bet.report.findings import area_findings, findings
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import check_record
from bet.study.run import run_cell
from bet.tables import PrunedTable

USERS, ENTITIES = 400, 1000


def curve(octaves, method="m", start=0, validation=None):
    octaves = np.array(octaves, dtype=float)
    return Curve(
        method,
        octaves,
        np.arange(start, start + len(octaves)),
        np.array(validation or np.zeros(len(octaves))),
    )


def panel(lines, noise=0.0, users=USERS, validation=None, full=0.5, seed=0):
    """Methods by name: (octaves, mean qualities); every user's quality at a point deviates by
    ``noise``.
    """
    rng = np.random.default_rng(seed)
    curves, values = [], []
    for name, (octaves, qualities) in lines.items():
        curves.append(
            curve(octaves, name, len(values), (validation or {}).get(name, list(qualities)))
        )
        for quality in qualities:
            deviation = noise * rng.standard_normal(users)
            values.append(quality + deviation - deviation.mean())
    values = np.array(values)
    return Panel(
        "lightgcn", tuple(curves), (), (0,), users, values.mean(1), resampled_means(values), full
    ), values


@st.composite
def lines(draw):
    steps = draw(st.lists(st.floats(0.05, 2), min_size=1, max_size=6))
    qualities = draw(st.lists(st.floats(0, 1), min_size=len(steps) + 1, max_size=len(steps) + 1))
    octaves = 1 + np.cumsum([0.0, *steps])
    low, high = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    low, high = (
        octaves[0] + (octaves[-1] - octaves[0]) * share for share in (0.9 * low, 0.1 + 0.9 * high)
    )
    return octaves, np.array(qualities), low, high


@given(lines(), st.floats(0.01, 0.99))
def test_area_is_the_mean_of_the_curve(line, share):
    octaves, qualities, low, high = line
    area = curve(octaves).mean(low, high) @ qualities
    fine = np.unique(np.concatenate([np.linspace(low, high, 2001), octaves.clip(low, high)]))
    assert area == pytest.approx(
        np.trapezoid(np.interp(fine, octaves, qualities), fine) / (high - low), abs=1e-9
    )
    assert qualities.min() - 1e-12 <= area <= qualities.max() + 1e-12
    # A point on a segment changes nothing.
    more = np.insert(octaves, 1, octaves[0] + share * (octaves[1] - octaves[0]))
    assert curve(more).mean(low, high) @ np.interp(more, octaves, qualities) == pytest.approx(
        area, abs=1e-9
    )


def test_area_of_a_straight_line_is_its_middle():
    weights = curve([3, 4, 6]).mean(3, 6)
    assert weights == pytest.approx([1 / 6, 1 / 2, 1 / 3])
    assert weights @ [0.1, 0.2, 0.4] == pytest.approx(0.25)
    assert curve([3, 4, 6]).mean(3.5, 4.5) @ [0.1, 0.2, 0.4] == pytest.approx(0.2)


def test_resamples_are_those_of_the_paired_comparison():
    values = np.random.default_rng(0).normal(0.1, 0.3, (3, 150))
    low, high = interval(resampled_means(values))
    expected = [paired(row) for row in values]
    assert low == pytest.approx([found.low for found in expected]) and high == pytest.approx(
        [found.high for found in expected]
    )
    assert resampled_means(values, block=37) == pytest.approx(resampled_means(values))


def test_areas_are_relative_to_the_full_table_and_led_by_validation():
    made = {
        "a": ([3, 5], [0.2, 0.4]),
        "b": ([3, 4, 5], [0.3, 0.35, 0.4]),
        "short": ([4, 4.5], [0.5, 0.5]),
    }
    found, values = panel(made, noise=0.1, validation={"a": [0.9, 0.9]})
    assert found.span == (3, 5)
    table = areas(found).set_index("method")
    assert list(table.index) == ["a", "b"]  # on test b is ahead
    assert list(table["area"]) == pytest.approx([0.3, 0.35]) and list(
        table["relative"]
    ) == pytest.approx([0.6, 0.7])
    assert tuple(table.loc["a", ["difference", "low", "high"]]) == (0, 0, 0)
    expected = paired(values[2:5].T @ [1 / 4, 1 / 2, 1 / 4] - values[:2].mean(0))
    assert tuple(table.loc["b", ["difference", "low", "high"]]) == pytest.approx(
        (0.05, expected.low, expected.high)
    )
    assert lead(found, "b", "a") == pytest.approx((0.05, expected.low, expected.high))


def test_the_range_is_the_one_that_most_curves_cover():
    floats = [curve([3.8, 4.75, 5.7]) for _ in range(5)]
    packed = [curve([2.7, 5.68]) for _ in range(3)]
    assert shared_span((*floats, *packed, curve([0.7, 5.68]), curve([2.7, 3.3]))) == (3.8, 5.68)
    assert shared_span((curve([1, 5]), curve([2, 6]))) == (2, 5)
    # One that would leave less than the least is left out.
    assert shared_span((curve([1, 5]), curve([1, 4]), curve([4, 8]))) == (1, 4)
    assert shared_span((curve([1, 1.5]), curve([4, 4.5]))) is None and shared_span(()) is None


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_straight_lines_cross_where_they_should(noise):
    """0.2 to 0.4 and 0.29 to 0.33 over [3, 6]: equal at 3 + 3 * 9 / 16 octaves."""
    found, _ = panel(
        {
            "steep": ([3, 4.2, 6], [0.2, 0.28, 0.4]),
            "flat": ([2, 7], [0.29 - 0.04 / 3, 0.33 + 0.04 / 3]),
        },
        noise,
    )
    (row,) = crossings(found).to_dict("records")
    assert (row["method"], row["opponent"]) == ("steep", "flat")
    assert row["bytes"] == pytest.approx(2 ** (3 + 27 / 16)) and row["share"] == 1
    assert row["behind"] == pytest.approx(-0.09) and row["ahead"] == pytest.approx(0.07)
    assert row["low"] <= row["bytes"] <= row["high"] and (row["high"] - row["low"] > 0.1) == (
        noise > 0
    )


def test_the_last_of_several_crossings_counts():
    places = np.array([0.0, 1, 2, 3, 4])
    differences = np.array(
        [
            [-1.0, 1, -1, 1, 1],
            [0.5, -1, -0.0, 3, 1],
            [-1, -1, -1, -1, 3],
            [-1, 0.5, 0.5, 0.1, 0.2],
            [-1, 0, 0, 0, 2],
        ]
    ).T
    assert last_crossing(places, differences) == pytest.approx([2.5, 2.0, 3.25, 2 / 3, 3.0])
    found, _ = panel({"a": ([0, 1, 2, 3, 4], [0.1, 0.3, 0.1, 0.3, 0.3]), "b": ([0, 4], [0.2, 0.2])})
    assert crossings(found)["bytes"].tolist() == pytest.approx([2**2.5])


def test_no_crossing_without_one_or_where_noise_dominates():
    apart = {
        "a": ([3, 6], [0.2, 0.4]),
        "b": ([3, 6], [0.1, 0.39]),
        "elsewhere": ([6, 8], [0.5, 0.2]),
    }
    assert crossings(panel(apart)[0]).empty
    assert crossings(panel({"a": ([3, 6], [0.2, 0.4]), "b": ([3, 6], [0.2, 0.4])})[0]).empty
    close = {"a": ([3, 6], [0.200, 0.310]), "b": ([3, 6], [0.201, 0.309])}
    assert len(crossings(panel(close)[0])) == 1 and crossings(panel(close, noise=0.2)[0]).empty
    # Many points around zero change sign somewhere in nearly every resample: that is not a lead.
    flat = {"a": (range(8), [0.199] + [0.2001] * 6 + [0.4]), "b": (range(8), [0.2] * 8)}
    assert crossings(panel(flat, noise=0.2)[0]).empty


def test_interval_of_a_crossing_covers_the_planted_one():
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = np.array([0.2, 0.4, 0.27, 0.33])
        values = (
            truth[:, None]
            + 0.3 * rng.standard_normal(USERS)
            + 0.2 * rng.standard_normal((4, USERS))
        )
        curves = (curve([3, 6], "a", 0), curve([3, 6], "b", 2))
        made = Panel(
            "lightgcn", curves, (), (0,), USERS, values.mean(1), resampled_means(values, seed), 1.0
        )
        (row,) = crossings(made).to_dict("records")
        inside.append(row["low"] <= 2**4.5 <= row["high"])
    assert 51 <= sum(inside)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RESULTS", "CACHE"):
            patch.setenv(f"BET_{name}", str(tmp_path_factory.mktemp("run")))
        return run_cell(Cell("tiny", "lightgcn", "80%", "su", profile="smoke"))


QUALITY = {  # by bytes per entity, and the limit where it is one of bytes
    "su": {"80%": (13.0, None, 0.20), "90%": (26.0, None, 0.30), "95%": (52.0, None, 0.40)},
    "uniform-int8": {
        "12.8 B/entity": (12.8, 12.8, 0.30),
        "25.6 B/entity": (25.6, 25.6, 0.34),
        "51.2 B/entity": (51.2, 51.2, 0.38),
    },
    "uniform-int1": {
        "12.8 B/entity": (10.0, 12.8, 0.25),
        "6.4 B/entity": (6.4, 6.4, 0.15),
        "102.4 B/entity": (10.0, 102.4, 0.27),
    },
    "hash": {"6.4 B/entity": (6.4, 6.4, 0.1)},
}


@pytest.fixture
def study_of(template, monkeypatch):
    """Call with ``QUALITY``'s form by method; gives a Results with these bytes and qualities; users
    differ by their own level.
    """

    def make(quality, seeds=None, backbone="lightgcn", protocol="clean", change=None):
        places = [
            (m, b, s)
            for m, points in quality.items()
            for b in points
            for s in (seeds or {}).get(m, (0,))
        ]
        places += [("full", "none", s) for s in sorted({s for _, _, s in places})]
        cells = tuple(
            Cell("tiny", backbone, b, m, s, protocol, profile="smoke") for m, b, s in places
        )
        monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], cells=cells))
        records, frames = [], []
        for cell in cells:
            size, limit, mean = (
                (257.0, None, 0.5) if cell.method == "full" else quality[cell.method][cell.budget]
            )
            mean += 0.01 * cell.seed
            record = copy.deepcopy(template)
            record |= {"cell_id": cell.id, "cell": dataclasses.asdict(cell)}
            record["data"] |= {
                "users": 600,
                "items": ENTITIES - 600,
                "train": 7000,
                "validation": 1000,
            }
            record["size"] |= {
                "bytes": round(size * ENTITIES),
                "limit": None if limit or cell.method == "full" else 16,
            }
            record["size"] |= {"limit_bytes": round(limit * ENTITIES), "bits": 8} if limit else {}
            record["metrics"]["validation"]["quality"] = mean
            if change:
                change(record)
            level = np.linspace(-0.05, 0.05, USERS)
            frames.append(
                pd.DataFrame(
                    {
                        "cell_id": cell.id,
                        "user": range(USERS),
                        **dict.fromkeys(METRICS, mean + level),
                    }
                )
            )
            record["metrics"]["test"] |= dict.fromkeys(METRICS, mean)
            records.append(record)
        return Results("smoke", tuple(records), pd.concat(frames))

    return make


def test_curves_of_a_study(study_of, monkeypatch):
    (found,) = panels(study := study_of(QUALITY), "tiny", "clean")
    own = {one.method: one for one in found.curves}
    assert (
        set(own) == {"su", "uniform-int8", "uniform-int1"}
        and found.others == ("hash",)
        and found.full == pytest.approx(0.5)
    )
    assert 2 ** own["su"].octaves == pytest.approx([13, 26, 52]) and found.means[
        own["su"].rows
    ] == pytest.approx([0.2, 0.3, 0.4])
    # Two files of 10 bytes are one point, and the curve goes on to the limit of 102.4.
    assert 2 ** own["uniform-int1"].octaves == pytest.approx([6.4, 10, 102.4])
    assert found.means[own["uniform-int1"].rows] == pytest.approx([0.15, 0.26, 0.26])
    assert own["uniform-int1"].validation == pytest.approx([0.15, 0.26, 0.26])
    assert 2 ** np.array(found.span) == pytest.approx([13, 51.2])
    table = curve_tables.area_under_curve(study, "tiny", "clean")
    assert list(table.data["method"]) == ["uniform-int8", "su", "uniform-int1", "hash"]
    assert (
        list(table.text.loc[("lightgcn", "hash")]) == ["–"] * 4
        and "13.0 to 51.2 bytes per entity, 400 users, seed 0" in table.caption
    )
    assert table.bold.loc[("lightgcn", "uniform-int8")].all() and table.bold.to_numpy().sum() == 4
    (row,) = table.data[table.data["method"] == "su"].to_dict("records")
    end = 0.3 + 0.1 * np.log2(51.2 / 26)
    by_hand = (0.25 + (0.3 + end) / 2 * np.log2(51.2 / 26)) / np.log2(51.2 / 13)
    assert row["area"] == pytest.approx(by_hand) and row["relative"] == pytest.approx(by_hand / 0.5)
    for content in (table.html(), table.latex()):
        assert "hash" in content
    pairs = curve_tables.crossings(study, "tiny", "clean")
    assert list(pairs.data["opponent"]) == ["uniform-int1", "uniform-int8"] and set(
        pairs.data["method"]
    ) == {"su"}
    # 0.2 + 0.1 t = 0.26; the other: 0.3 + 0.1 t = 0.34 + 0.04 (t + log2(26 / 25.6)), t octaves
    # above 26 bytes.
    assert list(pairs.data["bytes"]) == pytest.approx(
        [13 * 2**0.6, 26 * 2 ** ((0.04 + 0.04 * np.log2(26 / 25.6)) / 0.06)], rel=1e-3
    )
    assert list(pairs.text.index.get_level_values("overtakes")) == ["uniform-int1", "uniform-int8"]
    monkeypatch.setattr(curve_tables, "LEADERS", 1)
    pairs = curve_tables.crossings(study, "tiny", "clean")
    assert len(pairs.data) == 2 and list(pairs.text.index) == [("lightgcn", "su", "uniform-int8")]
    says = area_findings(study)
    assert (
        "from 13.0 to 51.2 bytes per entity uniform-int8 has the largest" in says
        and "over su, the best float32 one" in says
    )
    assert "Area" not in findings(study)


def test_all_curves_have_the_same_seeds(study_of):
    (found,) = panels(
        study_of(QUALITY, {"su": (0, 1), "uniform-int8": (0, 1), "uniform-int1": (0, 1)}),
        "tiny",
        "clean",
    )
    assert found.seeds == (0, 1) and found.means[found.curves[0].rows] == pytest.approx(
        [0.205, 0.305, 0.405]
    )
    (found,) = panels(
        study_of(QUALITY, {"su": (0, 1), "uniform-int8": (0, 1), "uniform-int1": (1, 2)}),
        "tiny",
        "clean",
    )
    assert found.seeds == (0, 1) and found.means[found.curves[0].rows] == pytest.approx(
        [0.205, 0.305, 0.405]
    )
    assert "uniform-int1" in found.others, (
        "a method that is only partly run takes no seeds from the others"
    )
    (found,) = panels(
        study_of(QUALITY, {"su": (0, 1), "uniform-int8": (1, 2), "uniform-int1": (1, 3)}),
        "tiny",
        "clean",
    )
    assert found.seeds == (1,) and found.means[found.curves[0].rows] == pytest.approx(
        [0.21, 0.31, 0.41]
    )
    # A method that has none of the usual seeds is the one without a curve.
    (found,) = panels(
        study_of(QUALITY, {"su": (0, 1), "uniform-int8": (0, 1), "uniform-int1": (2,)}),
        "tiny",
        "clean",
    )
    assert found.seeds == (0, 1) and set(found.others) == {"uniform-int1", "hash"}


def test_tables_of_curves_survive_missing_cells(study_of):
    nothing = study_of({"su": {"80%": (13.0, None, 0.2)}})
    for make in (curve_tables.area_under_curve, curve_tables.crossings):
        assert "missing" in make(nothing, "tiny", "clean").html()
        assert "missing" in make(dataclasses.replace(nothing, records=()), "tiny", "clean").html()
    assert "No two methods" in area_findings(nothing)
    apart = study_of(
        {
            "su": QUALITY["su"],
            "sr": {budget: (x, None, q - 0.1) for budget, (x, _, q) in QUALITY["su"].items()},
        }
    )
    assert "no such crossing is sure" in curve_tables.crossings(apart, "tiny", "clean").html()
    assert "no other kind of table" in area_findings(apart)


def served(study, protocol="clean"):
    table = tables.quality_by_bytes(study, "tiny", protocol)
    return table, table.data.set_index("budget").loc["90%"]


def test_serving_bytes_by_hand(study_of):
    """1,000 entities, 600 of them users, 7,000 edges (8,000 with validation), a table of 26 bytes
    per entity, d_max 16.
    """

    def change(record):
        record["size"] |= {"width": 5, "backbone_parameters": 250}
        record["settings"]["d_max"] = 16

    table, row = served(study_of(QUALITY, change=change))
    assert row[GRAPH] == pytest.approx(26 + 4 * (7000 + 601 + 250) / 1000) and row[VECTORS] == 4 * 5
    assert "Older records" not in table.caption
    table, row = served(study_of(QUALITY, protocol="merged", change=change), "merged")
    assert row[GRAPH] == pytest.approx(26 + 4 * (8000 + 601 + 250) / 1000)
    table, row = served(study_of(QUALITY, backbone="ngcf", change=change))
    assert row[VECTORS] == 4 * (5 + 3 * 16)
    table, row = served(study_of(QUALITY, backbone="ncf", change=change))
    assert (
        np.isnan(row[GRAPH])
        and np.isnan(row[VECTORS])
        and (table.text[[GRAPH, VECTORS]] == "–").all().all()
    )
    assert "NCF needs the table and its own weights, 1,000 bytes (1.0 per entity)" in table.caption


def test_older_records_have_the_widest_bin(study_of):
    def change(record):
        record["size"].pop("width", None)
        record["sizes"]["users"]["size"], record["sizes"]["items"]["size"] = [3.0, 2.5], [6.2, 1.0]

    table, row = served(study_of(QUALITY, change=change))
    assert row[VECTORS] == 4 * 7 and "Older records" in table.caption
    table, row = served(study_of({"magnitude": QUALITY["su"]}, change=change))
    assert row[VECTORS] == 4 * 16


@pytest.mark.parametrize(
    ("backbone", "method"),
    [("lightgcn", "su"), ("ncf", "sr"), ("lightgcn", "magnitude"), ("ngcf", "hash")],
)
def test_records_hold_the_width_of_what_the_backbone_reads(backbone, method, tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    record = run_cell(
        Cell(
            "tiny",
            backbone,
            "12.8 B/entity" if method == "hash" else "80%",
            method,
            profile="smoke",
        )
    )
    largest = max(size for side in record["sizes"].values() for size in side["size"])
    width = record["size"]["width"]
    assert width == 16 if method == "magnitude" else largest <= width <= 16
    if method in ("su", "hash"):
        assert width == np.ceil(largest)
    assert width < 16 or method != "su"
    check_record(record)
    old = copy.deepcopy(record)
    del old["size"]["width"]
    check_record(old)


def test_final_width_is_the_backbone_s():
    assert [final_width(name, 5, 16) for name in ("lightgcn", "ngcf", "ncf")] == [
        5,
        5 + 3 * 16,
        2 * 5,
    ]
    allocation = Allocation.from_mask(np.eye(3, 8, dtype=bool))
    assert PrunedTable(allocation, d_max=8, n_users=1)().shape[1] == 8  # zeros, but there
