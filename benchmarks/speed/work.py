"""What is measured: every row prepares its input, then times the package's own code, and checks
what came out.
"""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.speed.measuring import BATCH, D_MAX, seconds
from bet.actions import Action, Allocation, Budget, parse_budget, parse_bytes, sample_actions
from bet.actions.published import BudgetUse, published_sizes
from bet.backbones import LightGCN, new_recommender, normalized_adjacency
from bet.data import FrequencyOrder, Split
from bet.methods import METHODS
from bet.predictor import DeepSets, stack_histograms
from bet.process import fixed_threads
from bet.search import (
    PredictorSelector,
    RunSettings,
    SearchContext,
    SearchSettings,
    Trained,
    TrainingData,
    Workspace,
    evaluate_finetuned,
    initialize_recommender,
    load_or_pretrain,
)
from bet.seeds import numpy_generator, torch_generator
from bet.study.profiles import PROFILES
from bet.training import BprSampler, TrainResult, TrainSettings, evaluate
from bet.training.trainer import bpr_loss

ITERATIONS = 50  # of a search by least squares


@dataclass(frozen=True)
class Measured:
    """``seconds``: median of the work; ``reference``: of what it was compared with in the same run,
    None: nothing; ``note``: a statement about the result.
    """

    seconds: float
    reference: float | None
    note: str


def adjacency(split: Split, repeat: int) -> Measured:
    """Normalize the user-item graph of the training part."""
    taken = seconds(lambda: normalized_adjacency(split.train), repeat)
    return Measured(taken, None, f"{2 * split.train.nnz:,} entries")


def sampling(split: Split, repeat: int) -> Measured:
    """Sample 100 actions at sparsity 90 %; the reference is the published sampler, drawn once."""
    order = FrequencyOrder.of(split.train)
    budget = parse_budget("90%", order.n, D_MAX)

    def ours() -> list[Action]:
        return sample_actions(order, budget, 100, numpy_generator(0, "benchmark"))

    taken = seconds(ours, repeat)
    used = [int(action.sizes.sum(dtype=np.int64)) for action in ours()]
    rng, started = numpy_generator(0, "published"), time.perf_counter()
    published = [int(published_sizes(order, budget, rng).sum()) for _ in range(100)]
    reference = time.perf_counter() - started
    over = [round(100 * BudgetUse.of(columns, budget).over) for columns in (used, published)]
    exact = set(used) == {budget.target}
    note = f"{over[0]} of 100 over budget, all use it exactly: {exact}; published: {over[1]} over"
    return Measured(taken, reference, note)


def score_by_formula(predictor: DeepSets, order: FrequencyOrder, action: Action) -> float:
    """The predictor's formula, set by set, without prefix sums."""
    frequencies = [
        torch.from_numpy(f / max(f.max(), 1)).float()[:, None]
        for f in (order.user_frequency, order.item_frequency)
    ]
    encoded = torch.cat(
        [predictor.encode_user(frequencies[0]), predictor.encode_item(frequencies[1])]
    )
    sizes, sets = torch.from_numpy(action.sizes.astype(np.int64)), []
    for d in range(1, D_MAX + 1):
        members = encoded[sizes == d]
        mean = members.double().mean(0).float() if len(members) else torch.zeros(encoded.shape[1])
        sets.append(predictor.encode_set(torch.cat([mean, torch.tensor([d / D_MAX])])))
    return float(predictor.decode(torch.stack(sets).mean(0)))


@torch.no_grad()
def scoring(split: Split, repeat: int) -> Measured:
    """Score 100 actions with DeepSets; the reference is the plain formula for two of them, times
    50.
    """
    order = FrequencyOrder.of(split.train)
    budget = parse_budget("90%", order.n, D_MAX)
    actions = sample_actions(order, budget, 100, numpy_generator(0, "benchmark"))
    predictor = DeepSets(order, D_MAX, torch_generator(0, "predictor"))
    taken = seconds(lambda: predictor(stack_histograms(actions, D_MAX)), repeat)
    scores = predictor(stack_histograms(actions, D_MAX))
    started = time.perf_counter()
    expected = [score_by_formula(predictor, order, action) for action in actions[:2]]
    reference = 50 * (time.perf_counter() - started)
    error = float((scores[:2] - torch.tensor(expected)).abs().max())
    assert error < 1e-4, f"the fast scores differ from the formula by {error}"
    return Measured(taken, reference, f"largest difference from the formula {error:.0e}")


