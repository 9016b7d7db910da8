"""Final vectors in a file: trained as it gives them back, filled to the column, served alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Allocation, Budget
from bet.backbones import BACKBONES
from bet.data import FrequencyOrder, evaluable_split, planted
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.quantized import uniform_packed
from bet.methods.vectors import rounded_vectors, vector_context
from bet.packed import load
from bet.search import check_table, initialize_recommender, refit
from bet.seeds import torch_generator
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.tables import VectorTable
from bet.training import BprSampler, bpr_loss, evaluate, loop, train

BITS = (1, 2, 4, 8)
GRAPHS = ("lightgcn", "ngcf")


def file_vectors(path, order):
    """The rows of a file alone, by entity id: (n, D) float32."""
    rows = load(path).rows(range(len(order)))[:, 0]
    vectors = np.empty_like(rows)
    vectors[order] = rows
    return vectors


@settings(max_examples=100, deadline=None)
@given(
    users=st.integers(1, 40),
    items=st.integers(1, 40),
    d_max=st.one_of(st.integers(1, 130), st.integers(250, 300)),
    bits=st.sampled_from(BITS),
    backbone=st.sampled_from(GRAPHS),
    share=st.floats(0, 1.1),
    seed=st.integers(0, 2**32),
)
def test_what_is_left_is_less_than_a_column_for_everybody(
    tmp_path_factory, bare_context, users, items, d_max, bits, backbone, share, seed
):
    rng, n = np.random.default_rng(seed), users + items
    order = FrequencyOrder(rng.integers(0, 20, users), rng.integers(0, 20, items))
    layers = BACKBONES[backbone].final_width(1, 1)
    limit = round(300 + share * n * (d_max * layers * bits / 8 + 3))
    bare = bare_context(order, Budget(n * d_max, n, d_max), limit)
    bare = replace(bare, settings=SimpleNamespace(backbone=backbone))
    try:
        fitting = vector_context(bare, bits)
    except BetError as error:
        smallest = f"the smallest file at {bits} bits, "
        assert f"{limit:,} bytes is below {smallest}" in str(error)
        least = int(str(error).split(smallest)[1].split(" bytes")[0].replace(",", ""))
        assert least > limit
        assert vector_context(replace(bare, byte_limit=least), bits).table_spec.file_bytes == least
        return
    width, spec = fitting.budget.d_max, fitting.table_spec
    assert spec.columns == width * layers and 1 <= width <= d_max
    table = fitting.make_table(Allocation.uniform(n, width), d_max=width, copies=1)
    vectors = torch.from_numpy(rng.standard_normal((n, spec.columns)).astype(np.float32))
    path = tmp_path_factory.mktemp("vectors") / "v"
    table.save_vectors(path, vectors)
    assert path.stat().st_size == table.n_bytes() == spec.file_bytes <= limit
    wider = replace(spec, columns=(width + 1) * layers)
    assert width == d_max or wider.file_bytes > limit
    assert table.n_parameters() == load(path).width * n == table.sizes.sum()
    np.testing.assert_array_equal(file_vectors(path, spec.order), table.as_stored(vectors))


@pytest.mark.parametrize("backbone", GRAPHS)
@pytest.mark.parametrize("bits", BITS)
def test_what_is_ranked_is_what_the_file_alone_gives(make, split, tmp_path, bits, backbone):
    limit = 4_000
    outcome = METHODS[f"vectors-int{bits}"](make(backbone, limit=limit))
    model, quality = outcome.trained.model, outcome.trained.result.quality
    check_table(outcome.context, model.table)
    path = tmp_path / "v"
    model.save_table(path)
    assert path.stat().st_size == model.table.n_bytes() <= limit
    vectors = torch.from_numpy(file_vectors(path, outcome.context.data.order.entities))
    with torch.no_grad():
        exact = model.backbone.represent(model.table())
        assert torch.equal(model.represent(model.table()), vectors)
    assert not torch.equal(exact, vectors)
    assert max(len(row.unique()) for row in vectors) <= 2**bits
    user_vectors, item_vectors = vectors.split(split.train.shape)
    scores = user_vectors @ item_vectors.T
    torch.testing.assert_close(model.ranker()(torch.arange(len(scores))), scores)
    from_file = evaluate(lambda users: scores[users], split.validation, [split.train])
    assert from_file.means()["quality"] == pytest.approx(quality, abs=1e-3) and quality > 0


@pytest.mark.parametrize("backbone", GRAPHS)
@pytest.mark.parametrize("bits", BITS)
def test_gradients_reach_the_ego_table_through_layers_and_rounding(make, split, bits, backbone):
    """They are those of the layers without rounding, taken at the rounded vectors."""
    fitting = vector_context(make(backbone, limit=4_000), bits)
    width, n_users = fitting.budget.d_max, split.train.shape[0]
    model = initialize_recommender(fitting, Allocation.uniform(fitting.budget.n, width))
    assert isinstance(model.table, VectorTable) and model.backbone.d_max == width
    triples = BprSampler(split.train).draw(512, torch_generator(0, "batch"))
    bpr_loss(model, triples, 0.0, None).backward()
    gradient = model.table.weight.grad.clone()
    model.table.weight.grad = None
    exact = model.backbone.represent(model.table())
    rounded = model.table.as_stored(exact).detach().requires_grad_()
    users, positives, negatives = triples
    for_positives, for_negatives = (
        (rounded[users] * rounded[items + n_users]).sum(1) for items in (positives, negatives)
    )
    torch.nn.functional.softplus(for_negatives - for_positives).mean().backward()
    exact.backward(rounded.grad)
    torch.testing.assert_close(gradient, model.table.weight.grad)
    assert (gradient != 0).float().mean() > 0.9


def test_backbones_without_such_vectors_and_too_few_bytes_are_refused(make):
    with pytest.raises(BetError, match="'ncf' are not compared by .*: use uniform-int4"):
        rounded_vectors(make("ncf", limit=5_000), 4)
    with pytest.raises(BetError, match="need a budget"):
        rounded_vectors(make(), 4)
    for backbone in GRAPHS:
        with pytest.raises(BetError, match="300 bytes is below the smallest file at 2 bits"):
            rounded_vectors(make(backbone, limit=300), 2)


def test_a_backbone_whose_vectors_are_its_table_is_refused(make, monkeypatch):
    class Factorization(BACKBONES["lightgcn"]):
        reads_graph = False

    monkeypatch.setitem(BACKBONES, "lightgcn", Factorization)
    with pytest.raises(BetError, match="'lightgcn' are its table: use uniform-int2"):
        rounded_vectors(make(limit=5_000), 2)


def test_vectors_of_another_model_or_of_the_table_alone_are_not_saved(make, tmp_path):
    fitting = vector_context(make("ngcf", limit=4_000), 4)
    everybody = Allocation.uniform(fitting.budget.n, fitting.budget.d_max)
    table = initialize_recommender(fitting, everybody).table
    with pytest.raises(BetError, match="from ego embeddings alone"):
        table.save(tmp_path / "v")
    short = torch.zeros(table.n, table.spec.columns - 1)
    for refused in (table.as_stored, lambda vectors: table.save_vectors(tmp_path / "v", vectors)):
        with pytest.raises(BetError, match="do not fill a file of"):
            refused(short)
    assert not (tmp_path / "v").exists()


def test_an_interrupted_training_continues_to_the_same_file(make, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    fitting = vector_context(make("ngcf", limit=3_000), 2)
    everybody = Allocation.uniform(fitting.budget.n, fitting.budget.d_max)
    calls, settings_ = [], fitting.settings.by_gradient

    def dies(model):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fitting.quality(model)

    whole, broken, resumed = (initialize_recommender(fitting, everybody) for _ in range(3))
    options = {"seed": 0, "checkpoint": tmp_path / "checkpoint.pt"}
    train(whole, fitting.sampler, settings_, seed=0, validate=fitting.quality)
    with pytest.raises(KeyboardInterrupt):
        train(broken, fitting.sampler, settings_, validate=dies, **options)
    assert options["checkpoint"].is_file()
    train(resumed, fitting.sampler, settings_, validate=fitting.quality, **options)
    whole.save_table(tmp_path / "whole")
    resumed.save_table(tmp_path / "resumed")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()


@pytest.mark.parametrize("backbone", GRAPHS)
def test_the_model_is_refitted_to_more_data_in_the_same_bytes(make, split, tmp_path, backbone):
    outcome = rounded_vectors(make(backbone, limit=3_000), 4)
    model = refit(outcome.context, outcome.trained, split.merged(), "train and validation")
    check_table(outcome.context, model.table)
    assert model.table.n_bytes() == outcome.trained.model.table.n_bytes()
    model.save_table(tmp_path / "v")
    order = FrequencyOrder.of(split.merged()).entities
    vectors = file_vectors(tmp_path / "v", order)
    with torch.no_grad():
        assert torch.equal(model.represent(model.table()), torch.from_numpy(vectors))
        before = outcome.trained.model.represent(outcome.trained.model.table())
        assert not torch.equal(before, torch.from_numpy(vectors))


@pytest.mark.parametrize("protocol", ["clean", "merged"])
def test_a_cell_writes_the_file_that_its_record_tells_of(tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    file, cell = tmp_path / "out" / "v", Cell("tiny", "ngcf", "20 B/entity", "vectors-int4")
    record = run_cell(replace(cell, protocol=protocol, profile="smoke"), file=file)
    n = record.data.users + record.data.items
    assert file.stat().st_size == record.size.bytes <= record.size.limit_bytes == 20 * n
    assert (record.size.bits, record.size.parameters) == (4, n * 4 * record.size.width)
    assert record.size.full_parameters == n * 16
    assert sorted(path.name for path in file.parent.iterdir()) == ["v", "v.ids"]
    assert record.size.backbone_parameters > 0  # needed to train, not to serve
    vectors, split = load(file), evaluable_split(planted(), 0)
    users, items = (list(map(str, range(side))) for side in split.test.shape)
    scores = torch.from_numpy(vectors.users(users)[:, 0] @ vectors.items(items)[:, 0].T)
    known = [split.train, split.validation]
    reached = evaluate(lambda users: scores[users], split.test, known).means()
    assert reached["recall@20"] == pytest.approx(record.metrics.test.recall_at_20, abs=1e-3)


def test_rows_with_the_graph_stay_as_they_were(make):
    """A table whose file holds ego embeddings does not round what comes out of the graph."""
    model = uniform_packed(make(limit=4_000), 2).trained.model
    with torch.no_grad():
        exact = model.backbone.represent(model.table())
        assert torch.equal(model.represent(model.table()), exact)
