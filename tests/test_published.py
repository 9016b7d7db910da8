"""The published numbers, and ours beside them."""

import json

import pandas as pd
import pytest

from bet.analysis.results import METRICS, Results
from bet.report import published


@pytest.fixture
def study():
    """Two records of the profile paper with made-up test quality; everything else is missing."""
    record = json.loads(
        (published.Path(__file__).parent.parent / "reports" / "records.jsonl")
        .read_text()
        .splitlines()[0]
    )
    records = []
    for cell_id, value in (
        ("gowalla_lightgcn_80_bet_s0_merged", 0.2),
        ("gowalla_lightgcn_none_full_s0_merged", 0.3),
    ):
        test = record["metrics"]["test"] | dict.fromkeys(METRICS, value)
        records.append(record | {"cell_id": cell_id, "metrics": record["metrics"] | {"test": test}})
    return Results("paper", tuple(records), pd.DataFrame(columns=["cell_id", "user", *METRICS]))


def test_published_numbers_are_complete_and_plausible():
    frame = published.published()
    assert (
        len(frame) == 432
        and not frame.duplicated(["dataset", "backbone", "budget", "method", "metric"]).any()
    )
    assert frame["value"].between(0.005, 0.3).all() and set(frame["metric"]) == set(METRICS)
    assert (frame["note"] != "").sum() == 2

    def value(*key):
        return frame.set_index(["dataset", "backbone", "budget", "method", "metric"]).loc[
            key, "value"
        ]

    # From the paper's text and its second table.
    assert value("gowalla", "lightgcn", "own", "esapn", "recall@20") == 0.1579
    assert value("gowalla", "lightgcn", "90%", "bet", "recall@20") == 0.1620
    assert value("yelp2018", "lightgcn", "95%", "bet", "ndcg@20") == 0.0676
    assert value("gowalla", "lightgcn", "95%", "bet-random", "recall@20") == 0.1335


def test_ours_stand_beside_the_published(study):
    table = published.table_1(study, "gowalla", "merged", "recall@20")
    row = table.text.loc[("lightgcn", "bet")]
    assert list(row[:3]) == [".2000", ".1753", "+0.0247"] and list(row[3:6]) == [
        "missing",
        ".1620",
        "",
    ]
    assert list(table.text.loc[("lightgcn", "full")][:4]) == [".3000", "", "", ".3000"]
    assert list(table.text.loc[("lightgcn", "pep")][:3]) == ["missing", ".1588", ""]
    assert (
        table.text.loc[("lightgcn", "esapn (own; paper 75%)")].tolist()
        == ["missing", ".1579", ""] * 3
    )
    assert (
        table.text.loc[("ncf", "esapn (own; paper 74%)")].tolist() == ["", ".1280", ""] * 3
    )  # not in the profile
    data = table.data.set_index(["backbone", "budget", "method", "metric"])
    assert data.loc[("lightgcn", "80%", "bet", "ndcg@5"), "difference"] == pytest.approx(
        0.2 - 0.1303
    )
    second = published.table_2(study, "gowalla", "merged", "recall@20")
    assert second.text.loc[("lightgcn", "DeepSets")].tolist()[:2] == [".2000", ".1753"]
    assert second.text.loc[("lightgcn", "random")].tolist()[:2] == ["missing", ".1749"]
    for latex in (table.latex(), second.latex()):
        assert latex.startswith("\\begin{table}")


def test_statements_name_both_numbers(study):
    line, length = published.statements(study, "gowalla", "merged")
    curve = study.records[0]["learning_curve"]
    gain, rising = (
        curve[-1]["quality"] / curve[-2]["quality"] - 1,
        max(row["quality"] for row in curve) == curve[-1]["quality"],
    )
    assert f"{gain:.1%} of quality" in length and f"in {2 * rising} of 2 reported models" in length
    assert ".2000 against .1753 at 80%" in line and "90%" not in line
    assert (
        published.statements(study, "gowalla", "clean")
        == []
        == published.statements(study, "movielens-100k", "clean")
    )
