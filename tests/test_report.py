"""From records to a report: what is bold, compared and missing is so in the records."""

import copy
import dataclasses
import json
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from bet.analysis.results import METRICS, RECORDS, Results, load_results, restore, write_bundle
from bet.analysis.statistics import average_ranks, best_competitor, compare, holm, paired
from bet.errors import BetError
from bet.methods import METHODS
from bet.report import figures, tables
from bet.report import paper_alternatives as choices
from bet.report.build import build
from bet.report.display import missing
from bet.report.findings import findings, provenance
from bet.report.style import METHOD_COLORS, METHOD_MARKERS, use_style
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.run import run_cell
from bet.walkthrough import cell as cell_figures

USERS = 40
BASE = {
    "full": 0.5,
    "su": 0.30,
    "sr": 0.25,
    "powerlaw": 0.33,
    "bet": 0.36,
    "bet-random": 0.34,
    "bet-simple": 0.35,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A real record of a search to vary."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RESULTS", "CACHE"):
            patch.setenv(f"BET_{name}", str(tmp_path_factory.mktemp("run")))
        return run_cell(Cell("tiny", "lightgcn", "80%", "bet", profile="smoke", iterations=6))


def cells_of(backbones=("lightgcn", "ncf"), budgets=("80%", "90%"), seeds=(0, 1)):
    found = []
    for seed in seeds:
        for backbone in backbones:
            found.append(Cell("tiny", backbone, "none", "full", seed, profile="smoke"))
            found += [
                Cell("tiny", backbone, b, m, seed, profile="smoke")
                for b in budgets
                for m in BASE
                if m != "full"
            ]
        found += [
            Cell("tiny", "lightgcn", "90%", m, seed, profile="smoke", iterations=50)
            for m in ("bet", "bet-random")
        ]
        found += [
            Cell("tiny", "lightgcn", "90%", "bet", seed, profile="smoke", actions=m)
            for m in (20, 40)
        ]
    return tuple(found)


@pytest.fixture
def synthetic(template, monkeypatch):
    """Call with cells and those left out; gives a Results whose test and validation quality follow
    ``BASE``.
    """

    def make(cells, left_out=(), base=BASE, validation=None):
        monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], cells=cells))
        records, per_user = [], []
        for i, cell in enumerate(cells):
            if cell.id in left_out:
                continue
            record = copy.deepcopy(template)
            rng = np.random.default_rng(i)
            values = {
                m: np.clip(base[cell.method] + 0.02 * rng.standard_normal(USERS), 0, 1)
                for m in METRICS
            }
            record |= {
                "cell_id": cell.id,
                "cell": dataclasses.asdict(cell),
                "per_user": f"{cell.id}.parquet",
            }
            record["metrics"]["test"] |= {
                name: float(value.mean()) for name, value in values.items()
            }
            record["metrics"]["validation"]["quality"] = (validation or base)[cell.method]
            share = {None: 1.0, "80%": 0.2, "90%": 0.1}[cell.budget]
            limit = int(share * record["size"]["full_parameters"])
            record["size"] |= {
                "limit": None if cell.budget is None else limit,
                "parameters": limit,
            }
            if cell.method in ("full", "su", "sr"):
                record["search"] = None
            records.append(record)
            per_user.append(pd.DataFrame({"cell_id": cell.id, "user": range(USERS), **values}))
        frame = (
            pd.concat(per_user) if per_user else pd.DataFrame(columns=["cell_id", "user", *METRICS])
        )
        return Results("smoke", tuple(records), frame)

    return make


def test_comparison_shows_means_deviations_best_and_missing(synthetic):
    cells = cells_of()
    gone = [cell.id for cell in cells if cell.backbone == "ncf" and cell.method == "sr"]
    study = synthetic(cells, left_out=gone)
    table = tables.comparison(study, "tiny", "clean")
    row = study.main[
        (study.main["backbone"] == "ncf")
        & (study.main["method"] == "su")
        & (study.main["budget"] == "90%")
    ]
    mean, deviation = row["recall@20"].mean(), row["recall@20"].std(ddof=1)
    assert table.text.loc[
        ("ncf", "su"), ("sparsity 90%", "R@20")
    ] == f"{mean:.4f} ± {deviation:.4f}".replace("0.", ".")
    assert (table.text.loc[("ncf", "sr")] == "missing").all() and study.missing == gone
    assert (
        table.bold.loc[("ncf", "bet")].all()
        and not table.bold.drop(index=[("ncf", "bet"), ("lightgcn", "bet")]).any().any()
    )
    assert table.text.loc[("lightgcn", "bet")].str.endswith("*").all()
    numbers = table.data.set_index("cell_id") if "cell_id" in table.data else table.data
    assert len(numbers) == len(study.main)
    for content in (table.html(), table.latex()):
        assert "missing" in content
    assert (
        "font-weight: bold" in table.html()
        and r"\bfseries" in table.latex()
        and r"\toprule" in table.latex()
    )
    assert r"80\%" in table.latex()


