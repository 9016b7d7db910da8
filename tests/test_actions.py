"""Budgets and the sampler: everything they promise for all inputs."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import (
    FAMILIES,
    Allocation,
    Budget,
    allocate,
    parse_budget,
    ranked_action,
    sample_action,
    split_budget,
)
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.packed import float32_file_bytes


@st.composite
def contexts(draw):
    """A feasible (order, budget)."""
    n_users, n_items = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    order = FrequencyOrder(rng.integers(0, 20, n_users), rng.integers(0, 20, n_items))
    d_min = draw(st.integers(0, 3))
    d_max = draw(st.integers(max(1, d_min), 130))
    n = n_users + n_items
    total = draw(st.integers(n * d_min, n * d_max + 5))
    return order, Budget(total, n, d_max, d_min)


@settings(max_examples=300, deadline=None)
@given(contexts(), st.integers(0, 2**32))
def test_sampled_actions_are_exact_bounded_and_follow_frequency(context, seed):
    order, budget = context
    action = sample_action(order, budget, np.random.default_rng(seed))
    assert action.sizes.sum(dtype=int) == budget.target <= budget.total
    assert budget.d_min <= action.sizes.min() and action.sizes.max() <= budget.d_max
    assert action.sizes.shape == (order.n,)
    for sizes, frequency in (
        (action.user_sizes, order.user_frequency),
        (action.item_sizes, order.item_frequency),
    ):
        by_id = [(f, -i, s) for i, (f, s) in enumerate(zip(frequency, sizes, strict=True))]
        ranked = [s for _, _, s in sorted(by_id, reverse=True)]
        assert ranked == sorted(ranked, reverse=True)
    again = sample_action(order, budget, np.random.default_rng(seed))
    assert (again.sizes == action.sizes).all() and again.origin == action.origin


@settings(max_examples=300, deadline=None)
@given(
    contexts(),
    st.sampled_from(sorted(FAMILIES)),
    st.floats(1e-9, 1.0),
    st.integers(0, 2**32),
    st.floats(0, 1),
)
def test_every_family_and_parameter_is_exact(context, family, share_of_beta_max, seed, user_share):
    order, budget = context
    rng = np.random.default_rng(seed)
    beta = share_of_beta_max * FAMILIES[family].beta_max
    users = np.sort(FAMILIES[family].quantile(rng.uniform(1e-15, 1 - 1e-15, order.n_users), beta))[
        ::-1
    ]
    items = np.sort(
        FAMILIES[family].quantile(rng.uniform(1e-15, 1 - 1e-15, order.n - order.n_users), beta)
    )[::-1]
    assert np.isfinite(users).all() and (users >= 0).all()
    action = ranked_action(order, budget, users, items, user_share)
    assert action.sizes.sum(dtype=int) == budget.target


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, 1e-300, 1e300])), min_size=1, max_size=50
    ),
    st.integers(0, 4),
    st.integers(1, 140),
    st.floats(0, 1),
)
def test_allocation_is_exact_monotone_and_near_proportional(values, d_min, extra, fill):
    values, d_max = np.sort(np.array(values))[::-1], d_min + extra
    k = len(values)
    total = round(k * d_min + fill * k * (d_max - d_min))
    sizes = allocate(values, total, d_min, d_max)
    assert sizes.sum() == total and sizes.min() >= d_min and sizes.max() <= d_max
    assert (np.diff(sizes) <= 0).all()


def plain_allocate(values, total, d_min, d_max):
    """The definition, by trying every scale at which some floor changes."""
    values = np.array(values, dtype=float) / max(values)
    scales = sorted({d / v for v in values for d in range(d_min + 1, d_max + 1) if v > 0} | {0.25})
    best = None
    for scale in scales:
        # The scale itself is where v * scale reaches d; guard against rounding of v * (d / v).
        sizes = np.clip(np.floor(values * scale * (1 + 1e-12)).astype(int), d_min, d_max)
        if sizes.sum() <= total:
            best = sizes
    return np.full(len(values), d_min) if best is None else best


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(1, 12),
    st.floats(0, 1),
)
def test_allocation_against_the_definition(values, d_min, extra, fill):
    values, d_max = np.sort(np.array(values, dtype=float))[::-1], d_min + extra
    total = round(len(values) * (d_min + fill * extra))
    sizes = allocate(values, total, d_min, d_max)
    floors = plain_allocate(values, total, d_min, d_max)
    given_out = sizes - floors
    assert (given_out >= 0).all() and (given_out <= 1).all()


@given(contexts(), st.floats(0, 1))
def test_split_is_feasible_for_both_sides(context, share):
    order, budget = context
    users, items = split_budget(budget, order.n_users, share)
    assert users + items == budget.target
    assert order.n_users * budget.d_min <= users <= order.n_users * budget.d_max
    assert (
        (order.n - order.n_users) * budget.d_min
        <= items
        <= (order.n - order.n_users) * budget.d_max
    )


def test_budgets_are_exact_integers():
    assert (
        parse_budget(0.9, 70_839, 128).total == 906_739
    )  # floor(0.1 * 128 * 70839), not one less through rounding
    assert parse_budget("90 %", 10, 128).total == 128 == parse_budget("0.9", 10, 128).total
    assert parse_budget(0.8, 10, 10).total == 20
    assert parse_budget("0", 10, 10).total == 100
    assert parse_budget(1_000, 10, 128).total == parse_budget("1,000", 10, 128).total == 1_000
    assert parse_budget(1_001, 10, 128, copies=2).total == 500


def test_byte_budget_is_a_cap_on_the_file(tmp_path):
    from bet.tables import MaskedTable

    for copies in (1, 2):
        for limit in (3_000, 3_001, 3_002, 3_003, 3_004, 9_999):
            file_bytes = partial(float32_file_bytes, 8, 12, copies, 16)
            budget = parse_budget(f"{limit} B", 20, 16, copies=copies, file_bytes=file_bytes)
            sizes = allocate(np.arange(20, 0, -1), budget.target, 1, 16)
            allocation = Allocation.from_sizes(sizes)
            allocation.check(budget)
            table = MaskedTable(allocation, d_max=16, n_users=8, copies=copies)
            table.save(tmp_path / "t")
            assert (tmp_path / "t").stat().st_size == table.n_bytes() <= limit
            if budget.target < 320:
                assert limit - table.n_bytes() < 4 * copies


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (9, ["9 parameters", "10"]),
        ("0.999", ["parameters", "10"]),
        ("1 kB", ["1,000 bytes", "smallest"]),
        ("1.0", ["1 parameters"]),
        ("100 %", ["sparsity"]),
        ("1.5", ["whole"]),
        ("many", ["cannot read", "many"]),
        ("-3", ["cannot read"]),
        ("3 parsecs", ["cannot read"]),
        (True, ["cannot read"]),
        (float("nan"), ["cannot read"]),
    ],
)
def test_impossible_budgets_are_refused_with_the_numbers(text, words):
    with pytest.raises(BetError) as error:
        file_bytes = partial(float32_file_bytes, 80, 120, 1, 16)
        parse_budget(text, 200 if text == "1 kB" else 10, 16, file_bytes=file_bytes)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_check_refuses_what_is_over_budget():
    budget = Budget(10, 5, 4)
    Allocation.uniform(5, 2).check(budget)
    for sizes in (
        np.array([2, 2, 2, 2, 3]),
        np.array([0, 2, 2, 2, 2]),
        np.array([5, 1, 1, 1, 1]),
        np.full(4, 2),
    ):
        with pytest.raises(BetError, match="at most 10"):
            Allocation.from_sizes(sizes).check(budget)


def test_a_budget_in_bytes_needs_to_know_the_file():
    with pytest.raises(BetError, match="no length is known here; give a sparsity or parameters"):
        parse_budget("5 kB", 10, 16)


def test_allocations_in_all_three_shapes():
    sizes, bits = np.array([3, 0, 2]), np.array([8, 4, 4])
    by_size, mixed = Allocation.from_sizes(sizes), Allocation.from_sizes(sizes, bits)
    mask = np.arange(4) < sizes[:, None]
    single = Allocation.from_mask(mask)
    assert [len(kept) for kept in (by_size, mixed, single)] == [3, 3, 3]
    assert [kept.total for kept in (by_size, mixed, single)] == [5, 5, 5]
    assert len({kept.digest for kept in (by_size, mixed, single)}) == 3
    for kept in (by_size, mixed, single):
        assert Allocation.from_tensors(kept.to_tensors()).digest == kept.digest
    last = replace(by_size, last_copy=True)
    assert last.digest != by_size.digest and last.total == 5 and not by_size.last_copy
    assert Allocation.from_tensors(last.to_tensors()).digest == last.digest
    assert last.reranked(np.array([0, 1, 2]), np.array([2, 1, 0])).last_copy
    last.check(Budget(3, 3, 4, d_min=0, copies=2))  # six parameters
    with pytest.raises(BetError, match="with a sum of at most 4"):
        last.check(Budget(2, 3, 4, d_min=0, copies=2))
    single.check(Budget(5, 3, 4, d_min=0))
    for budget in (Budget(4, 3, 4, d_min=0), Budget(5, 3, 5, d_min=0)):
        with pytest.raises(BetError, match="keeps 5 numbers"):
            single.check(budget)
    with pytest.raises(BetError, match="has no sizes"):
        _ = single.columns
    for wrong in (
        {"sizes": sizes.astype(float)},
        {"sizes": sizes[:0]},
        {"sizes": sizes[None]},
        {"sizes": None},
    ):
        with pytest.raises(BetError, match="one integer per entity"):
            Allocation(**wrong)
    with pytest.raises(BetError, match="one integer for each of 3"):
        Allocation.from_sizes(sizes, bits[:2])
    with pytest.raises(BetError, match="a mask must be bool"):
        Allocation.from_mask(mask.astype(int))
    with pytest.raises(BetError, match="not both"):
        Allocation(sizes.astype(np.int16), mask=mask)
    with pytest.raises(BetError, match="not both"):
        Allocation(mask=mask, last_copy=True)
