"""Cells without a backbone: the command, the record, the notebook, the report."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from made_up import BASE, cells_of, smoke_cell

from bet.__main__ import main
from bet.analysis import summaries
from bet.analysis.published import beside_published
from bet.methods import REFERENCES
from bet.methods._shared import tuning
from bet.report import byte_tables, figures, tables
from bet.report.findings import findings
from bet.study.notebook import run_cell_notebook
from bet.study.profiles import PROFILES
from bet.study.record import read_record
from bet.study.run import run_cell
from bet.walkthrough import cell as walkthrough

KNOWN = BASE | {"popularity": 0.1, "graph-filter": 0.6, "item-knn": 0.58, "ease": 0.55}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE", "REPORTS"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    return tmp_path


def reference_cell(method, **others):
    return smoke_cell("none", None, method, **others)


@pytest.mark.parametrize("method", REFERENCES)
def test_a_reference_is_tuned_once_for_both_protocols(folders, method, monkeypatch):
    profile = PROFILES["smoke"]
    clean = reference_cell(method)
    merged = replace(clean, protocol="merged")
    monkeypatch.setitem(PROFILES, "smoke", replace(profile, cells=(clean, merged)))
    assert main(["run", "--data", "tiny", "--method", method, "--profile", "smoke"]) == 0
    first = read_record(clean)
    monkeypatch.setattr(tuning, "_evaluate", None)  # nothing is tuned a second time
    second = run_cell(merged)
    assert not (folders / "cache" / "work" / f"smoke-{clean.id}").exists()
    for record in (first, second):
        size = record.size
        assert size.parameters == size.bytes == size.width == size.backbone_parameters == 0
        assert size.limit is size.limit_bytes is record.search is None
        assert not record.learning_curve and not any(record.sizes.users.size)
        assert len(record.trials) == record.effort.evaluations > 0 == record.effort.trainings
        assert record.serving.form == ("order" if method == "popularity" else "interactions")
        assert bool(record.serving.weights) == (method in ("item-knn", "ease"))
        assert bool(record.serving.seen_bytes) == (method == "popularity")
    assert first.trials == second.trials and first.effort == second.effort
    assert first.metrics.validation == second.metrics.validation
    assert first.metrics.validation.quality == max(trial["quality"] for trial in first.trials)
    assert first.metrics.test != second.metrics.test
    for make in (walkthrough.plot_learning_curve, walkthrough.plot_sizes, walkthrough.plot_budget):
        assert make(first) is None
    assert walkthrough.plot_search(first) is None


def test_a_reference_runs_as_a_notebook(folders):
    cell = reference_cell("item-knn", seed=2)
    assert "shrinkage" in run_cell_notebook(cell).read_text()
    assert not read_record(cell).learning_curve


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "ease", "--backbone", "ncf"], "take the backbone 'none', no other method"),
        (["--method", "su", "--backbone", "none"], "'su' with backbone 'none': references (pop"),
        (["--method", "ease", "--budget", "90%"], "method 'ease' with budget '90%': full, pop"),
        (["--method", "su", "--budget", "none"], "method 'su' with budget 'none'"),
        (["--method", "ease", "--out", "x.bet"], "cannot write x.bet: ease has no table; leave"),
    ],
)
def test_what_a_reference_cannot_have_is_said_before_any_work(
    folders, capsys, arguments, message, monkeypatch
):
    monkeypatch.chdir(folders)
    assert main(["run", "--data", "tiny", "--profile", "smoke", *arguments]) == 1
    assert message in capsys.readouterr().err and not list(folders.iterdir())


def with_references(seeds=(0, 1)):
    cells = list(cells_of(seeds=seeds))
    for seed in seeds:
        cells += [reference_cell(method, seed=seed) for method in REFERENCES]
    return tuple(cells)


def untrained(content):
    if content["cell"]["method"] in REFERENCES:
        content["size"] |= {"parameters": 0, "bytes": 0, "width": 0, "limit": None}
        content |= {"learning_curve": [], "search": None}


@pytest.fixture
def results(synthetic):
    return synthetic(with_references(), base=KNOWN, change=untrained)


def test_references_stand_in_the_comparison_and_are_not_the_best_table(results):
    (group,) = results.groups
    table = tables.comparison(results, group)
    assert list(table.text.loc["none"].index) == list(REFERENCES)
    assert (table.text.loc["none"].nunique(axis=1) == 2).all(), "Recall and NDCG once more each"
    assert table.bold.loc[[("lightgcn", "bet"), ("ncf", "bet")]].all(axis=None)
    assert not table.bold.loc["none"].any(axis=None)
    assert "Backbone none: references, without a table" in table.caption
    costs = byte_tables.cost(results, group).text.loc["none"]
    assert sorted(costs.index) == sorted(REFERENCES)


def test_all_else_of_a_report_is_about_tables(results, synthetic):
    (group,) = results.groups
    assert "none" not in set(beside_published(results, group)["backbone"])
    assert "none" not in set(summaries.quality_by_bytes(results, group)["backbone"])
    grouped = (
        figures.quality_against_bytes,
        figures.quality_against_budget,
        figures.sizes_against_frequency,
    )
    for make in grouped:
        figure = make(results, group)
        assert {axis.get_title().split(",")[0] for axis in figure.axes} >= {"LightGCN", "NCF"}
        assert "References" not in str([axis.get_title() for axis in figure.axes])
        plt.close(figure)
    sentences = findings(results)
    without = synthetic(cells_of(), base=KNOWN)
    assert sentences == findings(without)


def test_a_study_of_references_only_has_a_report(synthetic):
    cells = [reference_cell(method) for method in REFERENCES]
    results = synthetic(cells, base=KNOWN, change=untrained)
    (group,) = results.groups
    assert len(tables.comparison(results, group).text) == len(REFERENCES)
    for make in (
        tables.beside_paper,
        byte_tables.best_at,
        byte_tables.quality_by_bytes,
        figures.quality_against_bytes,
        figures.quality_against_budget,
        figures.sizes_against_frequency,
    ):
        assert make(results, group) is None
    assert findings(results)
