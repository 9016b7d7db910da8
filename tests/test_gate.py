"""The gate accepts no more often than promised, and nothing that is worse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bet.errors import BetError
from bet.search.gate import safe_select


@pytest.mark.parametrize("users", [20, 60, 400])
@pytest.mark.parametrize("mean", [0.0, -0.02])
def test_a_table_that_is_no_better_is_accepted_no_more_often_than_promised(users, mean):
    """Differences of two metrics: many zeros, and jumps either way."""
    rng, rounds = np.random.default_rng(0), 2_000
    size = (
        rng.uniform(0, 1 - abs(mean), (rounds, users))
        * rng.choice([-1, 1], (rounds, users))
        * (rng.random((rounds, users)) < 0.3)
    )
    accepted = np.mean([safe_select(row + mean).accepted for row in size])
    assert accepted <= 0.05 + 3 * (0.05 * 0.95 / rounds) ** 0.5


def test_a_better_table_is_accepted():
    better = np.clip(np.random.default_rng(0).normal(0.05, 0.1, 2_000), -1, 1)
    decision = safe_select(better)
    assert decision.accepted and 0 < decision.bound < decision.difference
    assert decision.difference == pytest.approx(better.mean())


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_the_gate_never_accepts_a_worse_mean_or_too_few_users(differences):
    decision = safe_select(np.array(differences))
    assert (decision.bound is None) == (len(differences) < 20)
    if decision.bound is None:
        assert not decision.accepted
    else:
        assert decision.bound <= decision.difference + 1e-12
        assert decision.accepted == (decision.bound > 0)


@pytest.mark.parametrize("differences", [[], [1.5], [float("nan")]])
def test_the_gate_refuses_what_it_cannot_judge(differences):
    with pytest.raises(BetError, match="the gate"):
        safe_select(np.array(differences))
