"""MEC's terms do what they say, and its codes follow popularity."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from bet.methods._shared.codebooks import cluster_subspaces, decode
from bet.methods.mec import (
    Coder,
    Weights,
    contrast,
    entropy_gap,
    learn_codes,
    negatives,
    repetitions,
    usage_entropy,
)
from bet.seeds import torch_generator


@pytest.fixture(autouse=True)
def fast(monkeypatch, one_thread):
    """Few steps for MEC."""
    monkeypatch.setattr(import_module("bet.methods.mec"), "STEPS", 30)


def skewed(n=600, columns=8, seed=0):
    """Two of three rows in one heap: codes that follow the rows are used unevenly."""
    generator = torch_generator(seed, "skewed")
    scale = torch.where(torch.arange(n) % 3 == 0, 3.0, 0.3)[:, None]
    return torch.randn(n, columns, generator=generator) * scale


def coder(rows, k=8, parts=2):
    centroids, codes = cluster_subspaces(rows, torch.ones(len(rows)), k, parts, torch_generator(0))
    return Coder(
        centroids, parts, float((decode(centroids, codes) - rows).square().sum(1).mean()) / parts
    )


def learn(rows, repeats, k, subspaces, name, **options):
    generator = torch_generator(0, "mec", name)
    return learn_codes(rows, repeats, k, subspaces, generator=generator, **options)


@pytest.mark.parametrize("name", ["entropy", "contrast", "commitment"])
def test_every_term_has_a_gradient(name):
    rows = skewed()
    none = Weights(0, 0, 0)

    def gradients(weights):
        coder_of_rows = coder(rows)
        coder_of_rows.loss(rows, torch_generator(1), weights).backward()
        return coder_of_rows.encoder.grad, coder_of_rows.centroids.grad, coder_of_rows.decoder.grad

    without, with_term = gradients(none), gradients(replace(none, **{name: 1.0}))
    assert all((gradient != 0).any() for gradient in without), (
        "reconstruction reaches the encoder through the assignment"
    )
    assert (without[0] != with_term[0]).any()
    if name != "commitment":  # draws the encoder only
        assert (without[1] != with_term[1]).any()


def test_the_entropy_term_is_zero_for_equal_use_and_evens_the_use_of_codes_out():
    equal = torch.zeros(2, 5, 4)
    assert float(entropy_gap(equal, 1.0)) == pytest.approx(0, abs=1e-6)
    distances = torch.full((2, 5, 4), 1e3)
    distances[:, :, 0] = 0
    assert float(entropy_gap(distances, 1.0)) == pytest.approx(np.log(4))
    rows = skewed()
    used = []
    for entropy in (0.0, 30.0):
        codes = learn(rows, torch.ones(600), 16, 2, "x", weights=Weights(entropy=entropy))
        used.append(np.mean([usage_entropy(part, 16) for part in codes.T]))
    assert used[1] > used[0] + 0.03


def test_negatives_differ_in_one_position_and_from_row_to_row():
    codes = torch.randint(16, (8, 500), generator=torch_generator(0))
    false = negatives(codes, 16, torch_generator(1))
    assert ((false != codes).sum(0) == 1).all() and false.min() >= 0 and false.max() < 16
    assert len((false != codes).float().argmax(0).unique()) == 8, (
        "every position is replaced somewhere"
    )
    same = codes[:, :1].expand(8, 500)
    assert negatives(same, 16, torch_generator(1)).unique(dim=1).shape[1] > 80, (
        "of 120; the published code has one"
    )


def test_contrast_prefers_the_own_codes():
    rows = torch.randn(50, 8, generator=torch_generator(0))
    assert (
        float(contrast(rows, rows, -rows))
        < float(contrast(rows, rows, rows))
        == pytest.approx(np.log(2))
    )
    assert float(contrast(rows, -rows, rows)) > np.log(2)


def test_popularity_moves_codes_to_popular_rows():
    assert repetitions(np.array([0, 1, 2, 3, 4, 1023, 1024])).tolist() == [1, 1, 1, 1, 2, 9, 10]
    rows = torch.randn(400, 8, generator=torch_generator(5))
    popular = torch.arange(400) < 100
    errors = []
    for repeats in (torch.ones(400), torch.where(popular, 10.0, 1.0)):
        codes = learn(rows, repeats, 16, 2, "x", weights=Weights(0, 0))
        # The best centroids for the codes: how far the rows are apart that share one.
        missed = torch.zeros(400)
        for part, part_codes in zip(rows.chunk(2, dim=1), codes.T.long(), strict=True):
            sums = torch.zeros(16, 4).index_add_(0, part_codes, part * repeats[:, None])
            mass = torch.zeros(16).index_add_(0, part_codes, repeats).clamp(min=1)
            missed += (part - (sums / mass[:, None])[part_codes]).square().sum(1)
        errors.append((float(missed[popular].mean()), float(missed[~popular].mean())))
    assert errors[1][0] < 0.8 * errors[0][0] and errors[1][1] > errors[0][1]


def test_one_centroid_needs_no_codes():
    assert (learn(torch.randn(3, 4), torch.ones(3), 1, 2, "x") == 0).all()
    assert learn(torch.zeros(0, 4), torch.zeros(0), 0, 2, "x").shape == (0, 2)


def test_a_centroid_that_no_row_is_near_leaves_the_entropy_term_finite():
    distances = torch.tensor([[[0.0, 1e9], [0.0, 1e9]]], requires_grad=True)
    gap = entropy_gap(distances, 1.0)
    gap.backward()
    assert float(gap.detach()) == pytest.approx(np.log(2)) and distances.grad.isfinite().all()
    # Nearly as many centroids as rows: the softness is close to zero.
    rows = torch.randn(300, 4, generator=torch_generator(0))
    codes = learn(rows, torch.ones(300), 256, 1, "test", steps=20)
    assert len(codes.unique()) > 200
