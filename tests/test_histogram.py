"""Actions as histograms: exact, and equal to the listed ones where both can be had."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bet.actions import FAMILIES, Budget, allocate, allocate_histogram, sample_histogram
from bet.errors import BetError
from bet.seeds import numpy_generator


@st.composite
def shapes(draw):
    family = FAMILIES[draw(st.sampled_from(list(FAMILIES)))]
    beta = draw(st.floats(1e-3, family.beta_max))
    k = draw(st.one_of(st.integers(1, 300), st.integers(10**6, 10**10)))
    d_min = draw(st.integers(0, 3))
    d_max = draw(st.integers(max(1, d_min), 160))
    total = draw(st.integers(k * d_min, k * d_max))
    return family, beta, k, total, d_min, d_max


@settings(max_examples=300, deadline=None)
@given(shapes())
def test_histogram_uses_the_budget_exactly(shape):
    family, beta, k, total, d_min, d_max = shape
    counts = allocate_histogram(family, beta, k, total=total, d_min=d_min, d_max=d_max)
    assert counts.shape == (d_max + 1,) and (counts >= 0).all()
    assert counts.sum() == k and counts[:d_min].sum() == 0
    assert int(np.dot(counts, np.arange(d_max + 1))) == total


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(FAMILIES)), st.floats(0.05, 1.0), st.floats(1.2, 40.0))
@example("power law", 0.05, 20.039664378236832)  # sizes step at once: 16 columns are left
def test_histogram_equals_the_listed_sizes_of_expected_values(name, part, mean):
    k, d_max, family = 4000, 64, FAMILIES[name]
    beta, total = part * family.beta_max, int(mean * k)
    expected = family.quantile((np.arange(k, 0, -1) - 0.5) / k, beta)
    listed = np.bincount(allocate(expected, total, 1, d_max), minlength=d_max + 1)
    drawn = allocate_histogram(family, beta, k, total=total, d_min=1, d_max=d_max)
    moved = np.sort(np.abs(np.cumsum(drawn - listed)))  # entities across the border of each size
    # Rounding moves single entities by one size; where sizes step at once, up to one column for
    # each size is left, and the rarest entities get them all.
    assert moved[-2] <= 2 and moved[-1] <= np.count_nonzero(listed)


def test_histogram_of_a_billion_entities():
    budget = Budget(12_800_000_000, 1_000_000_000, 128)
    counts = sample_histogram(budget, 200_000_000, numpy_generator(0, "histogram"))
    assert counts.sum(1).tolist() == [200_000_000, 800_000_000]
    assert int((counts @ np.arange(129)).sum()) == budget.target
    again = sample_histogram(budget, 200_000_000, numpy_generator(0, "histogram"))
    assert (counts == again).all()


def test_impossible_requests_are_refused():
    with pytest.raises(BetError, match="n_users must lie between"):
        sample_histogram(Budget(100, 10, 20), 10, numpy_generator(0))
    with pytest.raises(BetError, match="cannot be spread"):
        allocate_histogram(FAMILIES["power law"], 1.0, 10, total=5, d_min=1, d_max=20)
