"""Protocol ``merged``: what a method learned is learned again on train and validation, within the
same budget, and sizes follow the ranks of the merged data.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lowered import lowered

from bet.actions import Allocation
from bet.backbones import sparse_rotation
from bet.data import FrequencyOrder
from bet.methods import METHODS
from bet.methods.amtl import FrequencyGroups, at_least, project, twin_recommender
from bet.methods.optembed import candidate_sizes, supernet_recommender
from bet.methods.pep import pruning_recommender
from bet.search import (
    Effort,
    TrainingData,
    check_table,
    initialize_recommender,
    load_or_pretrain,
    train_model,
    train_whole_schedule,
)
from bet.study.cell import Cell
from bet.study.run import run_cell

LEARNED = ("magnitude", "magnitude-rotated", "pep", "optembed", "amtl", "esapn")
CODED = ("pq", "mec")


# What is learned need not be good here.
few_steps = lowered(("bet.methods.ciess", "UPDATES", 5), ("bet.methods.mec", "STEPS", 30))


@pytest.fixture(scope="module")
def merged(split):
    return split.merged()


def directly(context, merged):
    """The context as if the merged interactions were the training data."""
    data = TrainingData(merged, context.data.validation)
    context = replace(context.with_empty_rows(), data=data)
    return context.in_folder(context.workspace.folder / "directly")


def trained_full(context, merged):
    """The full table of ``merged``, by the trainer itself, for the epochs of the clean one."""
    whole = directly(context, merged).without_budget()
    model = initialize_recommender(whole, whole.full_allocation)
    train_model(whole, model, epochs=load_or_pretrain(context).result.epoch)
    return model.table().detach()


def learn_mask(context, merged, name, facts):
    """The allocation that ``name`` learns on ``merged`` with the knobs ``facts``."""
    again = directly(context, merged)
    if name in ("magnitude", "magnitude-rotated"):
        rows = trained_full(context, merged)
        turned = rows @ sparse_rotation(rows) if name == "magnitude-rotated" else rows
        weight = turned.abs().numpy()
        scores = weight / weight.mean(1, keepdims=True) ** facts["gamma"]
        scores[: context.data.n_users] *= facts.get("weight", 1.0)
        mask = np.zeros(scores.size, dtype=bool)
        mask[np.argsort(-scores.ravel(), kind="stable")[: context.budget.parameters]] = True
        return mask.reshape(scores.shape)
    if name == "pep":
        model = pruning_recommender(again, facts["speed"])
        train_whole_schedule(again, model, "direct")
        margins = model.table.margins().numpy()
        mask = np.zeros(margins.size, dtype=bool)
        mask[np.argsort(-margins.ravel(), kind="stable")[: context.budget.parameters]] = True
        return mask.reshape(margins.shape)
    if name == "optembed":
        model = supernet_recommender(again)
        train_whole_schedule(again, model, "direct")
        pair = facts["user_columns"], facts["item_columns"]
        return candidate_sizes(again, model.table.margins().detach().numpy(), pair)
    groups = FrequencyGroups(again.data.order)
    model = twin_recommender(again, groups, facts["rate"])
    train_whole_schedule(again, model, "direct")
    keep = at_least(model.table.choice()).detach().numpy()
    return project(keep, groups, context.budget.target)


@pytest.mark.parametrize("name", LEARNED)
def test_masks_are_those_learned_on_the_merged_data(make, merged, name):
    context = make(budget="70%")
    result = METHODS[name](context)
    fitted = result.fit_to(merged, "both")
    before, now = result.trained.model.table.allocation, fitted.model.table.allocation
    assert now.digest != before.digest and now.total == before.total == context.budget.total
    check_table(result.context, fitted.model.table)
    assert fitted.effort.trainings == 1
    assert fitted.effort.finetunings == (name == "esapn")
    if name != "esapn":
        best = max(result.trials, key=lambda trial: trial["quality"])
        expected = learn_mask(context, merged, name, best)
        np.testing.assert_array_equal(now.sizes if now.mask is None else now.mask, expected)
    # What is finished is not learned again.
    again = result.fit_to(merged, "both").model.state_dict()
    assert all(torch.equal(again[key], value) for key, value in fitted.model.state_dict().items())


@pytest.mark.parametrize("name", CODED)
def test_codes_are_those_of_the_full_table_of_the_merged_data(make, merged, name):
    context = make(limit=2_500)
    result = METHODS[name](context)
    table, now = result.trained.model.table, result.fit_to(merged, "both").model.table
    assert now.spec.layout == table.spec.layout and now.n_bytes() == table.n_bytes() <= 2_500
    assert now.spec.digest != table.spec.digest
    order = FrequencyOrder.of(merged).entities
    np.testing.assert_array_equal(now.fixed_order, order)
    if name == "pq":  # it starts from the rows of the full table, the most frequent stored as such
        rows = trained_full(context, merged).numpy()[order]
        layout, n_users = now.spec.layout, now.spec.layout.users
        users, items = layout.uncompressed
        stored = np.concatenate([rows[:n_users][:users], rows[n_users:][:items]])
        assert len(stored)
        np.testing.assert_array_equal(now.spec.start[len(now.spec.start) - len(stored) :], stored)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("su", None), ("sr", None), ("bet", None), ("powerlaw", None), ("uniform-int4", 2_500),
     ("bet-bytes", 2_500), ("vectors-int4", 2_500)],
)  # fmt: skip
def test_sizes_follow_the_ranks_of_the_merged_data(make, merged, split, name, limit):
    context = make(limit=limit) if limit else make(budget="70%")
    result = METHODS[name](context)
    fitted = result.fit_to(merged, "both")
    assert fitted.effort == Effort(0, 0, 0)
    tables = result.trained.model.table, fitted.model.table
    orders = [FrequencyOrder.of(matrix).entities for matrix in (split.train, merged)]
    assert not np.array_equal(*orders)
    ranked = [table.sizes[order] for table, order in zip(tables, orders, strict=True)]
    np.testing.assert_array_equal(*ranked)
    bits = [table.allocation.bits for table in tables]
    if bits[0] is not None:
        ranked = [each[order] for each, order in zip(bits, orders, strict=True)]
        np.testing.assert_array_equal(*ranked)
    assert tables[0].n_bytes() == tables[1].n_bytes()
    check_table(result.context, tables[1])
    if limit:
        np.testing.assert_array_equal(tables[1].fixed_order, orders[1])


def test_ciess_keeps_sizes_of_entities(make, merged):
    result = METHODS["ciess"](make(budget="70%"))
    again = result.fit_to(merged, "both").model.table
    np.testing.assert_array_equal(again.sizes, result.trained.model.table.sizes)


def test_nothing_is_ranked_on_validation_that_is_fitted(make, merged):
    context = make(budget="70%").fitted_to(merged)
    model = initialize_recommender(context, Allocation.uniform(context.budget.n, 2))
    with pytest.raises(AssertionError, match="validation is among the interactions"):
        context.quality(model)


def test_the_full_table_is_trained_again_once_for_all_methods(make, merged):
    context = make()
    full = METHODS["full"](context)
    again = full.fit_to(merged, "both").model
    expected = trained_full(context, merged)
    assert torch.equal(again.table().detach(), expected)
    folder = context.workspace.cache / "backbones"
    count = len(list(folder.glob("*.pt")))
    METHODS["magnitude"](make(budget="70%")).fit_to(merged, "both")
    assert len(list(folder.glob("*.pt"))) == count == 2


def test_records_count_what_is_learned_again(tmp_path, monkeypatch):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name))
    cell = Cell("tiny", "lightgcn", "80%", "magnitude", profile="smoke")
    clean, merged = run_cell(cell), run_cell(replace(cell, protocol="merged"))
    assert merged.effort.trainings == clean.effort.trainings + 1
    rule = Cell("tiny", "none", "none", "graph-filter", profile="smoke")
    clean, merged = run_cell(rule), run_cell(replace(rule, protocol="merged"))
    assert merged.effort.evaluations > clean.effort.evaluations > 0
