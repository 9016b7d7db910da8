"""Quantized tables: trained as their file gives them back, filled up to the byte, within every
limit.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Allocation, Budget, parse_budget, parse_bytes, sample_action
from bet.backbones import BACKBONES, normalized_adjacency
from bet.data import FrequencyOrder, planted, split_interactions
from bet.errors import BetError
from bet.methods import IN_BYTES, METHODS
from bet.methods.fixed import uniform_action
from bet.methods.quantized import quantized_context
from bet.packed import float32_file_bytes, load
from bet.search import check_table, initialize_recommender
from bet.seeds import torch_generator
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.tables import QuantizedTable
from bet.training import BprSampler, bpr_loss, train

BITS = (1, 2, 4, 8, 16)


@settings(max_examples=150, deadline=None)
@given(
    users=st.integers(1, 40),
    items=st.integers(1, 40),
    d_max=st.one_of(st.integers(8, 130), st.integers(250, 400)),
    bits=st.sampled_from(BITS),
    copies=st.integers(1, 2),
    uniform=st.booleans(),
    share=st.floats(0, 1.1),
    seed=st.integers(0, 2**32),
)
def test_files_fill_every_limit(
    tmp_path_factory, bare_context, users, items, d_max, bits, copies, uniform, share, seed
):
    rng = np.random.default_rng(seed)
    order, n = FrequencyOrder(rng.integers(0, 20, users), rng.integers(0, 20, items)), users + items
    limit = round(300 + share * n * (d_max * copies * 2.2 + 30))
    try:
        whole = Budget(n * d_max, n, d_max, copies=copies)
        context = quantized_context(bare_context(order, whole, limit), bits, uniform)
    except BetError as error:
        assert f"{limit:,} bytes is below the smallest file" in str(error)
        return
    budget = context.budget
    action = uniform_action(context) if uniform else sample_action(order, budget, rng)
    action.allocation.check(budget)
    sizes = action.sizes
    generator = torch_generator(seed)
    table = context.make_table(
        action.allocation, d_max=d_max, copies=copies, std=1.0, generator=generator
    )
    path = tmp_path_factory.mktemp("packed") / "t"
    table.save(path)
    length = path.stat().st_size
    assert length == table.n_bytes() <= limit
    # Safetensors pads its header to whole words, and a digit more in it may cost one.
    if budget.target < n * (d_max // budget.step * budget.step):
        assert limit - length < budget.step * bits * copies // 8 + 8
    packed = load(path)
    ego = table().detach().reshape(n, copies, -1).numpy()[table.file_order]
    np.testing.assert_allclose(packed.rows(range(n)), ego[:, :, : packed.layout.width], rtol=1e-6)
    np.testing.assert_array_equal(
        packed.layout.kinds[packed.layout.kind_of_rows(), 0], sizes[table.file_order]
    )


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    "method",
    [
        name
        for name in IN_BYTES
        if name.startswith(("uniform", "bet")) and METHODS[name].served_as == "table"
    ],
)
def test_scores_of_the_file_are_those_of_the_trained_table(make, tmp_path, method, backbone):
    context = make(backbone, limit=5_000)
    outcome = METHODS[method](context)
    model = outcome.trained.model
    check_table(outcome.context, model.table)
    model.table.save(tmp_path / "t")
    packed = load(tmp_path / "t")
    assert (tmp_path / "t").stat().st_size <= 5_000
    ego = np.zeros((model.table.n, model.table.copies, model.table.width), dtype=np.float32)
    ego[model.table.file_order, :, : packed.layout.width] = packed.rows(range(model.table.n))
    users = torch.arange(20)
    with torch.no_grad():
        read = model.backbone.ranker(
            model.backbone.represent(torch.from_numpy(ego.reshape(len(ego), -1)))
        )(users)
        torch.testing.assert_close(read, model.ranker()(users), rtol=1e-4, atol=1e-5)
    assert outcome.trained.result.quality == pytest.approx(context.quality(model))


@pytest.mark.parametrize("method", IN_BYTES)
def test_a_sparsity_limits_the_file_to_the_numbers_it_leaves(method, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    record = run_cell(Cell("tiny", "lightgcn", "80%", method, 0, profile="smoke"))
    limit = 4 * int(0.2 * record.size.full_parameters)
    assert record.size.limit_bytes == limit and limit / 4 < record.size.bytes <= limit


@pytest.mark.parametrize("method", IN_BYTES)
def test_a_sparsity_below_one_float32_column_is_the_methods_to_refuse(
    method, tmp_path, monkeypatch
):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    for budget in ("99.9%", "12", "48 B"):
        with pytest.raises(BetError, match="(12|48) bytes is below the smallest file (of|at) "):
            run_cell(Cell("tiny", "lightgcn", budget, method, profile="smoke"))
    if method in ("hash", "memrec"):
        assert (
            run_cell(Cell("tiny", "lightgcn", "97%", method, profile="smoke")).size.bytes
            <= 0.03 * 4 * 16 * 210
        )
        # Fewer bytes than the sizes alone would take in a float32 table's file.
        assert (
            run_cell(Cell("tiny", "lightgcn", "400 B", method, profile="smoke")).size.bytes <= 400
        )


@pytest.mark.parametrize("bits", BITS)
def test_gradients_pass_the_rounding_and_masked_numbers_stay_zero(make, split, bits):
    quantized = quantized_context(make(limit=4_000), bits)
    action = sample_action(quantized.data.order, quantized.budget, np.random.default_rng(0))
    model = initialize_recommender(quantized, action.allocation)
    assert isinstance(model.table, QuantizedTable)
    generator = torch_generator(0, "batch")
    bpr_loss(model, BprSampler(split.train).draw(512, generator), 1e-3, None).backward()
    inside = torch.arange(model.table.width) < torch.from_numpy(action.sizes)[:, None]
    gradient = model.table.weight.grad
    assert (gradient[inside] != 0).float().mean() > 0.9 and (gradient[~inside] == 0).all()
    train(model, BprSampler(split.train), quantized.settings.training, seed=0, epochs=1)
    assert (model.table.weight.detach()[~inside] == 0).all()
    assert (model.table().detach()[~inside] == 0).all()
    if bits <= 8:
        rows = model.table().detach()
        assert max(len(row[row != 0].unique()) for row in rows) <= 2**bits


def test_training_sees_the_rounded_table(make):
    """Loss and scores are those of a plain table that holds the rounded numbers."""
    quantized = quantized_context(make(limit=4_000), 2)
    model = initialize_recommender(quantized, uniform_action(quantized).allocation)
    with torch.no_grad():
        rounded_ego = model.table()
        assert not torch.equal(rounded_ego, model.table.weight)
        expected = model.backbone.ranker(model.backbone.represent(rounded_ego))(torch.arange(5))
    assert torch.equal(model.ranker()(torch.arange(5)), expected)


def test_too_few_bytes_are_refused_with_the_smallest_file(make):
    context = make(limit=5_000)
    with pytest.raises(
        BetError, match="below the smallest file at 8 bits, ([0-9,]+) bytes"
    ) as error:
        quantized_context(replace(context, byte_limit=300), 8, uniform=True)
    smallest = int(str(error.value).split("bits, ")[1].split(" bytes")[0].replace(",", ""))
    fits = quantized_context(replace(context, byte_limit=smallest), 8, uniform=True)
    assert (uniform_action(fits).sizes == 1).all()
    with pytest.raises(BetError, match="below the smallest"):
        quantized_context(replace(context, byte_limit=smallest - 1), 8, uniform=True)
    with pytest.raises(BetError, match="needs a budget"):
        quantized_context(replace(context, byte_limit=None), 8)
    narrow = replace(context, budget=Budget(context.budget.n * 4, context.budget.n, 4))
    with pytest.raises(
        BetError, match="1 bits per number need at least 8 columns, the full table has 4"
    ):
        quantized_context(narrow, 1)


def test_bytes_per_entity_are_read():
    assert parse_bytes("25.6 B/entity", 1_000) == parse_bytes("25.6 kB", 7) == 25_600
    assert parse_bytes("90%", 10) is parse_bytes("none", 10) is parse_bytes(5_000, 10) is None
    file_bytes = partial(float32_file_bytes, 40, 60, 1, 16)
    each, whole = (
        parse_budget(text, 100, 16, file_bytes=file_bytes) for text in ("40 B/entity", "4 kB")
    )
    assert each == whole and file_bytes(each.parameters) <= 4_000 < file_bytes(each.parameters + 1)
    with pytest.raises(BetError, match="no length is known here"):
        parse_budget("4 kB", 100, 16)
    for wrong in ("5/entity", "5 %/entity", "5 parsecs/entity"):
        with pytest.raises(BetError, match="cannot read the budget"):
            parse_bytes(wrong, 10)


@pytest.mark.parametrize("text", ["0 B", "0.5 B", "0.001 B/entity"])
def test_less_than_a_byte_is_bytes_all_the_same(make, text):
    assert parse_bytes(text, 110) == 0
    with pytest.raises(BetError, match="0 bytes is below the smallest"):
        parse_budget(text, 110, 64, file_bytes=partial(float32_file_bytes, 50, 60, 1, 64))
    with pytest.raises(BetError, match="0 bytes is below the smallest"):
        run_cell(Cell("tiny", "lightgcn", text, "uniform-int4", profile="smoke"))
    with pytest.raises(BetError, match="cannot read the budget"):
        parse_bytes("1e9999999 B", 10)


def test_a_budget_in_steps_is_exact():
    order = FrequencyOrder(np.arange(10), np.arange(10))
    budget = Budget(101, 20, 16, 4, step=4)
    sizes = sample_action(order, budget, np.random.default_rng(0)).sizes
    assert sizes.sum() == budget.target == 100 and (sizes % 4 == 0).all() and sizes.min() >= 4
    with pytest.raises(BetError, match="multiples of 4"):
        Allocation.uniform(20, 5).check(budget)
    with pytest.raises(BetError, match="multiples of step"):
        Budget(100, 10, 10, step=4)


@pytest.mark.parametrize("protocol", ["clean", "merged"])
def test_a_cell_writes_a_file_within_its_bytes_whose_rows_are_named(
    tmp_path, monkeypatch, protocol
):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "table.safetensors"
    cell = Cell("tiny", "ncf", "20 B/entity", "bet-int8", protocol=protocol, profile="smoke")
    record = run_cell(cell, file=file)
    n = record.data.users + record.data.items
    assert record.size.bytes <= record.size.limit_bytes == 20 * n
    assert file.stat().st_size == record.serving.bytes
    assert record.size.bits == 8 and record.size.limit is None
    packed, data = load(file).table, planted()
    assert packed.byte_report().total == record.size.bytes
    rows_of = packed.ids
    assert len(packed) == n and list(rows_of.user_rows.values()) == list(range(packed.n_users))
    assert list(rows_of.item_rows.values()) == list(range(packed.n_users, n))
    assert sorted(rows_of.item_rows, key=int) == [str(i) for i in range(data.n_items)]
    # Rows stand in the order of the frequencies that the sizes followed.
    frequency = np.diff(normalized_adjacency(split_interactions(data, 0).train).indptr.numpy())
    by_row = frequency[[int(name) for name in rows_of.user_rows]]
    assert (np.diff(by_row) <= 0).all()