def test_quantized_tables_are_compared_by_bytes_and_nowhere_else(template, synthetic, monkeypatch):
    """The template's tiny data: 16 columns, so that 90 % leaves 1.6 numbers, 6.4 bytes, per entity."""
    base = BASE | {"uniform-int4": 0.45, "bet-int8": 0.40}
    plain = cells_of(backbones=("lightgcn",))
    packed = tuple(
        Cell("tiny", "lightgcn", f"{point} B/entity", name, seed, profile="smoke")
        for seed in (0, 1)
        for point in ("6.4", "3.2")
        for name in ("uniform-int4", "bet-int8")
    )
    study = synthetic(plain, base=base)
    entities = template["data"]["users"] + template["data"]["items"]
    # Quantized cells that chose better on validation, and whose files take what they may.
    more, rows = [], [study.per_user]
    for cell in packed:
        record = copy.deepcopy(study.records[1])
        record |= {"cell_id": cell.id, "cell": dataclasses.asdict(cell)}
        point = float(cell.budget.split()[0])
        record["metrics"]["validation"]["quality"] = record["metrics"]["test"]["ndcg@20"] = base[
            cell.method
        ]
        record["size"] |= {
            "limit": None,
            "limit_bytes": int(point * entities),
            "bits": 4,
            "bytes": int(point * entities),
        }
        more.append(record)
        rows.append(
            pd.DataFrame(
                {
                    "cell_id": cell.id,
                    "user": range(USERS),
                    **dict.fromkeys(METRICS, base[cell.method]),
                }
            )
        )
    monkeypatch.setitem(
        PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], cells=plain + packed)
    )
    both = Results("smoke", study.records + tuple(more), pd.concat(rows))
    assert list(both.main.index) == list(study.main.index) and len(both.by_bytes) == len(
        study.by_bytes
    ) + len(packed)
    assert tables.comparison(both, "tiny", "clean").text.equals(
        tables.comparison(study, "tiny", "clean").text
    )
    assert tables.budget_use(both, "tiny", "clean").data.equals(
        tables.budget_use(study, "tiny", "clean").data
    )
    data = tables.quality_by_bytes(both, "tiny", "clean").data.set_index(["budget", "method"])
    assert data.loc[("6.4 B/entity", "uniform-int4"), "bytes_per_entity"] == pytest.approx(
        6.4, abs=1 / entities
    )
    ceiling = both.by_bytes.loc[both.by_bytes["method"] == "full", "ndcg@20"].mean()
    assert data.loc[("6.4 B/entity", "bet-int8"), "of full"] == pytest.approx(0.40 / ceiling)
    first = findings(both).splitlines()[0]
    where = "tiny, protocol clean, lightgcn; best on validation, 95 % intervals over users"
    assert first.startswith(f"- **The same bytes, quantized or float32** ({where}): 6.4 bytes")
    assert (
        f"(90%): uniform-int4 {0.45 / ceiling:.0%} of the full table's NDCG@20 against " in first
        and "(bet), difference +0.09" in first
    )
    assert "quantized" not in findings(study)
    figure = figures.quality_against_bytes(both, "tiny", "clean")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"uniform-int4", "bet-int8", "bet", "other float32 methods"} <= set(labels)
    whole, near = figure.axes
    assert len(near.get_xticks()) > 1 and np.log2(near.get_xlim()) == pytest.approx(
        np.log2(near.get_xticks()[[0, -1]])
    )
    assert (
        near.get_ylim()[0] == pytest.approx(figures.NEAR * ceiling)
        and whole.get_ylim()[0] < near.get_ylim()[0]
    )
    plt.close(figure)


def test_every_method_has_a_color_and_a_marker():
    assert set(METHOD_COLORS) >= set(METHODS) and set(METHOD_MARKERS) == set(METHODS)
    assert len(set(METHOD_COLORS.values())) == len(METHOD_COLORS)


