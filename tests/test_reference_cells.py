"""Cells without a backbone: the command, the record, the notebook, the report."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from made_up import BASE, smoke_cell

from bet.__main__ import main
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
def test_a_refit_keeps_the_evaluations_and_adds_denser_ones(folders, method, monkeypatch):
    profile = PROFILES["smoke"]
    clean = reference_cell(method)
    merged = replace(clean, protocol="merged")
    monkeypatch.setitem(PROFILES, "smoke", replace(profile, cells=(clean, merged)))
    assert main(["run", "--data", "tiny", "--method", method, "--profile", "smoke"]) == 0
    first = read_record(clean)
    evaluate, fitted_to = tuning._evaluate, []

    def counted(context, *arguments):
        fitted_to.append(context.data.train.nnz)
        return evaluate(context, *arguments)

    monkeypatch.setattr(tuning, "_evaluate", counted)
    second = run_cell(merged)
    # What was evaluated on train is known; the refit looks at more interactions, never at all.
    assert first.data.train < min(fitted_to) < first.data.train + first.data.validation
    assert bool(first.numbers) == bool(second.numbers) == (method != "popularity")
    assert not (folders / "cache" / "work" / f"smoke-{clean.id}").exists()
    for record in (first, second):
        size = record.size
        assert size.parameters == size.bytes == size.width == size.backbone_parameters == 0
        assert size.limit is size.limit_bytes is record.search is None
        assert not record.learning_curve and not any(record.sizes.users.size)
        # Under merged all that was tried is tried again, on denser data.
        tried = len(record.trials) * (2 if record is second else 1)
        assert tried == record.effort.evaluations > 0 == record.effort.trainings
        assert record.serving.form == ("order" if method == "popularity" else "interactions")
        assert bool(record.serving.weights) == (method in ("item-knn", "ease"))
        assert bool(record.serving.seen_bytes) == (method == "popularity")
    assert first.trials == second.trials
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
        (["--method", "ease", "--with-seen"], "--with-seen goes with --out only; leave"),
    ],
)
def test_what_a_reference_cannot_have_is_said_before_any_work(
    folders, capsys, arguments, message, monkeypatch
):
    monkeypatch.chdir(folders)
    assert main(["run", "--data", "tiny", "--profile", "smoke", *arguments]) == 1
    assert message in capsys.readouterr().err and not list(folders.iterdir())


def untrained(content):
    if content["cell"]["method"] in REFERENCES:
        content["size"] |= {"parameters": 0, "bytes": 0, "width": 0, "limit": None}
        content |= {"learning_curve": [], "search": None}


def test_a_study_of_references_only_has_a_report(synthetic):
    cells = [reference_cell(method) for method in REFERENCES]
    results = synthetic(cells, base=KNOWN, change=untrained)
    (group,) = results.groups
    assert len(tables.comparison(results, group).text) == len(REFERENCES)
    figure = figures.bytes_by_backbone(results, group)
    for make in (
        tables.beside_paper,
        byte_tables.best_at,
        byte_tables.quality_by_bytes,
        byte_tables.cost,
        figures.quality_against_budget,
        figures.sizes_against_frequency,
    ):
        make(results, group)  # or nothing, but no error
    plt.close(figure)
    assert findings(results)
