"""The published numbers, and ours beside them."""

import copy

import msgspec
import pandas as pd
import pytest
from made_up import cells_of

from bet.analysis import published
from bet.analysis.answers import training_ends
from bet.analysis.results import METRICS, Group, Results
from bet.report import tables
from bet.report.findings import how_close_to_published
from bet.study.record import Record

MERGED = Group("gowalla", "merged", "_gowalla_merged")


@pytest.fixture
def results(search_record):
    """Two records of the profile paper with made-up test quality; everything else is missing."""
    records = []
    for budget, method, value in (("80%", "bet", 0.2), (None, "full", 0.3)):
        content = copy.deepcopy(search_record)
        names = {"dataset": "gowalla", "budget": budget, "method": method, "protocol": "merged"}
        content["cell"] |= names
        label = "80" if budget else "none"
        content["cell_id"] = f"gowalla_lightgcn_{label}_{method}_s0_merged"
        content["metrics"]["test"] |= dict.fromkeys(METRICS, value)
        records.append(msgspec.convert(content, Record))
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


def test_ours_stand_beside_the_published(results):
    table = tables.beside_paper(results, MERGED)
    row = table.text.loc[("lightgcn", "bet")]
    assert list(row[:3]) == [".2000", ".1753", "+0.0247"]
    assert list(row[3:6]) == ["", ".1620", "–"]
    assert list(table.text.loc[("lightgcn", "full")][:4]) == [".3000", "", "–", ".3000"]
    assert list(table.text.loc[("lightgcn", "pep")][:3]) == ["", ".1588", "–"]
    assert list(table.text.loc[("lightgcn", "bet-random")][:2]) == ["", ".1749"]
    assert table.text.loc[("lightgcn", "esapn (own)")].tolist() == ["", ".1579", "–"] * 3
    assert "ncf" not in table.text.index.get_level_values(0), "none of ours has run"
    data = table.data.set_index(["backbone", "budget", "method", "metric"])
    difference = data.loc[("lightgcn", "80%", "bet", "ndcg@5"), "difference"]
    assert difference == pytest.approx(0.2 - 0.1303)
    assert table.latex().startswith("\\begin{table}")
    assert tables.beside_paper(results, Group("movielens-100k", "clean")) is None


def test_published_curves_are_those_of_the_same_data():
    curves = published.published_curves(MERGED, "lightgcn", "recall@20")
    assert curves["bet"].to_dict() == {5.0: 0.1374, 10.0: 0.1620, 20.0: 0.1753}
    assert published.published_curves(Group("gowalla", "clean"), "lightgcn", "recall@20") == {}


def test_sentences_name_both_numbers(results):
    finding = how_close_to_published(results)
    assert finding.answer == (
        "Recall@20 on gowalla (protocol merged): with LightGCN it is 14% above the paper's for BET."
    )
    sentence = "\n".join(finding.points)
    assert ".2000 against .1753 at 80% (+14% on average)" in sentence and "90%" not in sentence
    curve = [epoch.quality for epoch in results.records[0].learning_curve]
    ends = training_ends(results, MERGED).loc["lightgcn"]
    assert ends["models"] == 2 and ends["gain"] == pytest.approx(curve[-1] / curve[-2] - 1)
    assert ends["best"] == 2 * (max(curve) == curve[-1])
    assert ("training had not ended" in sentence) == (ends["best"] == 2)


def test_the_formula_misses_budgets_of_the_study(synthetic):
    """A row for every sparsity; the caption says the worst of them."""
    results = synthetic(cells_of(seeds=(0,)))
    data = published.formula_use(results)
    assert list(zip(data["dataset"], data["sparsity"], strict=True)) == [
        ("tiny", budget) for budget in sorted(set(results.main["budget"]) - {"none"})
    ]
    assert data["over budget"].between(0, 1).all() and (data["unused, mean"] > 0).all()
    table = tables.published_formula(results)
    assert f"up to {data['over budget'].max():.1%} exceed it" in table.caption
    nothing = Results("smoke", (), results.per_user)
    assert tables.published_formula(nothing) is None
