"""Alternating least squares: the rows' equations, masks, threads, checkpoints, bad input."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from fitted import ever_better, fresh, random_matrix
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from bet.actions import Allocation, Budget, sample_action
from bet.data import FrequencyOrder, power_law, split_interactions
from bet.packed import CodebookLayout
from bet.process import fixed_threads
from bet.tables import CodebookSpec, PackedSpec
from bet.training import AlsSettings, als, loop, row_solver, train_als
from bet.training.row_solver import Equations, compiled, in_torch, pad_columns, solve_stored

WAYS = {"compiled": compiled, "torch": partial(in_torch, device=torch.device("cpu"))}
SETTINGS = AlsSettings(sweeps=6, unobserved_weight=0.1, evaluate_every=1, patience=9)


def dense_row(v, items, size, ridge, weight):
    """The solution of one row, by numpy."""
    v = v[:, :size].astype(np.float64)
    system = weight * v.T @ v + v[items].T @ v[items] + ridge * np.eye(size)
    return np.linalg.solve(system, v[items].sum(0))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    others=st.integers(1, 20),
    width=st.integers(1, 33),
    share=st.floats(0, 1),
    weight=st.sampled_from([0.0, 0.05, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_rows_solve_their_own_columns(way, rows, others, width, share, weight, seed):
    rng = np.random.default_rng(seed)
    matrix = random_matrix(rows, others, seed, share)
    sizes, ridge = rng.integers(0, width + 1, rows), rng.random(rows) + 0.3
    v = rng.standard_normal((others, width)).astype(np.float32)
    start = rng.standard_normal((rows, width)) * (np.arange(width) < sizes[:, None])
    x = pad_columns(torch.from_numpy(start.astype(np.float32)))
    equations = Equations(matrix, sizes, ridge, weight, steps=60)
    WAYS[way](equations)(x, pad_columns(torch.from_numpy(v)))
    for u in range(rows):
        items = matrix.indices[matrix.indptr[u] : matrix.indptr[u + 1]]
        expected = np.zeros(x.shape[1])
        if len(items):
            expected[: sizes[u]] = dense_row(v, items, sizes[u], ridge[u], weight)
        np.testing.assert_allclose(x[u].numpy(), expected, rtol=2e-3, atol=2e-4)
        assert not x[u, sizes[u] :].any()


def dense_alternation(train, users, items, settings):
    """The whole fit, row by row, by numpy: an implementation of its own."""
    dense, weight = train.toarray().astype(bool), settings.unobserved_weight

    def solve(interactions, v):
        degrees = interactions.sum(1)
        terms = degrees + weight * interactions.shape[1]
        ridge = settings.l2 * terms**settings.exponent
        return np.stack(
            [
                dense_row(v, np.flatnonzero(row), v.shape[1], lam, weight)
                for row, lam in zip(interactions, ridge, strict=True)
            ]
        )

    users = solve(dense, items)
    for _ in range(settings.sweeps):
        items = solve(dense.T, users)
        users = solve(dense, items)
    return users, items


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_fit_is_that_of_a_dense_implementation(exponent):
    train = random_matrix(30, 25, 0)
    exact = replace(SETTINGS, sweeps=4, cg_steps=40, l2=0.3, exponent=exponent)
    model = fresh(train, 5)
    users, items = np.split(model.table.weight.detach().numpy().copy(), [30])
    expected = np.concatenate(dense_alternation(train, users, items, exact))
    result = train_als(model, train, exact, seed=0, validate=ever_better())
    np.testing.assert_allclose(model.table().detach().numpy(), expected, rtol=1e-2, atol=1e-3)
    x, y = np.split(expected, [30])
    # The loss by its definition.
    scores, dense = x @ y.T, train.toarray()
    total = ((1 - scores) ** 2)[dense > 0].sum() + 0.1 * (scores**2).sum()
    for rows, degrees, others in ((x, dense.sum(1), 25), (y, dense.sum(0), 30)):
        total += 0.3 * (degrees + 0.1 * others) ** exponent @ (rows**2).sum(1)
    assert result.curve[-1].loss == pytest.approx(total / train.nnz, rel=1e-3)


def test_the_loss_falls_with_every_sweep():
    train = random_matrix(60, 40, 1)
    model = fresh(train, 8)
    result = train_als(model, train, SETTINGS, seed=0, validate=ever_better())
    losses = [point.loss for point in result.curve]
    assert len(losses) == 6 and losses == sorted(losses, reverse=True) and losses[-1] < losses[0]


def packed_table(train, bits, sizes):
    n = len(sizes)
    kinds = tuple((int(size), bits) for size in sorted(set(sizes.tolist()), reverse=True))
    order = FrequencyOrder.of(train).entities
    spec = PackedSpec(bits, train.shape[0], order, kinds, n_listed=len(kinds))
    assert len(order) == n
    return spec.table


def coded_table(train, columns, seed):
    """A table in which a third of a side's entities have rows of their own, the others codes."""
    (n_users, n_items), rng = train.shape, np.random.default_rng(seed)
    layout = CodebookLayout(
        columns=columns,
        copies=1,
        subspaces=2,
        code_bits=1,
        users=n_users,
        items=n_items,
        user_uncompressed=n_users // 3,
        item_uncompressed=n_items // 3,
    )
    codes = rng.integers(0, 2, (sum(layout.coded), 2))
    start = 0.1 * rng.standard_normal((layout.stored_rows, columns))
    order = FrequencyOrder.of(train).entities
    return CodebookSpec(layout, codes, order, start.astype(np.float32)).table