def test_one_seed_has_no_deviation(synthetic):
    table = tables.comparison(synthetic(cells_of(seeds=(0,))), "tiny", "clean")
    assert not table.text.map(lambda entry: "±" in entry).any().any()


def test_competitor_is_chosen_on_validation_not_on_test(synthetic):
    study = synthetic(cells_of(), validation=BASE | {"su": 0.9})
    assert best_competitor(study.main[study.main["budget"] == "80%"]) == "su"
    result = compare(study, "ndcg@20")
    assert (
        set(result["opponent"]) == {"su"}
        and len(result) == 4
        and (result["difference"] > 0.04).all()
    )
    assert (compare(study, "ndcg@20", opponent="bet-random")["opponent"] == "bet-random").all()


def test_paired_agrees_with_scipy_and_has_a_direction():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.1, 0.3, 200)
    result = paired(differences)
    assert result.p == pytest.approx(scipy_stats.wilcoxon(differences).pvalue)
    assert result.low < result.difference < result.high
    expected = scipy_stats.bootstrap(
        (differences,), np.mean, n_resamples=2000, method="percentile", rng=1
    ).confidence_interval
    assert (result.low, result.high) == pytest.approx(tuple(expected), abs=0.01)
    mirrored = paired(-differences)
    assert mirrored.difference == -result.difference and mirrored.p == pytest.approx(result.p)
    assert paired(np.zeros(10)).p == 1.0


def test_bootstrap_interval_covers_the_mean():
    rng = np.random.default_rng(1)
    inside = [
        (r := paired(rng.normal(0.05, 0.2, 150), seed=i)).low <= 0.05 <= r.high for i in range(100)
    ]
    assert sum(inside) >= 88


def test_paired_table_names_all_opponents(synthetic):
    table = tables.paired_tests(synthetic(cells_of()))
    kinds = table.data.groupby("kind")["opponent"].agg(lambda names: set(names)).to_dict()
    assert kinds == {
        "best on validation": {"powerlaw"},
        "tuned rule": {"powerlaw"},
        "random selection": {"bet-random"},
    }
    assert (table.data["seeds"] == 2).all() and table.text["ahead"].isin(
        ["0 of 2", "1 of 2", "2 of 2"]
    ).all()
    assert (table.data["ahead"] == 2).sum() > len(table.data) / 2  # BET is made to be ahead


RIVALS = BASE | {"magnitude": 0.40, "esapn": 0.20, "amtl": 0.31}


def with_rivals(seeds=(0, 1)):
    """``cells_of`` with three competitors, two of them also without a budget."""
    more = [
        Cell("tiny", backbone, budget, method, seed, profile="smoke")
        for seed in seeds
        for backbone in ("lightgcn", "ncf")
        for budget in ("80%", "90%", "none")
        for method in ("magnitude", "esapn", "amtl")
        if budget != "none" or method != "magnitude"
    ]
    return (*cells_of(), *more)


def test_own_sizes_have_rows_of_their_own_and_are_never_the_best(synthetic):
    study = synthetic(with_rivals(), base=RIVALS | {"esapn": 0.9})
    for record in study.records:
        if record["cell"]["budget"] is None and record["cell"]["method"] == "esapn":
            record["size"]["parameters"] = record["size"]["full_parameters"] // 4
    table = tables.comparison(study, "tiny", "clean")
    assert {
        ("ncf", "esapn"),
        ("ncf", "esapn (own, 75%)"),
        ("ncf", "amtl (own, 0%)"),
        ("ncf", "full"),
    } <= set(table.text.index)
    assert (
        table.bold.loc[("ncf", "esapn")].all()
        and not table.bold.loc[("ncf", "esapn (own, 75%)")].any()
    )
    assert {"esapn", "esapn (own)"} <= set(tables.cost(study, "tiny", "clean").data["method"])


