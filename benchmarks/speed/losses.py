"""Ways of saving time in a training's loss, as in ``comparisons``."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.speed.comparisons import Factor, check_same
from benchmarks.speed.measuring import BATCH, D_MAX, seconds
from bet.backbones import NCF, Backbone, normalized_adjacency
from bet.data import Split
from bet.seeds import torch_generator
from bet.tables import take_rows
from bet.training import BprSampler
from bet.training.trainer import squared_norms

LARGE = 3 * BATCH  # positives of a step in profile gowalla


def ncf_triples(split: Split, repeat: int) -> Factor:
    """NCF's scores of triples with gradients by hand: a user is projected once for both items."""
    model = NCF(
        normalized_adjacency(split.train),
        split.train.shape[0],
        D_MAX,
        torch_generator(0, "weights"),
    )
    rows = torch.randn(3 * BATCH, 2 * D_MAX, generator=torch_generator(0, "rows")).requires_grad_()

    def gradient(scores: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.autograd.grad(
            scores(rows).diff(dim=0).square().mean(), [rows, *model.parameters()]
        )[0]

    def recorded() -> Tensor:
        return gradient(lambda x: Backbone.triple_scores(model, x, BATCH))

    def by_hand() -> Tensor:
        return gradient(lambda x: model.triple_scores(x, BATCH))

    check_same(recorded(), by_hand())
    return Factor(
        seconds(recorded, repeat),
        seconds(by_hand, repeat),
        f"{BATCH:,} triples, {D_MAX} columns, forward and backward",
    )


def softmax(backbone: type[Backbone], negatives: int, split: Split, repeat: int) -> Factor:
    """The softmax of a positive and its negatives in a compiled loop, which keeps no rows of
    pairs, against a recorded one of gathered rows.
    """
    n_users = split.train.shape[0]
    model = backbone(
        normalized_adjacency(split.train), n_users, D_MAX, torch_generator(0, "weights")
    )
    rows = 0.1 * torch.randn(
        sum(split.train.shape),
        backbone.final_width(D_MAX, D_MAX),
        generator=torch_generator(0, "rows"),
    )
    inputs = [rows.requires_grad_(), *model.parameters()]
    draws = BprSampler(split.train).draw(LARGE, torch_generator(0, "draws"), negatives)
    users, items = draws[0], torch.cat(draws[1:]) + n_users

    def gradient(loss: Tensor) -> Tensor:
        at_rows, *_ = torch.autograd.grad(loss, inputs)
        # Those at the weights are small sums of many signs, which round differently.
        return torch.cat([loss.detach().view(1), LARGE * at_rows.flatten()])

    def recorded() -> Tensor:
        picked = take_rows(rows, torch.cat([users, items]))
        scores = model.triple_scores(picked, LARGE)
        return gradient((scores.logsumexp(0) - scores[0]).mean())

    def compiled() -> Tensor:
        pairs = items.view(1 + negatives, LARGE).T
        return gradient(model.softmax_loss(rows, users, pairs))

    check_same(recorded(), compiled())
    return Factor(
        seconds(recorded, repeat),
        seconds(compiled, repeat),
        f"{LARGE:,} positives, {negatives} negatives of each, {D_MAX} columns, with gradient",
    )


def counted_norms(split: Split, repeat: int) -> Factor:
    """L2 of the rows of a batch by how often each was drawn, instead of gathering them."""
    negatives, n = 32, sum(split.train.shape)
    ego = torch.randn(n, D_MAX, generator=torch_generator(0, "ego")).requires_grad_()
    users = torch.randint(n, (LARGE,), generator=torch_generator(0, "users"))
    items = torch.randint(n, (LARGE, 1 + negatives), generator=torch_generator(0, "items"))
    weights = torch.tensor([1.0, *[1 / negatives] * negatives])

    def gathered() -> Tensor:
        of_items = take_rows(ego, items.flatten()).square().sum(1).view_as(items)  # (B, 1 + K)
        total = take_rows(ego, users).square().sum() + (of_items * weights).sum()
        return torch.autograd.grad(total, ego)[0]

    def counted() -> Tensor:
        return torch.autograd.grad(squared_norms(ego, users, items), ego)[0]

    check_same(gathered(), counted())
    return Factor(
        seconds(gathered, repeat),
        seconds(counted, repeat),
        f"{LARGE:,} users, {1 + negatives} items of each, {D_MAX} columns, with gradient",
    )