def uniform_sizes(train, size):
    return np.full(sum(train.shape), size, dtype=np.int16)


@pytest.mark.parametrize("bits", [None, 1, 2, 16])
def test_torch_gives_the_numbers_of_the_compiled_loops(monkeypatch, bits):
    train, models = random_matrix(70, 50, 2), []
    for absent in (False, True):
        if absent:
            monkeypatch.setattr(row_solver, "find_spec", lambda name: None)
        sizes = uniform_sizes(train, 8)
        table = packed_table(train, bits, sizes) if bits else None
        model = fresh(train, sizes, table)
        train_als(model, train, replace(SETTINGS, sweeps=3), seed=0, epochs=3)
        models.append(model.table().detach())
    same = torch.isclose(*models, rtol=1e-2, atol=1e-3)
    # Where a number lies between two levels, rounding to the other one is no mistake.
    assert same.all() if bits in (None, 16) else same.float().mean() > 0.97


@pytest.mark.parametrize("bits", [None, 2])
def test_numbers_do_not_depend_on_the_threads(bits):
    train = split_interactions(power_law(900, 700, 9_000), 0).train
    rng, tables = np.random.default_rng(0), []
    sizes = rng.integers(0, 40, sum(train.shape)).astype(np.int16)
    for threads in (1, 2, 3):
        with fixed_threads(threads):
            kept = sizes if bits is None else uniform_sizes(train, 24)
            table = None if bits is None else packed_table(train, bits, kept)
            model = fresh(train, kept, table)
            train_als(model, train, replace(SETTINGS, sweeps=2), seed=0, epochs=2)
        tables.append(model.table.weight.detach())
    assert tables[0].abs().sum() > 0
    assert torch.equal(tables[0], tables[1]) and torch.equal(tables[0], tables[2])


@pytest.mark.parametrize("bits", [None, 1, "codes"])
@pytest.mark.parametrize("validated", [True, False])
def test_interrupted_fit_continues_to_the_same_numbers(tmp_path, monkeypatch, bits, validated):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    train, path = random_matrix(50, 40, 3), tmp_path / "checkpoint.pt"
    sizes = uniform_sizes(train, 8)
    table = coded_table(train, 8, 0) if bits == "codes" else None
    if isinstance(bits, int):
        table = packed_table(train, bits, sizes)
    kind = als._StoredRun if bits == "codes" else als._RowsRun
    solve, solved, deadly = kind._solve, [], []

    def counted(self, side, rounded):
        solved.append(side)
        if len(solved) in deadly:
            raise KeyboardInterrupt
        solve(self, side, rounded)

    monkeypatch.setattr(kind, "_solve", counted)

    def run():
        solved.clear()
        model = fresh(train, sizes, table)
        validate = (lambda m: float(m.table().detach().abs().sum())) if validated else None
        result = train_als(model, train, SETTINGS, seed=0, validate=validate, checkpoint=path)
        return model.table.weight.detach(), result, len(solved)

    expected, whole, half_sweeps = run()
    assert half_sweeps == 1 + 2 * 6 and not path.exists()
    deadly.append(9)  # in the fourth sweep
    with pytest.raises(KeyboardInterrupt):
        run()
    assert path.is_file()
    deadly.clear()
    numbers, result, again = run()
    assert again == 2 * (6 - 3) and not path.exists()
    assert torch.equal(numbers, expected)
    assert [p.quality for p in result.curve] == [p.quality for p in whole.curve]
    assert len(result.curve) == (6 if validated else 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.floats(0, 1), st.integers(0, 2**32))