def test_ranks_equal_scipy_and_leave_out_methods_that_hardly_ran(synthetic):
    cells = with_rivals()
    hardly = [cell.id for cell in cells if cell.method == "esapn" and cell.budget is not None][1:]
    one = next(
        cell.id
        for cell in cells
        if (cell.method, cell.backbone, cell.budget) == ("amtl", "ncf", "90%") and cell.seed == 1
    )
    study = synthetic(cells, left_out=[*hardly, one], base=RIVALS)
    blocks = tables.rank_blocks(study, "ndcg@20")
    assert (
        "esapn" not in blocks and {"magnitude", "amtl", "bet"} <= set(blocks) and len(blocks) == 4
    )
    found = average_ranks(blocks)
    assert (
        found.mean.index[0] == "magnitude"
        and found.mean["magnitude"] == 1
        and found.mean.index[-1] == "sr"
    )
    assert found.p == pytest.approx(scipy_stats.friedmanchisquare(*blocks.to_numpy().T).pvalue)
    # Demsar, JMLR 2006, table 5: q = 3.031 for eight methods.
    assert found.difference == pytest.approx(3.031 * np.sqrt(8 * 9 / (6 * 4)), rel=1e-3)
    assert tables.ranks(study).text.index[0] == "magnitude" and "Average ranks" in findings(study)
    figure = figures.ranks(study)
    assert len(figure.axes[0].get_yticks()) == 8 and figure.axes[0].get_xlabel()
    plt.close(figure)
    nothing = Results("smoke", (), study.per_user.iloc[:0])
    assert "missing" in tables.ranks(nothing).html() and figures.ranks(nothing).axes[0].texts


def test_methods_with_fewer_seeds_are_not_compared(synthetic):
    """Every seed has its own split: one lucky seed must neither be bold nor the best competitor."""
    cells = [cell for cell in with_rivals() if cell.method != "magnitude" or cell.seed == 0]
    study = synthetic(tuple(cells), base=RIVALS)
    assert best_competitor(study.main[study.main["budget"] == "80%"]) == "powerlaw"
    table = tables.comparison(study, "tiny", "clean")
    assert table.bold.loc[("ncf", "bet")].all() and not table.bold.loc[("ncf", "magnitude")].any()


def test_tuning_of_competitors_is_shown(synthetic):
    study = synthetic(with_rivals(), base=RIVALS)
    assert "missing" in tables.trials(study, "tiny", "clean").html()
    tried = [{"gamma": 0.0, "quality": 0.2}, {"gamma": 0.5, "quality": 0.3}]
    for record in study.records:
        if record["cell"]["method"] == "magnitude":
            record["trials"] = tried
    text = tables.trials(study, "tiny", "clean").text
    assert (
        len(text) == 8
        and (text["retrained"] == 2).all()
        and text["best on validation"].str.contains("gamma 0.5").all()
    )


def test_cells_above_their_budget_survive_bundle_and_restore(synthetic, tmp_path):
    cells = with_rivals()
    study = synthetic(cells, base=RIVALS)
    key = PROFILES["smoke"].key(cells[-1])
    plain = {
        "cell_id": cells[-1].id,
        "key": key,
        "commit": None,
        "target": 5,
        "reached": 9,
        "why": "9 are left",
    }
    results, bundle = tmp_path / "results", tmp_path / "bundle"
    results.mkdir()
    (results / f"{cells[-1].id}.unreached").write_text(json.dumps(plain))
    (results / f"{cells[0].id}.unreached").write_text(
        json.dumps(plain | {"cell_id": cells[0].id, "key": "of other settings"})
    )
    found = load_results("smoke", results, bundle)
    assert found.unreached == (plain,) and not found.records
    write_bundle(
        dataclasses.replace(
            study,
            records=(),
            per_user=study.per_user.iloc[:0].assign(positives=0, hits=0),
            unreached=(plain,),
        ),
        bundle,
    )
    restore("smoke", bundle, tmp_path / "again")
    assert load_results("smoke", tmp_path / "again", bundle).unreached == (plain,)
    assert load_results("smoke", tmp_path / "nothing", bundle).unreached == (plain,)


def test_other_choices_are_computed(synthetic, template):
    study = synthetic(cells_of(backbones=("lightgcn",), seeds=(0,)))
    formula = choices.published_formula(study)
    assert list(formula.text.index) == [("tiny", "80%"), ("tiny", "90%")]
    assert (
        formula.data["over budget"].between(0, 1).all() and (formula.data["unused, mean"] > 0).all()
    )
    three = choices.top_three(study)
    ranked = sorted(template["search"]["retrained"], key=lambda row: (-row["fitness"], row["t"]))
    loss = max(row["quality"] for row in ranked) - max(row["quality"] for row in ranked[:3])
    assert (three.data["loss"] == loss).all() and three.text["searches"].sum() == len(
        three.data
    ) > 0
    nothing = Results("smoke", (), study.per_user.iloc[:0])
    assert (
        "missing" in choices.published_formula(nothing).html()
        and "missing" in choices.top_three(nothing).html()
    )


