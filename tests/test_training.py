"""BPR triples, training with resume, early stopping."""

import copy
import logging
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from bet.actions import Allocation
from bet.adam import Adam
from bet.backbones import BACKBONES, new_recommender, normalized_adjacency, softmax
from bet.backbones.softmax import has_loops
from bet.data.interactions import binary_matrix
from bet.errors import BetError
from bet.seeds import torch_generator
from bet.training import BprSampler, TrainSettings, bpr_loss, loop, sampling, train, trainer

SETTINGS = TrainSettings(
    256, 0.05, "cosine", max_epochs=4, evaluate_every=1, patience=4, init_std=0.1
)


def fresh(split, backbone="lightgcn", width=4):
    return new_recommender(
        BACKBONES[backbone],
        normalized_adjacency(split.train),
        Allocation.uniform(sum(split.train.shape), width),
        n_users=split.train.shape[0],
        d_max=8,
        generator=torch_generator(0, "init"),
        init_std=0.1,
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 2**32), st.integers(1, 30))
def test_triples_are_what_they_say(n_users, n_items, seed, batch):
    rng = np.random.default_rng(seed)
    dense = rng.random((n_users, n_items)) < rng.random()
    users, items = np.nonzero(dense)
    drawable = set(np.flatnonzero(dense.any(1) & ~dense.all(1)))
    matrix = binary_matrix(users, items, dense.shape)
    if not drawable:
        with pytest.raises(BetError, match="learn from"):
            BprSampler(matrix)
        return
    drawn = BprSampler(matrix).draw(batch, torch_generator(seed, "draw"))
    again = BprSampler(matrix).draw(batch, torch_generator(seed, "draw"))
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    u, positive, negative = (part.numpy() for part in drawn)
    assert dense[u, positive].all() and not dense[u, negative].any() and set(u) <= drawable
    if batch <= len(drawable):
        assert len(set(u)) == batch
    several = [BprSampler(matrix).draw(batch, torch_generator(seed), negatives=3)]
    with mock.patch.object(sampling, "find_spec", lambda name: None):
        several.append(BprSampler(matrix).draw(batch, torch_generator(seed), negatives=3))
    assert all(torch.equal(a, b) for a, b in zip(*several, strict=True))
    assert not dense[several[0][0].repeat(3), several[0][2]].any()


@pytest.mark.parametrize("fused", [True, False])
def test_adam_gives_the_numbers_of_torchs_and_resumes_from_its_state(fused):
    weights = {}
    for kind in (Adam, torch.optim.Adam):
        parts = [torch.nn.Parameter(torch.linspace(-1, 2, n)) for n in (7, 3)]
        groups = [{"params": [parts[0]]}, {"params": [parts[1]], "lr": 0.3, "weight_decay": 0.1}]
        optimizer = kind(groups, lr=0.01, fused=fused)
        for step in range(6):
            if step == 3:
                state, optimizer = optimizer.state_dict(), kind(groups, lr=1.0, fused=fused)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            (parts[0].exp().sum() * parts[1].square().sum()).backward()
            optimizer.step()
        weights[kind] = torch.cat(parts).detach()
    assert torch.equal(weights[Adam], weights[torch.optim.Adam])


def test_several_negatives_share_a_softmax_in_float64_too(split):
    """Without the compiled loops, whose loss is the same up to rounding."""
    triples = BprSampler(split.train).draw(64, torch_generator(0, "draw"), negatives=3)
    model = fresh(split, "ncf")
    single = bpr_loss(model, triples, 0.5, None)
    double = bpr_loss(model.double(), triples, 0.5, None)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=0)


@pytest.mark.parametrize("backbone", ["lightgcn", "ncf"])
def test_several_negatives_share_a_softmax_with_their_positive(split, backbone):
    model, sampler = fresh(split, backbone), BprSampler(split.train)
    users, positives, negatives = sampler.draw(64, torch_generator(0, "draw"), negatives=3)
    dense = split.train.toarray()
    assert negatives.shape == (3 * 64,) and not dense[users.repeat(3), negatives].any()
    assert len(np.unique(negatives.reshape(3, 64).numpy(), axis=0)) == 3
    scores = model.ranker()(users).detach()  # (64, |V|)
    candidates = torch.cat([positives[None], negatives.reshape(3, 64)])  # (4, 64)
    logits = scores.gather(1, candidates.T)
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(64, dtype=torch.int64))
    loss = bpr_loss(model, (users, positives, negatives), 0.0, None)
    torch.testing.assert_close(loss.detach(), expected)
    rows = model.table().detach().square().sum(1)
    of_items = rows[model.n_users :]
    squares = (rows[users] + of_items[positives] + of_items[candidates[1:]].mean(0)).mean()
    penalized = bpr_loss(model, (users, positives, negatives), 0.5, None)
    torch.testing.assert_close((penalized - loss).detach(), 0.5 * squares)