def test_every_allocation_keeps_exactly_its_numbers(n_users, n_items, share, seed):
    train = random_matrix(n_users, n_items, seed)
    if not train.nnz:
        return
    n, d_max, rng = n_users + n_items, 9, np.random.default_rng(seed)
    budget = Budget(n + round(share * n * (d_max - 1)), n, d_max)
    sizes = sample_action(FrequencyOrder.of(train), budget, rng).sizes
    model = fresh(train, sizes, d_max=d_max)
    train_als(model, train, SETTINGS, seed=0, epochs=2)
    model.table.allocation.check(budget)
    kept = np.arange(model.table.width) < sizes[:, None]
    weight = model.table.weight.detach().numpy()
    assert model.table.n_parameters() == budget.target and not weight[~kept].any()
    degrees = np.concatenate([np.diff(train.indptr), np.diff(csr_array(train.T.tocsr()).indptr)])
    assert not weight[degrees == 0].any()


@pytest.mark.parametrize("empty", ["users", "items"])
def test_one_side_may_have_no_columns(empty):
    train = random_matrix(20, 15, 4)
    sizes = np.where((np.arange(35) < 20) == (empty == "users"), 0, 5)
    model = fresh(train, sizes)
    result = train_als(model, train, SETTINGS, seed=0, validate=ever_better())
    # Nothing can be scored, so nothing is the best fit.
    assert result.curve[-1].loss == pytest.approx(1.0)
    assert model.table.weight.abs().max() < 1e-9


def test_stored_rows_solve_the_least_squares_of_all_who_share_them(monkeypatch):
    monkeypatch.setattr(row_solver, "NUMBERS", 60)  # several blocks
    train, columns = random_matrix(14, 11, 6), 4
    table = coded_table(train, columns, 0)(Allocation.uniform(25, columns), d_max=columns, copies=1)
    v = np.random.default_rng(1).standard_normal((11, columns)).astype(np.float32)
    ridge = np.linspace(0.5, 2, 14)
    equations = Equations(train, np.full(14, columns), ridge, 0.2, steps=200)
    before = table.weight.detach().clone()
    solve_stored(equations, table, slice(0, 14), torch.from_numpy(v))
    # A composed row is linear in the stored numbers: the map column by column.
    shape = table.weight.shape
    units = torch.eye(table.weight.numel()).reshape(-1, *shape)
    linear = np.stack([table.compose(unit)[:14].numpy().ravel() for unit in units], axis=1)
    system, wanted = np.zeros((14 * columns,) * 2), np.zeros(14 * columns)
    for u, items in enumerate(np.split(train.indices, train.indptr[1:-1])):
        if len(items):
            part = slice(u * columns, (u + 1) * columns)
            system[part, part] = 0.2 * v.T @ v + v[items].T @ v[items] + ridge[u] * np.eye(columns)
            wanted[part] = v[items].sum(0)
    expected = np.linalg.lstsq(linear.T @ system @ linear, linear.T @ wanted, rcond=1e-9)[0]
    used = linear.any(0).reshape(shape)
    weight = table.weight.detach().numpy()
    np.testing.assert_allclose(weight[used], expected.reshape(shape)[used], rtol=1e-2, atol=1e-3)
    assert used.any() and not used.all()
    np.testing.assert_array_equal(weight[~used], before.numpy()[~used])  # of the other side
