"""Differences over runs and users: intervals, tests and equivalence hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import USERS, cells_of
from scipy import stats as scipy_stats

from bet.analysis.paired import holm, paired
from bet.analysis.statistics import (
    OURS,
    best_competitor,
    compare,
    competitors,
    differences,
    is_equivalent,
    overall,
)
from bet.report.table import of_full


def simulated(rng, mean=0.0, *, runs, users=60, of_run=0.0, of_user=0.0, of_cell=1.0):
    """Differences (runs, users): a mean, and what is of a run, of a user and of both."""
    shared = of_run * rng.normal(size=(runs, 1)) + of_user * rng.normal(size=(1, users))
    return mean + shared + of_cell * rng.normal(size=(runs, users))


def test_one_run_is_the_t_test_of_users():
    values = np.random.default_rng(0).normal(0.1, 0.3, (1, 200))
    result, expected = paired(values), scipy_stats.ttest_1samp(values[0], 0.0)
    assert result.p == pytest.approx(expected.pvalue)
    assert result.interval() == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert paired(-values).interval() == pytest.approx([-x for x in result.interval()[::-1]])


@pytest.mark.parametrize(("runs", "users"), [(2, 30), (3, 25), (5, 40)])
def test_the_error_is_that_of_resampled_runs_then_users(runs, users):
    rng = np.random.default_rng(runs)
    values = simulated(rng, runs=runs, users=users, of_run=0.2, of_user=0.5)
    means = []
    for _ in range(20_000):
        drawn = values[rng.integers(runs, size=runs - 1)]
        means.append(drawn[:, rng.integers(users, size=users - 1)].mean())
    assert paired(values).error == pytest.approx(np.std(means), rel=0.03)


@pytest.mark.parametrize("noise", [{}, {"of_run": 0.13}, {"of_run": 0.5}, {"of_user": 1.0}])
@pytest.mark.parametrize("runs", [1, 3, 5])
def test_intervals_cover_the_mean_and_equal_methods_are_rarely_significant(runs, noise):
    """Of 500 studies at least 92 % (of a binomial of 95 %, 480 ± 15); with one run, of users."""
    rng = np.random.default_rng(1)
    if runs == 1:
        noise = noise | {"of_run": 0.0}
    results = [paired(simulated(rng, 0.3, runs=runs, **noise)) for _ in range(500)]
    covered = [low <= 0.3 <= high for low, high in (result.interval() for result in results)]
    assert np.mean(covered) >= 0.92
    same = [paired(simulated(rng, runs=runs, **noise)) for _ in range(500)]
    assert np.mean([result.p < 0.05 for result in same]) <= 0.08


def test_noise_between_runs_is_in_the_interval():
    """What only users know is too sure: three runs that differ say more than their users do."""
    values = simulated(np.random.default_rng(2), runs=3, users=900, of_run=0.5)
    users_only = paired(values.mean(axis=0, keepdims=True))
    assert paired(values).error > 3 * users_only.error and paired(values).freedom < 3


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), runs=st.integers(1, 4), margin=st.floats(0.01, 1.0))
def test_equivalence_is_two_one_sided_tests(seed, runs, margin):
    rng = np.random.default_rng(seed)
    result = paired(simulated(rng, rng.normal(0, 0.3), runs=runs, of_run=0.1))
    t = [(result.difference + sign * margin) / result.error for sign in (1, -1)]
    above = scipy_stats.t.sf(t[0], result.freedom)
    below = scipy_stats.t.cdf(t[1], result.freedom)
    assert result.is_equivalent(margin) == (max(above, below) < 0.05)


def test_no_difference_at_all_and_a_single_user():
    same = paired(np.zeros((3, 10)))
    assert same.p == 1.0 and same.interval() == (0.0, 0.0) and same.is_equivalent(1e-9)
    assert paired(np.ones((1, 4))).p == 0.0
    alone = paired(np.array([[0.4], [0.5]]))
    assert alone.p == 1.0 and not alone.is_equivalent(10.0)


def test_not_significant_is_not_equivalent():
    values = np.random.default_rng(3).normal(0.0, 1.0, (1, 20))
    assert paired(values).p > 0.05 and not paired(values).is_equivalent(0.1)


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])


def test_competitors_are_all_budgeted_methods_but_variants():
    paper = {"su", "sr", "powerlaw", "magnitude", "pep", "optembed", "esapn", "ciess", "amtl"}
    assert paper <= set(competitors("bet"))
    assert not {"full", "ease", "nested", "bet", "bet-random"} & set(competitors("bet"))
    for method in OURS:
        if method.startswith("bet-plus"):
            assert {"bet", "bet-random", "nested", "su"} <= set(competitors(method))
            assert not [name for name in competitors(method) if name.startswith("bet-plus")]


def test_differences_are_those_of_users_by_split(synthetic):
    results = synthetic(cells_of(backbones=("lightgcn",), budgets=("80%",)))
    cells = results.main[results.main["finished"]]
    bet, rule = (cells[cells["method"] == name] for name in ("bet", "powerlaw"))
    frame = differences(results, bet, rule, metric="ndcg@20")
    assert frame.shape == (2, USERS)
    by_cell = results.per_user.set_index("cell_id")["ndcg@20"]
    pairs = zip(bet.index, rule.index, strict=True)
    for row, (ours, theirs) in zip(frame.to_numpy(), pairs, strict=True):
        assert row == pytest.approx(by_cell[ours].to_numpy() - by_cell[theirs].to_numpy())
    assert differences(results, bet, rule.iloc[:0], metric="ndcg@20").empty
    # Other starts and searches at one split are runs; beside another split they are averaged.
    again = bet.iloc[[0, 0, 1]].assign(search_seed=[np.nan, 1.0, np.nan])
    rules = rule.iloc[[0, 0, 1]].assign(search_seed=[np.nan, 1.0, np.nan])
    assert len(differences(results, again, rules, metric="ndcg@20")) == 2
    assert len(differences(results, again.iloc[:2], rules.iloc[:2], metric="ndcg@20")) == 2
    assert len(differences(results, again.iloc[:2], rule, metric="ndcg@20")) == 1


def test_all_settings_together_are_the_mean_of_each(synthetic):
    results = synthetic(cells_of())
    each, together = compare(results, "ndcg@20"), overall(results, "ndcg@20")
    (row,) = together.to_dict("records")
    assert row["settings"] == len(each) == 4
    assert row["difference"] == pytest.approx(each["difference"].mean())
    assert row["opponent_mean"] == pytest.approx(each["opponent_mean"].mean())
    assert row["low"] > each["low"].min() and row["p"] < each["p"].max()


def test_settings_with_other_runs_count_with_all_they_have(synthetic):
    cells = cells_of()
    of_ncf = [cell.id for cell in cells if cell.backbone == "ncf" and cell.seed == 1]
    results = synthetic(cells, left_out=of_ncf)
    each = compare(results, "ndcg@20", "bet", ("su",))
    (row,) = overall(results, "ndcg@20", "bet", ("su",)).to_dict("records")
    assert sorted(each["seeds"]) == [1, 1, 2, 2] and row["settings"] == 4
    assert row["difference"] == pytest.approx(each["difference"].mean())
    assert row["opponent_mean"] == pytest.approx(each["opponent_mean"].mean())


@pytest.mark.parametrize("names", [None, [["a", "b", "c"], ["b"]], [["a", "b", "c"], ["d"]]])
def test_a_block_of_one_run_varies_as_its_neighbor_does(names):
    """Of 500 studies with three runs of one setting and one of two at least 92 % cover the mean."""
    rng, covered = np.random.default_rng(5), 0
    named = names or [["a", "b", "c"], ["a"]]
    for _ in range(500):
        of_run = dict(zip("abcd", rng.normal(0.0, 0.3, 4), strict=True))
        blocks = []
        for of_block in named:
            block = simulated(rng, 0.3, runs=len(of_block))
            blocks.append(block + np.array([[of_run[name]] for name in of_block]))
        low, high = paired(*blocks, settings=[1, 2], names=names).interval()
        covered += low <= 0.3 <= high
    assert covered >= 0.92 * 500


def test_several_blocks_are_one_where_they_have_the_same_runs():
    rng = np.random.default_rng(4)
    block = simulated(rng, runs=3, of_run=0.3)
    once, twice = paired(block), paired(block, block, settings=[1, 2])
    assert twice.difference == pytest.approx(once.difference)
    assert twice.error == pytest.approx(once.error, rel=0.05)
    assert twice.freedom == pytest.approx(once.freedom, rel=0.2)


def test_a_better_table_is_not_equivalent_and_a_copy_is(synthetic):
    results = synthetic(cells_of())
    cells = results.main[(results.main["backbone"] == "ncf") & results.main["finished"]]
    full, su = (cells[cells["method"] == name] for name in ("full", "su"))
    assert is_equivalent(results, full, full)
    assert not is_equivalent(results, su[su["budget"] == "80%"], full)
    assert best_competitor(cells, "bet", ("su", "sr")) == "su"


def test_100_percent_is_said_of_what_is_equivalent_only():
    assert of_full(0.998, True) == "100% ≈" and of_full(0.993, True) == "99% ≈"
    assert of_full(0.998, False) == "99.8%" and of_full(0.973, False) == "97%"
    assert of_full(float("nan"), False) == ""