@pytest.mark.parametrize("scale", [0.1, 3.0])
@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf", "ncf"])
def test_the_compiled_softmax_has_the_gradients_of_the_recorded_one(
    split, backbone, scale, monkeypatch
):
    single = fresh(split, backbone).backbone
    double = copy.deepcopy(single).double()  # the loops take float32 only
    n_users, n_items = split.train.shape
    generator = torch_generator(0)
    width = single.final_width(5, single.d_max)
    rows = scale * torch.randn(n_users + n_items, width, generator=generator)
    users = torch.randint(n_users, (40,), generator=generator)  # some twice
    items = n_users + torch.randint(n_items, (40, 6), generator=generator)

    def loss_and_gradients(model, rows):
        rows = rows.clone().requires_grad_()
        loss = model.softmax_loss(rows, users, items)
        inputs = [rows, *model.parameters()]
        return [loss, *torch.autograd.grad(2 * loss, inputs, materialize_grads=True)]

    assert has_loops(rows) and not has_loops(rows.double())
    expected = loss_and_gradients(double, rows.double())
    compiled = loss_and_gradients(single, rows)
    monkeypatch.setattr(softmax, "find_spec", lambda name: None)
    assert not has_loops(rows)
    for numbers in (compiled, loss_and_gradients(single, rows)):
        for ours, theirs in zip(numbers, expected, strict=True):
            torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=1e-5)


def test_draws_are_uniform():
    dense = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
    sampler = BprSampler(binary_matrix(*np.nonzero(dense), dense.shape))
    u, positive, negative = (
        part.numpy() for part in sampler.draw(30_000, torch_generator(0, "uniform"))
    )
    assert chisquare(np.bincount(u)).pvalue > 1e-3
    for user in range(3):
        for items, wanted in ((positive, 1), (negative, 0)):
            counts = np.bincount(items[u == user], minlength=5)[dense[user] == wanted]
            assert len(counts) == 1 or chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf"])
def test_interrupted_training_continues_to_the_same_weights(split, tmp_path, monkeypatch, backbone):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    sampler, path = BprSampler(split.train), tmp_path / "checkpoint.pt"

    def quality(model):
        return float(model.table().detach().abs().mean())

    whole = fresh(split, backbone)
    expected = train(whole, sampler, SETTINGS, seed=0, validate=quality)
    calls = []

    def dies(model):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return quality(model)

    with pytest.raises(KeyboardInterrupt):
        train(fresh(split, backbone), sampler, SETTINGS, seed=0, validate=dies, checkpoint=path)
    assert path.is_file()
    model, evaluated = fresh(split, backbone), []
    result = train(
        model,
        sampler,
        SETTINGS,
        seed=0,
        validate=lambda m: evaluated.append(1) or quality(m),
        checkpoint=path,
    )
    assert len(evaluated) == 2  # epochs 3 and 4: the first two were not repeated
    curves = [[replace(point, seconds=0) for point in r.curve] for r in (expected, result)]
    assert curves[0] == curves[1] and (expected.epoch, expected.quality) == (
        result.epoch,
        result.quality,
    )
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True)
    )
    assert not path.exists()


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_damaged_or_foreign_checkpoint_is_left_alone(split, tmp_path, caplog, damage):
    path, sampler = tmp_path / "checkpoint.pt", BprSampler(split.train)
    loop.save_state(path, "another key", {"epoch": 3})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        model = fresh(split)
        train(model, sampler, SETTINGS, seed=0, epochs=1, checkpoint=path)
    assert "starting afresh" in caplog.text
    other = fresh(split)
    train(other, sampler, SETTINGS, seed=0, epochs=1)
    assert torch.equal(model.table.weight, other.table.weight)


def interrupted(split, sampler, path, width=4, epoch=2):
    """Leave the checkpoint of a run that stopped in ``epoch``."""
    calls = []

    def dies(model):
        calls.append(1)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return float(len(calls))

    with pytest.raises(KeyboardInterrupt):
        train(fresh(split, width=width), sampler, SETTINGS, seed=0, validate=dies, checkpoint=path)
    assert path.is_file()