@torch.no_grad()
def evaluation(split: Split, repeat: int) -> Measured:
    """Rank all items for all users at d = 128; the reference is the bare blocked product and
    top-20.
    """
    generator = torch_generator(0, "rows")
    users, items = (torch.randn(count, D_MAX, generator=generator) for count in split.train.shape)
    columns = items.T.contiguous()

    def bare() -> None:
        for start in range(0, len(users), 1024):
            torch.topk(users[start : start + 1024] @ columns, 20)

    masked = [split.train, split.validation]
    taken = seconds(lambda: evaluate(lambda ids: users[ids] @ columns, split.test, masked), repeat)
    ranked = int((np.diff(split.test.indptr) > 0).sum())
    return Measured(taken, seconds(bare, repeat), f"{ranked:,} users x {len(items):,} items")


def ten_steps(split: Split, width: int, repeat: int, batch: int = BATCH) -> float:
    """Seconds of ten LightGCN training steps (draw, loss, gradient, Adam) of a table whose sizes
    are all ``width``.
    """
    graph, sampler = normalized_adjacency(split.train), BprSampler(split.train)
    generator = torch_generator(0, "draws")
    model = new_recommender(
        LightGCN,
        graph,
        Allocation.uniform(graph.n, width),
        n_users=split.train.shape[0],
        d_max=D_MAX,
        generator=torch_generator(0, "init"),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    before = model.table().detach().clone()

    def ten() -> None:
        for _ in range(10):
            loss = bpr_loss(model, sampler.draw(batch, generator), LightGCN.l2, None)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    taken = seconds(ten, repeat)
    assert not torch.equal(before, model.table()), "training changed nothing"
    return taken


def step(split: Split, repeat: int, width: int) -> Measured:
    """One LightGCN training step, batch 10,000; mean of ten."""
    steps = -(-split.train.nnz // BATCH)
    return Measured(ten_steps(split, width, repeat) / 10, None, f"{steps} steps per epoch")


def iteration(split: Split, repeat: int) -> Measured:
    """One search iteration at 90 %: sample 100, score 100, mask the cached full model, one epoch,
    evaluate half the users.
    """
    budget = parse_budget("90%", sum(split.train.shape), D_MAX)
    training = TrainSettings(batch_size=BATCH, validation_share=0.5, init_std=0.1)
    settings = SearchSettings(finetune_epochs=1)
    nowhere = Path(os.devnull)
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings("lightgcn", training, settings),
        workspace=Workspace(nowhere, nowhere),
        budget=budget,
    )
    model = initialize_recommender(context.without_budget(), context.full_allocation)
    full = Trained(model, TrainResult(0, math.nan, 0.0))
    largest = []

    def work() -> None:
        action = PredictorSelector(context, DeepSets).choose(1, []).action
        assert int(action.sizes.sum(dtype=np.int64)) == budget.target
        assert evaluate_finetuned(context, full, action.allocation).means()["quality"] > 0
        largest.append(int(action.sizes.max()))

    taken = seconds(work, repeat)
    note = "data, graph and full model are there already"
    return Measured(taken, None, f"the chosen action's largest size is {largest[-1]}; {note}")


def least_squares_search(split: Split, repeat: int) -> Measured:
    """A search over sizes and bits at 25.6 bytes per entity whose T actions are all trained to
    convergence, on two threads, once; the reference is one training of the full table.
    """
    paper, n = PROFILES["paper"], sum(split.train.shape)
    d_max = paper.columns("ials")
    with TemporaryDirectory() as folder, fixed_threads(2):
        context = SearchContext(
            data=TrainingData(split.train, split.validation),
            settings=RunSettings(
                "ials", paper.training["ials"], SearchSettings(iterations=ITERATIONS)
            ),
            workspace=Workspace(Path(folder, "cache"), Path(folder, "work")),
            budget=Budget(n * d_max, n, d_max),
            byte_limit=parse_bytes("25.6 B/entity", n),
        )
        METHODS["uniform-int1"](context)  # compiles the loops
        started = time.perf_counter()
        full = load_or_pretrain(context)
        reference = time.perf_counter() - started
        started = time.perf_counter()
        result = METHODS["bet-bytes"](context)
        taken = time.perf_counter() - started
    assert len(result.iterations) == result.effort.trainings == ITERATIONS
    qualities = full.result.quality, result.trained.result.quality
    note = "validation quality of the full table {:.4f}, of the best action {:.4f}"
    return Measured(taken, reference, note.format(*qualities))
