"""Weighted k-means: clusters are found, nearest is nearest, product quantization beats chance."""

import pytest
import torch

from bet.methods._shared.codebooks import cluster_subspaces, decode
from bet.methods._shared.kmeans import kmeans, nearest
from bet.seeds import torch_generator

pytestmark = pytest.mark.usefixtures("one_thread")


def blobs(n=400, w=4, k=8, seed=0):
    generator = torch_generator(seed, "blobs")
    middles = 5 * torch.randn(k, w, generator=generator)
    member = torch.arange(n) % k
    return middles[member] + 0.1 * torch.randn(n, w, generator=generator), member


def test_clusters_are_found_and_centroids_are_weighted_means():
    rows, member = blobs()
    weights = torch.rand(len(rows), generator=torch_generator(1)) + 0.5
    centroids, codes = kmeans(rows, weights, 8, torch_generator(0))
    for k in range(8):
        members = codes == codes[k]
        assert torch.equal(members, member == k)
        mean = (rows[members] * weights[members, None]).sum(0) / weights[members].sum()
        torch.testing.assert_close(centroids[codes[k]], mean)
    again = kmeans(rows, weights, 8, torch_generator(0))
    assert torch.equal(again[0], centroids) and torch.equal(again[1], codes)


def test_nearest_is_nearest():
    rows, _ = blobs(seed=3)
    centroids = torch.randn(30, 4, generator=torch_generator(4))
    codes, distances = nearest(rows, centroids)
    expected = torch.cdist(rows, centroids).square().min(1)
    assert torch.equal(codes, expected.indices)
    torch.testing.assert_close(distances, expected.values, rtol=1e-3, atol=1e-3)


def test_few_different_rows_are_no_trouble(monkeypatch):
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(6, 1)
    centroids, codes = kmeans(rows, torch.ones(12), 5, torch_generator(0))
    assert torch.equal(centroids[codes], rows)
    many, _ = blobs(n=2_000)
    monkeypatch.setattr("bet.methods._shared.kmeans.DISTANCES", 800)  # a sample of 100 rows
    centroids, codes = kmeans(many, torch.ones(2_000), 8, torch_generator(0))
    assert len(codes) == 2_000 and (centroids[codes] - many).square().sum(1).mean() < 1


def test_product_quantization_is_better_than_chance_and_than_fewer_bits():
    rows = torch.randn(600, 16, generator=torch_generator(0))
    errors = []
    for k in (2, 8, 32):
        centroids, codes = cluster_subspaces(rows, torch.ones(600), k, 4, torch_generator(1))
        chance = torch.randint(k, codes.shape, generator=torch_generator(2)).short()
        errors.append(float((decode(centroids, codes) - rows).square().mean()))
        assert errors[-1] < float((decode(centroids, chance) - rows).square().mean())
    assert errors == sorted(errors, reverse=True) and errors[0] < 1 and errors[-1] < 0.35
    centroids, codes = cluster_subspaces(rows[:64], torch.ones(64), 64, 4, torch_generator(1))
    torch.testing.assert_close(decode(centroids, codes), rows[:64])