def test_missing_cells_are_named_or_counted(synthetic):
    cells = cells_of(backbones=("lightgcn",))
    study = synthetic(cells, [cell.id for cell in cells if cell.method == "sr"])
    assert missing(study) == "**Missing cells:** " + ", ".join(
        f"`{cell}`" for cell in study.missing
    )
    assert missing(study, most=3).endswith("\n\n- tiny, lightgcn: 4 of 4 of sr")
    assert missing(synthetic(cells, [cell.id for cell in cells]), most=3).endswith(
        f"- tiny, lightgcn: all {len(cells)}"
    )


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])


def test_users_are_averaged_over_seeds_before_the_test(synthetic):
    study = synthetic(cells_of(backbones=("lightgcn",), budgets=("80%",)))
    sides = []
    for method in ("bet", "powerlaw"):
        ids = study.main.index[study.main["method"] == method]
        rows = [
            study.per_user.loc[study.per_user["cell_id"] == cell_id, "ndcg@20"].to_numpy()
            for cell_id in ids
        ]
        sides.append(np.mean(rows, axis=0))
    (row,) = compare(study, "ndcg@20").to_dict("records")
    assert (
        row["difference"] == pytest.approx((sides[0] - sides[1]).mean())
        and row["seeds"] == 2
        and row["users"] == USERS
    )


def test_findings_follow_the_records(synthetic):
    ahead = findings(synthetic(cells_of()))
    assert "BET is ahead in 4, significantly in 4, and significantly behind in 0" in ahead
    behind = findings(synthetic(cells_of(), base=BASE | {"bet": 0.2}))
    assert "BET is ahead in 0, significantly in 0, and significantly behind in 4" in behind
    cells = cells_of()
    assert "2 of 60 cells are missing" in findings(
        synthetic(cells, left_out=[cells[0].id, cells[1].id])
    )
    nothing = synthetic(cells, left_out=[cell.id for cell in cells])
    assert "nothing can be said" in findings(nothing)
    assert "0 of 60 finished" in provenance(nothing).to_string()


MAKERS = [
    figures.quality_against_budget,
    figures.sizes_against_frequency,
    figures.budget_use,
    figures.cost,
    figures.quality_against_actions,
    figures.quality_against_iterations,
    figures.predictor_loss,
]


@pytest.mark.parametrize("state", ["whole", "half", "nothing"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_figures_are_labeled_and_not_empty(synthetic, tmp_path, make, state):
    use_style()
    cells = cells_of()
    left_out = {"whole": [], "half": [c.id for c in cells[::2]], "nothing": [c.id for c in cells]}[
        state
    ]
    study = synthetic(cells, left_out)
    figure = make(study, "tiny", "clean") if MAKERS.index(make) < 4 else make(study)
    for axis in figure.axes:
        assert axis.get_xlabel()
        drawn = axis.lines or axis.patches or axis.containers
        assert drawn if state == "whole" else (drawn or axis.texts)
        if state == "nothing":
            assert axis.texts[-1].get_text() == "no finished cell yet"
    assert any(axis.get_ylabel() for axis in figure.axes) or make is figures.cost
    figures.write(figure, "figure", tmp_path)
    assert (tmp_path / "figure.png").stat().st_size > 5_000 and (tmp_path / "figure.pdf").is_file()
    plt.close(figure)


@pytest.mark.parametrize(
    "make", [tables.ablation, tables.budget_use, tables.cost, tables.comparison]
)
def test_tables_survive_missing_cells(synthetic, tmp_path, make):
    cells = cells_of()
    for left_out in ([c.id for c in cells[::2]], [c.id for c in cells]):
        table = make(synthetic(cells, left_out), "tiny", "clean")
        table.write(tmp_path)
        assert "missing" in table.html() or make in (tables.budget_use, tables.cost)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".html", ".tex"]
    assert "missing" in tables.paired_tests(synthetic(cells, [c.id for c in cells])).html()


def test_ablation_marks_the_best_selection(synthetic):
    table = tables.ablation(synthetic(cells_of()), "tiny", "clean")
    assert (
        table.bold.loc[("lightgcn", "DeepSets")].all()
        and not table.bold.loc[("lightgcn", "random")].any()
    )


def test_a_table_over_its_limit_would_show(synthetic):
    study = synthetic(cells_of())
    study.records[1]["size"]["parameters"] += 1
    table = tables.budget_use(dataclasses.replace(study), "tiny", "clean")
    assert (table.data["share used"] > 1).sum() == 1


def test_bundle_gives_the_study_back(template, tmp_path, monkeypatch):
    results = tmp_path / "results"
    results.mkdir()
    cell = Cell("tiny", "lightgcn", "80%", "bet", profile="smoke", iterations=6)
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], cells=(cell,)))
    path = results / f"{template['cell_id']}.json"
    path.write_text(json.dumps(template))
    with pytest.raises(BetError, match="per-user metrics"):
        load_results("smoke", results, tmp_path)
    frame = pd.DataFrame(
        {"user": [0, 1, 3], "positives": [1, 2, 3], "hits": [0b1, 0b10, 0]}, dtype=np.int32
    )
    frame.drop(columns="hits").to_parquet(results / template["per_user"])
    with pytest.raises(BetError, match="lacks hits"):
        load_results("smoke", results, tmp_path)
    frame.to_parquet(results / template["per_user"])
    study = load_results("smoke", results, tmp_path)
    write_bundle(study, tmp_path / "bundle")
    again = load_results("smoke", tmp_path / "nothing", tmp_path / "bundle")
    assert again.records == study.records
    assert list(study.per_user["recall@5"]) == [1.0, 0.5, 0.0]
    pd.testing.assert_frame_equal(again.per_user, study.per_user, check_categorical=False)
    path.write_text(json.dumps(template)[:-20])
    with pytest.raises(BetError, match="not a readable record"):
        load_results("smoke", results, tmp_path)
    path.write_text(json.dumps(template | {"schema": 0}))
    with pytest.raises(BetError, match="schema"):
        load_results("smoke", results, tmp_path)