def test_checkpoint_of_other_data_or_sizes_is_not_continued(split, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    path, other = tmp_path / "checkpoint.pt", BprSampler(split.validation)
    assert other.digest != BprSampler(split.train).digest == BprSampler(split.train).digest
    for sampler, width in ((other, 4), (BprSampler(split.train), 5)):
        interrupted(split, sampler, path, width)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            model, evaluated = fresh(split), []
            train(
                model,
                BprSampler(split.train),
                SETTINGS,
                seed=0,
                validate=lambda m, seen=evaluated: seen.append(1) or 0.0,
                checkpoint=path,
            )
        assert "starting afresh" in caplog.text and len(evaluated) == SETTINGS.max_epochs


def test_training_without_validation_continues_too(split, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    sampler, path, steps = BprSampler(split.train), tmp_path / "checkpoint.pt", []
    whole, model = fresh(split), fresh(split)
    train(whole, sampler, SETTINGS, seed=0, epochs=3)
    loss = trainer.bpr_loss

    def dies(*arguments):
        steps.append(1)
        if len(steps) == 2 * -(-sampler.n_interactions // SETTINGS.batch_size) + 1:
            raise KeyboardInterrupt  # in the first step of epoch 3
        return loss(*arguments)

    monkeypatch.setattr(trainer, "bpr_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train(model, sampler, SETTINGS, seed=0, epochs=3, checkpoint=path)
    monkeypatch.setattr(trainer, "bpr_loss", loss)
    continued = fresh(split)
    train(continued, sampler, SETTINGS, seed=0, epochs=3, checkpoint=path)
    assert torch.equal(continued.table.weight, whole.table.weight) and not path.exists()


def test_stops_after_patience_and_restores_the_best(split):
    script, seen = iter([0.1, 0.3, 0.2, 0.25, 0.9]), []

    def validate(model):
        seen.append(model.snapshot())
        return next(script)

    model = fresh(split)
    stopping = TrainSettings(
        256, 0.05, "step", max_epochs=5, evaluate_every=1, patience=2, init_std=0.1
    )
    result = train(model, BprSampler(split.train), stopping, seed=0, validate=validate)
    assert len(seen) == 4 and (result.epoch, result.quality) == (2, 0.3)
    assert torch.equal(model.table.weight, seen[1]["table.weight"])


def test_schedules():
    cosine = TrainSettings(learning_rate=0.1, schedule="cosine", floor=0.01)
    assert [cosine.rate(step, 100) for step in (0, 50, 100, 150)] == pytest.approx(
        [0.1, 0.055, 0.01, 0.01]
    )
    steps = TrainSettings(learning_rate=0.1, schedule="step", decay=0.5, decay_steps=10, floor=0.03)
    assert [steps.rate(step, 100) for step in (0, 9, 10, 20, 90)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.03, 0.03]
    )
    for wrong in (
        {"batch_size": 0},
        {"schedule": "x"},
        {"schedule": "plateau", "decay": 1.0},
        {"start": "svd"},
        {"negatives": 0},
        {"start_scale": 0.0},
        {"floor": 1.0},
        {"patience": 0},
        {"backbone_rate": 0.0},
    ):
        with pytest.raises(BetError, match=list(wrong)[-1]):
            TrainSettings(**wrong)


def test_backbone_weights_learn_at_their_own_rate(split):
    moved = []
    for rate in (1.0, 1e-6):
        model = fresh(split, "ncf")
        before = [weight.detach().clone() for weight in model.backbone.parameters()]
        train(
            model,
            BprSampler(split.train),
            TrainSettings(256, 0.05, backbone_rate=rate, init_std=0.1),
            seed=0,
            epochs=1,
        )
        moved.append(
            max(
                float((a - b.detach()).abs().max())
                for a, b in zip(before, model.backbone.parameters(), strict=True)
            )
        )
    assert moved[1] < 1e-4 < moved[0]


def test_divergence_names_step_and_rate(split):
    model = fresh(split)
    with torch.no_grad():
        model.table.weight.fill_(torch.nan)
    with pytest.raises(BetError, match=r"loss nan in epoch 1.*learning rate 0\.0\d+; lower"):
        train(model, BprSampler(split.train), SETTINGS, seed=0, epochs=1)
