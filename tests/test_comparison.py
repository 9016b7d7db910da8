"""Methods compared: what is bold, tested and ranked is so in the records."""

import numpy as np
import pytest
from made_up import BASE, RIVALS, USERS, cells_of, smoke_cell, with_rivals
from scipy import stats as scipy_stats

from bet.analysis.results import REFERENCE, Results
from bet.analysis.statistics import (
    average_ranks,
    best_competitor,
    compare,
    rank_blocks,
)
from bet.report import byte_tables, tables


def comparison(results, **details):
    (group,) = results.groups
    return tables.comparison(results, group, **details)


def test_comparison_shows_means_deviations_best_and_missing(synthetic):
    cells = cells_of()
    gone = [cell.id for cell in cells if cell.backbone == "ncf" and cell.method == "sr"]
    also = [c.id for c in cells if (c.backbone, c.method, c.budget) == ("ncf", "su", "80%")]
    results = synthetic(cells, left_out=gone + also)
    table = comparison(results)
    row = results.main[
        (results.main["backbone"] == "ncf")
        & (results.main["method"] == "su")
        & (results.main["budget"] == "90%")
    ]
    mean, deviation = row["recall@20"].mean(), row["recall@20"].std(ddof=1)
    entry = table.text.loc[("ncf", "su"), ("sparsity 90%", "R@20")]
    assert entry == f"{mean:.4f} ± {deviation:.4f}".replace("0.", ".")
    assert table.text.loc[("ncf", "su"), ("sparsity 80%", "R@20")] == "missing"
    assert ("ncf", "sr") not in table.text.index, "a row without any result says nothing"
    assert sorted(results.missing) == sorted(gone + also)
    best = [("ncf", "bet"), ("lightgcn", "bet")]
    assert table.bold.loc[best].all(axis=None) and not table.bold.drop(index=best).any(axis=None)
    for metric, short in (("recall@20", "R@20"), ("ndcg@20", "N@20")):
        for row in compare(results, metric).to_dict("records"):
            entry = table.text.loc[(row["backbone"], "bet"), (f"sparsity {row['budget']}", short)]
            assert entry.endswith("*") == (row["wins"] or row["loses"])
    assert table.text.loc[("lightgcn", "bet")].str.endswith("*").any()
    assert len(table.data) == len(results.main)
    for content in (table.html(), table.latex()):
        assert "missing" in content
    assert "font-weight: bold" in table.html()
    for part in (r"\bfseries", r"\toprule", r"80\%"):
        assert part in table.latex()
    assert "R@5" in comparison(results, cutoff=5).latex()


def test_one_seed_has_no_deviation_and_says_so(synthetic):
    table = comparison(synthetic(cells_of(seeds=(0,))))
    assert not table.text.map(lambda entry: "±" in entry).any(axis=None)
    assert "a single seed (0)" in table.caption


def test_competitor_is_chosen_on_validation_not_on_test(synthetic):
    results = synthetic(cells_of(), validation=BASE | {"su": 0.9})
    assert best_competitor(results.main[results.main["budget"] == "80%"]) == "su"
    tests = compare(results, "ndcg@20")
    assert set(tests["opponent"]) == {"su"} and len(tests) == 4
    assert (tests["difference"] > 0.04).all()
    assert (
        compare(results, "ndcg@20", opponents=("bet-random",))["opponent"] == "bet-random"
    ).all()


def test_paired_table_names_all_opponents(synthetic):
    table = tables.paired_tests(synthetic(cells_of()))
    kinds = table.data.groupby("kind")["opponent"].agg(set).to_dict()
    assert kinds == {
        "best on validation": {"powerlaw"},
        "tuned rule": {"powerlaw"},
        "equal sizes": {"su"},
        "random selection": {"bet-random"},
    }
    assert (table.data["seeds"] == 2).all()
    assert table.text["ahead"].isin(["0 of 2", "1 of 2", "2 of 2"]).all()
    assert (table.data["ahead"] == 2).sum() > len(table.data) / 2  # BET is made to be ahead


def test_users_are_averaged_over_seeds_before_the_test(synthetic):
    results = synthetic(cells_of(backbones=("lightgcn",), budgets=("80%",)))
    sides = []
    for method in ("bet", "powerlaw"):
        ids = results.main.index[results.main["method"] == method]
        by_cell = results.per_user.set_index("cell_id")["ndcg@20"]
        sides.append(np.mean([by_cell.loc[cell_id].to_numpy() for cell_id in ids], axis=0))
    (row,) = compare(results, "ndcg@20").to_dict("records")
    assert row["difference"] == pytest.approx((sides[0] - sides[1]).mean())
    assert row["seeds"] == 2 and row["users"] == USERS


def test_own_sizes_have_rows_of_their_own_and_are_never_the_best(synthetic):
    def change(content):
        if content["cell"]["budget"] is None and content["cell"]["method"] == "esapn":
            content["size"]["parameters"] = content["size"]["full_parameters"] // 4

    results = synthetic(with_rivals(), base=RIVALS | {"esapn": 0.9}, change=change)
    table = comparison(results)
    names = {"esapn", "esapn (own, 75%)", "amtl (own, 0%)", "full"}
    assert {("ncf", name) for name in names} <= set(table.text.index)
    assert table.bold.loc[("ncf", "esapn")].all()
    assert not table.bold.loc[("ncf", "esapn (own, 75%)")].any()
    costs = byte_tables.cost(results, *results.groups)
    assert {"esapn", "esapn (own)"} <= set(costs.data["method"])