def test_restored_records_are_not_run_again(tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    cells, results, bundle = (
        PROFILES["smoke"].cells[:2],
        tmp_path / "results" / "smoke",
        tmp_path / "bundle",
    )
    records = [run_cell(cell) for cell in cells]
    write_bundle(load_results("smoke", results, bundle), bundle)
    files = {path.name: path.read_bytes() for path in sorted(results.iterdir())}
    assert restore("smoke", bundle, results) == 0
    shutil.rmtree(results)
    assert (
        restore("smoke", bundle, results) == 2
        and len({path.stat().st_mtime_ns for path in results.iterdir()}) == 1
    )
    assert {path.name for path in results.iterdir()} == set(files)
    assert all(
        (results / f"{cell.id}.json").read_bytes() == files[f"{cell.id}.json"] for cell in cells
    )
    monkeypatch.setitem(METHODS, "su", None)
    monkeypatch.setitem(METHODS, "full", None)
    assert [run_cell(cell) for cell in cells] == records
    # Records of other settings are of no use.
    shutil.rmtree(results)
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], d_max=8))
    assert restore("smoke", bundle, results) == 0
    with pytest.raises(BetError, match="no records in"):
        restore("smoke", tmp_path, results)


def test_cell_figures(template):
    use_style()
    for make in (
        cell_figures.plot_learning_curve,
        cell_figures.plot_search,
        cell_figures.plot_sizes,
        cell_figures.plot_budget,
    ):
        figure = make(template)
        assert all(axis.get_xlabel() for axis in figure.axes)
        plt.close(figure)
    assert cell_figures.plot_search(template | {"search": None}) is None


def test_build_from_results_and_again_from_the_bundle(tmp_path, monkeypatch):
    for name in ("RESULTS", "REPORTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name.lower()))
    for cell in PROFILES["smoke"].cells[:2]:
        run_cell(cell)
    html = build("smoke")
    folder = tmp_path / "reports" / "smoke"
    assert html == folder / "report.html"
    names = {
        "comparison",
        "paired",
        "ranks",
        "ablation",
        "budget",
        "bytes",
        "area",
        "crossings",
        "cost",
        "trials",
    }
    names |= {"published_formula", "top_three"}
    assert {path.name for path in (folder / "tables").iterdir()} == {
        f"{n}.{s}" for n in names for s in ("html", "csv", "tex")
    }
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {
        path.stem for path in (folder / "figures").glob("*.pdf")
    }
    page = html.read_text()
    assert (
        f"2 of {len(PROFILES['smoke'].cells)} finished" in page
        and "Missing cells" in page
        and page.count("data:image/png;base64") >= 4
    )
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "none"))
    before = (folder / RECORDS).read_text()
    build("smoke")
    assert (
        folder / RECORDS
    ).read_text() == before and f"2 of {len(PROFILES['smoke'].cells)} finished" in html.read_text()
