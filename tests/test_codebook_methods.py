"""Product quantization and MEC end to end: within their bytes, scored as the file gives them."""

from dataclasses import replace
from importlib import import_module
from itertools import product

import numpy as np
import pytest
import torch
from fitted import BY_GRADIENT

from bet.backbones import BACKBONES
from bet.errors import BetError
from bet.methods import METHODS
from bet.packed import load
from bet.search import SearchSettings, load_or_pretrain
from bet.seeds import torch_generator
from bet.study.cell import Cell
from bet.study.run import check_table, run_cell
from bet.training import BprSampler, bpr_loss


@pytest.fixture(autouse=True)
def fast(monkeypatch, one_thread):
    """Few steps for MEC."""
    monkeypatch.setattr(import_module("bet.methods.mec"), "STEPS", 30)


def test_gradients_add_up_over_all_who_share_a_centroid(make, split):
    context = make(limit=4_000)
    outcome = METHODS["pq"](context)
    model = outcome.trained.model
    weight, generator = model.table.weight, torch_generator(0, "batch")
    weight.grad = None
    bpr_loss(model, BprSampler(split.train).draw(512, generator), 1e-3, None).backward()
    assert (weight.grad != 0).float().mean() > 0.9
    weight.grad = None
    model.table().sum().backward()
    layout = model.table.spec.layout
    counts = np.bincount(
        model.table.places.numpy(), minlength=layout.stored_rows * layout.subspaces
    ).reshape(layout.stored_rows, layout.subspaces)
    expected = np.repeat(counts, layout.columns // layout.subspaces, axis=1)
    np.testing.assert_array_equal(weight.grad.numpy(), expected)


@pytest.mark.parametrize(
    ("method", "backbone"), [*product(["pq"], BACKBONES), *product(["mec"], BY_GRADIENT)]
)
def test_scores_of_the_file_are_those_of_the_trained_table(make, tmp_path, method, backbone):
    context = make(backbone, limit=4_000)
    outcome = METHODS[method](context)
    model = outcome.trained.model
    check_table(outcome.context, model.table)
    model.table.save(tmp_path / "t")
    assert (tmp_path / "t").stat().st_size == model.table.n_bytes() <= 4_000
    with torch.no_grad():
        ego = model.table().reshape(model.table.n, model.table.copies, -1).numpy()
    in_file = load(tmp_path / "t").rows(range(len(ego)))
    np.testing.assert_array_equal(in_file, ego[model.table.file_order])
    assert outcome.effort.trainings == len(outcome.trials) == 2 and outcome.seconds.pretrain > 0
    assert outcome.trained.result.quality == max(trial["quality"] for trial in outcome.trials) > 0
    assert outcome.trained.result.quality == pytest.approx(context.quality(model))
    again = METHODS[method](context)  # from what the first run left
    assert (
        torch.equal(again.trained.model.table(), model.table()) and again.trials == outcome.trials
    )
    assert again.seconds == outcome.seconds


def test_a_sparsity_is_a_number_of_bytes_too(make):
    context = make(limit=4_000)
    sparse = replace(context, budget=replace(context.budget, total=context.budget.total // 5))
    outcome = METHODS["pq"](sparse)
    check_table(outcome.context, outcome.trained.model.table)


def test_with_enough_bytes_the_table_is_the_trained_one(make):
    context = make(limit=40_000)
    outcome = METHODS["pq"](context)
    start = outcome.context.table_spec.start
    full = load_or_pretrain(context).model.table().detach().numpy()
    np.testing.assert_array_equal(start, full[outcome.context.table_spec.order])
    assert (
        len(outcome.trials) == 1
        and outcome.trials[0]["own_rows"] == context.budget.n
        and outcome.trials[0]["error"] == 0
    )


def test_what_starts_is_the_quantized_table(make):
    context = make(limit=5_000, search=SearchSettings(top=1))
    outcome = METHODS["pq"](context)
    packing, full = outcome.context.table_spec, load_or_pretrain(context).model.table().detach()
    made = packing.table(context.full_allocation, d_max=16, copies=1)().detach()
    missed = float((made - full).square().sum() / full.square().sum())
    own_rows = packing.order[: packing.layout.user_uncompressed]
    assert len(own_rows) and (made[own_rows] - full[own_rows]).abs().max() < 1e-3
    assert missed < outcome.trials[0]["error"] + 0.01 < 0.5


def test_too_few_bytes_are_refused(make):
    for method in ("pq", "mec"):
        with pytest.raises(
            BetError, match="below the smallest file of a table of codes, ([0-9,]+) bytes"
        ) as error:
            METHODS[method](make(limit=300))
        smallest = int(str(error.value).split("codes, ")[1].split(" bytes")[0].replace(",", ""))
        assert len(METHODS[method](make(limit=smallest)).trials) == 1
        with pytest.raises(BetError, match="below"):
            METHODS[method](make(limit=smallest - 1))
        with pytest.raises(BetError, match="needs a budget"):
            METHODS[method](make())


@pytest.mark.parametrize(
    ("backbone", "method"), [("lightgcn", "pq"), ("ncf", "mec"), ("ngcf", "pq")]
)
def test_a_coded_cell_runs_under_both_protocols(tmp_path, monkeypatch, backbone, method):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    for protocol in ("clean", "merged"):
        file = tmp_path / f"{protocol}.safetensors"
        record = run_cell(
            Cell("tiny", backbone, "20 B/entity", method, protocol=protocol, profile="smoke"),
            file=file,
        )
        assert record.size.bytes <= record.size.limit_bytes
        assert file.stat().st_size == record.serving.bytes
        assert record.size.bits == 16 and len(record.trials) == 2
        assert load(file).table.copies == BACKBONES[backbone].copies