def test_ranks_equal_scipy_and_leave_out_methods_that_hardly_ran(synthetic):
    cells = with_rivals()
    budgeted = [cell for cell in cells if cell.budget in ("80%", "90%")]
    hardly = [cell.id for cell in budgeted if cell.method == "esapn"][1:]
    amtl = [c.id for c in cells if (c.method, c.backbone, c.budget) == ("amtl", "ncf", "90%")]
    results = synthetic(cells, left_out=[*hardly, amtl[1]], base=RIVALS)
    blocks = rank_blocks(results, "ndcg@20")
    assert "esapn" not in blocks and {"magnitude", "amtl", "bet"} <= set(blocks)
    assert len(blocks) == 4
    averages = average_ranks(blocks)
    assert averages.mean.index[0] == "magnitude" and averages.mean["magnitude"] == 1
    assert averages.mean.index[-1] == "sr"
    assert averages.p == pytest.approx(scipy_stats.friedmanchisquare(*blocks.to_numpy().T).pvalue)
    # Demsar, JMLR 2006, table 5: q = 3.031 for eight methods.
    assert averages.difference == pytest.approx(3.031 * np.sqrt(8 * 9 / (6 * 4)), rel=1e-3)
    assert tables.ranks(results).text.index[0] == "magnitude"
    assert tables.ranks(Results("smoke", (), results.per_user.iloc[:0])) is None


def test_a_method_with_fewer_seeds_is_compared_on_those_that_it_has(synthetic):
    cells = [cell for cell in with_rivals() if cell.method != "magnitude" or cell.seed == 0]
    results = synthetic(cells, base=RIVALS)
    assert best_competitor(results.main[results.main["budget"] == "80%"]) == "magnitude"
    duels = compare(results, "ndcg@20")
    assert set(duels["opponent"]) == {"magnitude"} and set(duels["seeds"]) == {1}
    bold = comparison(results).bold
    assert bold.loc[("ncf", "magnitude")].all() and not bold.loc[("ncf", "bet")].any()
    assert duels["loses"].all()


def test_a_lucky_split_makes_no_method_the_best(synthetic):
    """Every seed has its own split; that of seed 0 is easy for all methods."""

    def easier(content):
        if content["cell"]["seed"] == 0:
            for part in content["metrics"].values():
                part.update({name: min(1.0, value + 0.3) for name, value in part.items()})

    cells = [cell for cell in with_rivals() if cell.method != "magnitude" or cell.seed == 0]
    base = RIVALS | {"magnitude": RIVALS["powerlaw"] - 0.01}
    results = synthetic(cells, base=base, change=easier)
    block = results.main[results.main["budget"] == "80%"]
    means = block.groupby("method")["validation"].mean()
    assert means["magnitude"] > means["powerlaw"] and best_competitor(block) == "powerlaw"
    assert not comparison(results).bold.loc[("ncf", "magnitude")].any()


def test_references_are_shown_once_and_not_ranked(synthetic):
    cells = cells_of()
    rules = [smoke_cell("none", "none", "graph-filter", seed) for seed in (0, 1)]
    results = synthetic([*rules, *cells], base=BASE | {"graph-filter": 0.45})
    table = comparison(results)
    assert [name for name in table.text.index if name[1] == "graph-filter"] == [
        (REFERENCE, "graph-filter")
    ]
    assert table.text.index[-1] == (REFERENCE, "graph-filter")
    assert not table.bold.loc[(REFERENCE, "graph-filter")].any()
    assert table.text.loc[(REFERENCE, "graph-filter")].nunique() == 2, "the same at all budgets"
    assert table.bold.loc[("ncf", "bet")].all()
    assert list(rank_blocks(results, "ndcg@20")) == list(rank_blocks(synthetic(cells), "ndcg@20"))
    assert set(compare(results, "ndcg@20")["opponent"]) == {"powerlaw"}
    costs = byte_tables.cost(results, *results.groups).data
    assert costs.loc[costs["backbone"] == REFERENCE, "method"].tolist() == ["graph-filter"]


def test_budgets_of_bytes_to_serve_are_in_no_table_of_budgets(synthetic):
    cells = cells_of(seeds=(0,))
    served = [smoke_cell("ncf", text, "bet") for text in ("9 B/entity to serve", "9 kB to serve")]
    results = synthetic([*cells, *served], base=BASE)
    assert len(results.main) == len(results.by_bytes) - 2
    assert comparison(results).text.shape[1] == 4
    only = synthetic([*served, smoke_cell("ncf", "none", "full")])
    assert comparison(only).text.index.tolist() == [("ncf", "full")] and tables.ranks(only) is None


@pytest.mark.parametrize("make", [byte_tables.cost, tables.comparison, byte_tables.best_at])
def test_tables_survive_missing_cells(synthetic, tmp_path, make):
    cells = cells_of()
    half = synthetic(cells, [cell.id for cell in cells[::2]])
    make(half, *half.groups).write(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".html", ".tex"]
    nothing = synthetic(cells, [cell.id for cell in cells])
    assert make(nothing, *nothing.groups) is None and tables.paired_tests(nothing) is None


def test_text_from_files_is_escaped(synthetic):
    table = comparison(synthetic(cells_of()))
    evil = table.text.rename(index={"bet": "<img src=x>"}).replace("missing", "<b>")
    shown = tables.Table("a", "<script>alert(1)</script>", evil, table.data).html()
    assert "<script>" not in shown and "<img" not in shown and "&lt;img" in shown
