"""Starts from iALS factors and from the rotated full table: exact, for every table, or refused."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ALS, TRAINING

from bet.actions import Allocation
from bet.backbones import rotate_recommender, truncate_recommender
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.optembed import Supernet
from bet.methods.pep import pruning_recommender
from bet.packed import CodebookLayout
from bet.search import (
    initialize_recommender,
    load_or_pretrain,
    refit,
    start,
    train_from_scratch,
    truncate,
    whole_schedule,
)
from bet.search.refit import Trained
from bet.search.start import load_or_factorize
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import read_record
from bet.study.run import run_cell
from bet.tables import CodebookSpec, HashedSpec, LearnedTable
from bet.training import TrainResult, numbers_of

FROM_FACTORS = replace(TRAINING, start="ials", start_scale=0.25)
WARM = replace(TRAINING, warm_start=True)


def with_als(context):
    return replace(context, settings=replace(context.settings, als=ALS))


def scores(model):
    return model.ranker()(torch.arange(model.n_users)).detach()


def root_mean_square(numbers):
    return float(numbers.detach().square().mean().sqrt())


@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf"])
def test_rows_start_from_factors_of_their_sizes(make, backbone):
    context = with_als(make(backbone, training=FROM_FACTORS))
    sizes = np.random.default_rng(0).integers(0, 17, context.budget.n)
    sizes[0] = 16
    context = context.with_empty_rows()
    allocation = Allocation.from_sizes(sizes.astype(np.int16))
    context = replace(context, budget=replace(context.budget, total=allocation.total))
    table = initialize_recommender(context, allocation).table
    factors = load_or_factorize(context, allocation, ALS)
    scale = float((table() / factors)[0, 0].detach())
    torch.testing.assert_close(table().detach(), factors * scale)
    kept = table().detach()[torch.from_numpy(np.arange(16) < sizes[:, None])]
    assert root_mean_square(kept) == pytest.approx(0.25)
    # Least squares have fitted them: they rank far better than numbers at random.
    random = initialize_recommender(make(backbone), make(backbone).full_allocation)
    full = initialize_recommender(
        replace(context, budget=make(backbone).budget), make(backbone).full_allocation
    )
    if backbone == "lightgcn":
        assert context.quality(full) > 1.5 * context.quality(random)


def test_ncf_starts_with_the_inner_product_of_the_factors(make):
    context = with_als(make("ncf", training=FROM_FACTORS))
    allocation = Allocation.uniform(context.budget.n, 5)
    context = replace(context, budget=replace(context.budget, total=allocation.total))
    model = initialize_recommender(context, allocation)
    factors = load_or_factorize(context, allocation, ALS)
    users, items = factors.split([model.n_users, len(factors) - model.n_users])
    with torch.no_grad():
        model.backbone.a.zero_()  # without the MLP branch
        ratio = scores(model) / (users @ items.T)
    assert float(ratio.min()) > 0 and float(ratio.std()) < 1e-4 * float(ratio.mean())
    mlp, gmf = model.table().detach().chunk(2, dim=1)
    assert root_mean_square(gmf) == pytest.approx(0.25)
    assert root_mean_square(mlp) == pytest.approx(TRAINING.init_std, rel=0.1)


def test_factors_are_fitted_once_for_data_sizes_and_settings(make, monkeypatch):
    context, fitted = with_als(make(training=FROM_FACTORS)), []
    train_als = start.train_als
    monkeypatch.setattr(start, "train_als", lambda *a, **k: fitted.append(1) or train_als(*a, **k))
    whole, half = context.full_allocation, Allocation.uniform(context.budget.n, 8)
    first = load_or_factorize(context, whole, ALS)
    assert torch.equal(load_or_factorize(context, whole, ALS), first) and len(fitted) == 1
    load_or_factorize(context, half, ALS)
    load_or_factorize(context, whole, replace(ALS, l2=0.3))
    merged = replace(context.data, train=context.data.train + context.data.validation)
    load_or_factorize(replace(context, data=merged), whole, ALS)
    assert len(fitted) == 4


@pytest.mark.parametrize("method", ["uniform-int4", "vectors-int2"])
def test_rounded_tables_start_from_factors_before_rounding(make, method):
    context = with_als(make(training=FROM_FACTORS, limit=4_000))
    outcome = METHODS[method](context)
    table = outcome.trained.model.table
    fresh = initialize_recommender(outcome.context, Allocation.uniform(table.n, table.width)).table
    assert root_mean_square(fresh.weight) == pytest.approx(0.25)
    factors = load_or_factorize(outcome.context, Allocation.uniform(table.n, table.width), ALS)
    ratio = (fresh.weight / factors).detach()
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.mean())))


def test_single_numbers_and_learned_tables_start_from_all_columns(make):
    context = with_als(make(training=FROM_FACTORS))
    whole = initialize_recommender(context, context.full_allocation).table().detach()
    mask = np.random.default_rng(0).random(whole.shape) < 0.3
    table = initialize_recommender(context, Allocation.from_mask(mask)).table
    assert torch.equal(table().detach(), whole * torch.from_numpy(mask))
    for learner in (LearnedTable, lambda *a, **k: Supernet(*a, n_users=5, seed=0, **k)):
        table = initialize_recommender(context, context.full_allocation, learner).table
        assert torch.equal(table.weight.detach(), whole)
    assert float(table.scale) == pytest.approx(float(whole.abs().sum(1).mean()))


def test_shared_rows_start_from_means():
    rows = torch.arange(12.0).reshape(6, 2)  # three users, three items
    spec = HashedSpec(size=2, rows=4, user_rows=2, weights=0, k=1, k_weights=0, n_users=3, seed=0)
    hashed = spec.table(Allocation.uniform(6, 2), d_max=2, copies=1).take_prefixes(rows)
    for place in hashed.places.unique():
        sharing = (hashed.places == place).any(1)
        torch.testing.assert_close(hashed.tokens[place].detach(), rows[sharing].mean(0))
    layout = CodebookLayout(
        columns=2,
        copies=1,
        subspaces=2,
        code_bits=1,
        users=3,
        items=3,
        user_uncompressed=1,
        item_uncompressed=0,
    )
    codes = np.array([[0, 1], [1, 1], [0, 0], [0, 1], [1, 1]])
    coded = CodebookSpec(layout, codes, np.arange(6)).table(
        Allocation.uniform(6, 2), d_max=2, copies=1
    )
    ego = coded.take_prefixes(rows)().detach()
    expected = torch.tensor([[0, 1], [2, 4], [4, 4], [7, 7], [7, 10], [10, 10]]).float()
    assert torch.equal(ego, expected)
    learned = replace(CodebookSpec(layout, codes, np.arange(6)), start=np.ones((5, 2), np.float32))
    table = learned.table(Allocation.uniform(6, 2), d_max=2, copies=1)
    assert torch.equal(table.take_prefixes(rows)().detach(), torch.ones(6, 2))


@pytest.mark.parametrize("backbone", ["lightgcn", "ials", "ncf", "gmf"])
def test_rotation_keeps_all_scores_and_its_cuts_keep_more(make, backbone):
    training = None if backbone == "ials" else replace(TRAINING, max_epochs=6, patience=6)
    context = make(backbone, training=training)
    full = load_or_pretrain(context).model
    before = scores(full)
    turned = rotate_recommender(full)
    scale = float(before.abs().max())
    torch.testing.assert_close(scores(turned), before, atol=1e-5 * scale, rtol=0)
    assert torch.equal(scores(full), before)  # a copy
    for width in (2, 4, 8):
        cut = Allocation.uniform(context.budget.n, width)
        lost = [
            float((scores(truncate_recommender(model, cut)) - before).square().mean())
            for model in (full, turned)
        ]
        assert lost[1] < 0.9 * lost[0]


def test_a_backbone_that_mixes_columns_says_so_before_any_work(make):
    context = make("ngcf", budget="80%", training=WARM)
    with pytest.raises(BetError, match="columns of ngcf mix.*set warm_start = false"):
        METHODS["su"](context)
    assert not (context.workspace.cache / "backbones").exists()
    with pytest.raises(BetError, match="columns of ngcf mix"):
        rotate_recommender(initialize_recommender(make("ngcf"), make("ngcf").full_allocation))


def test_warm_tables_start_from_the_rotated_cut(make):
    context = make(budget="50%", training=WARM)
    plain = load_or_pretrain(make(budget="50%"))
    full = load_or_pretrain(context)  # trained once for both
    assert len(list((context.workspace.cache / "backbones").glob("*.pt"))) == 1
    assert full.result == plain.result
    assert torch.equal(full.model.table(), rotate_recommender(plain.model).table())
    sizes = np.random.default_rng(0).permutation(np.repeat([4, 12], context.budget.n // 2 + 1))
    allocation = Allocation.from_sizes(sizes[: context.budget.n].astype(np.int16))
    context = replace(context, budget=replace(context.budget, total=allocation.total))
    cut = initialize_recommender(context, allocation)
    assert torch.equal(cut.table(), truncate(context, full, allocation).table())
    mask = np.random.default_rng(0).random((context.budget.n, 16)) < 0.3
    context = context.without_budget()
    masked = initialize_recommender(context, Allocation.from_mask(mask)).table()
    assert torch.equal(masked, full.model.table() * torch.from_numpy(mask))
    ncf = make("ncf", training=WARM)
    cut = initialize_recommender(ncf, ncf.full_allocation)
    assert torch.equal(scores(cut), scores(load_or_pretrain(ncf).model))
    last = replace(Allocation.uniform(ncf.budget.n, 4), last_copy=True)
    cut = initialize_recommender(ncf, last)
    assert torch.equal(scores(cut), scores(truncate(ncf, load_or_pretrain(ncf), last)))


def test_a_refit_after_a_warm_start_cuts_a_full_table_of_its_own_data(make, split, monkeypatch):
    context, merged = make(budget="50%", training=WARM), split.merged()
    allocation = Allocation.uniform(context.budget.n, 8)
    trained = train_from_scratch(context, allocation, "narrow")
    full = load_or_pretrain(context.fitted_to(merged)).model
    assert not torch.equal(full.table(), load_or_pretrain(context).model.table())
    no_epochs = Trained(trained.model, TrainResult(0, 0.0, 0.0))
    part = sys.modules["bet.search.refit"]  # by name it is the function
    monkeypatch.setattr(part, "train_model", lambda *arguments, **named: no_epochs.result)
    model = refit(context, no_epochs, merged, "both")
    assert torch.equal(model.table(), truncate_recommender(full, allocation).table())


def test_learned_tables_take_the_epochs_and_rates_of_the_full_one(make):
    plateau = replace(
        TRAINING, schedule="plateau", decay=0.5, floor=0.01, patience=1, max_epochs=40
    )
    context = make(budget="50%", training=plateau)
    result, schedule = load_or_pretrain(context).result, whole_schedule(context)
    assert schedule.epochs == result.epoch < 40 and schedule.falls == result.falls
    assert len(schedule.rates) == result.epoch * context.steps_per_epoch
    steps = -(-context.sampler.n_interactions // 256)
    expected = [0.03 * 0.5 ** sum(e <= k for e in result.falls) for k in range(result.epoch)]
    assert schedule.rates[::steps] == tuple(pytest.approx(rate) for rate in expected)
    assert pruning_recommender(context, 1.0).table.rate == pytest.approx(15 / sum(schedule.rates))
    assert len(whole_schedule(make()).rates) == 2 * context.steps_per_epoch


def test_keys_change_with_the_start_only_where_there_is_one():
    profile = PROFILES["smoke"]
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")

    def keyed(**numbers):
        training = {**profile.training}
        training["lightgcn"] = replace(training["lightgcn"], **numbers.pop("lightgcn", {}))
        training["ials"] = replace(training["ials"], **numbers)
        return replace(profile, training=training).key(cell)

    assert keyed(l2=3.0) == keyed(lightgcn={"start": "normal"}) == profile.key(cell)
    keys = {keyed(lightgcn={"start": "ials"}), keyed(lightgcn={"start": "ials"}, l2=3.0)}
    assert len({*keys, keyed(lightgcn={"warm_start": True}), profile.key(cell)}) == 4


def test_missing_settings_of_least_squares_are_named(make):
    with pytest.raises(BetError, match='start = "ials" needs the settings of least squares'):
        load_or_pretrain(make(training=FROM_FACTORS))


def test_a_record_holds_the_settings_of_its_factors(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    profile = PROFILES["smoke"]
    started = replace(profile.training["lightgcn"], start="ials")
    training = {**profile.training, "lightgcn": started}
    monkeypatch.setitem(PROFILES, "smoke", replace(profile, training=training))
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")
    record = run_cell(cell)
    assert record.settings.als == numbers_of(profile.training["ials"])
    assert read_record(cell).settings == record.settings
