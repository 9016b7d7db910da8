"""The published sampler: both readings, and what they do to a budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Budget, parse_budget
from bet.actions.published import BudgetUse, formula_sizes, published_sizes
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.seeds import numpy_generator

ORDER = FrequencyOrder(np.arange(120), np.arange(90))


def non_increasing(sizes):
    return (np.diff(sizes) <= 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["80%", "90%", "95%"]))
def test_both_readings_give_every_side_sorted_sizes_of_at_least_one(seed, sparsity):
    budget = parse_budget(sparsity, ORDER.n, 64)
    for draw in (formula_sizes, published_sizes):
        sizes = draw(ORDER, budget, np.random.default_rng(seed))
        assert sizes.shape == (ORDER.n,) and sizes.min() >= 1
        assert non_increasing(sizes[:120]) and non_increasing(sizes[120:])
        if draw is published_sizes:
            assert sizes.max() <= 64


def test_readings_are_equal_where_nothing_exceeds_the_cap_and_only_there():
    budget, equal = parse_budget("80%", ORDER.n, 16), []
    for seed in range(60):
        formula, published = (
            draw(ORDER, budget, np.random.default_rng(seed))
            for draw in (formula_sizes, published_sizes)
        )
        equal.append((formula == published).all())
        assert equal[-1] == (formula.max() <= 16)
    assert 0 < sum(equal) < 60


def test_published_actions_break_the_budget_or_waste_it():
    budget, rng = parse_budget("90%", ORDER.n, 64), numpy_generator(0, "published")
    used = [int(published_sizes(ORDER, budget, rng).sum()) for _ in range(200)]
    use = BudgetUse.of(used, budget)
    assert use.actions == 200 and 0.02 < use.over < 0.3
    assert use.largest_excess == max(used) / budget.total - 1 > 0 < use.mean_unused < 0.15


def test_use_of_exact_and_of_only_broken_budgets():
    budget = Budget(10, 5, 4)
    assert BudgetUse.of([10, 10], budget) == BudgetUse(2, 0.0, 0.0, 0.0)
    assert BudgetUse.of([11, 12], budget) == BudgetUse(2, 1.0, pytest.approx(0.2), 0.0)


def test_what_the_published_code_would_try_for_ever_is_an_error(monkeypatch):
    monkeypatch.setattr("bet.actions.published._REDRAWS", 20)
    with pytest.raises(BetError, match="none of 20 draws .* within d_max = 8.*lower the budget"):
        published_sizes(ORDER, Budget(ORDER.n * 8, ORDER.n, 8), np.random.default_rng(0))
