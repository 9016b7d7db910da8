"""What is measured: every row prepares its input, then times the package's own code, and checks
what came out.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.actions import Action, Allocation, parse_budget, sample_actions
from bet.actions.published import published_sizes
from bet.backbones import LightGCN, new_recommender, normalized_adjacency
from bet.data import (
    FrequencyOrder,
    Interactions,
    Split,
    load_dataset,
    power_law,
    split_interactions,
)
from bet.predictor import DeepSets, stack_histograms
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
)
from bet.seeds import numpy_generator, torch_generator
from bet.training import BprSampler, TrainResult, TrainSettings, evaluate
from bet.training.trainer import bpr_loss

USERS, ITEMS, INTERACTIONS = 29_858, 40_981, 1_027_370  # Gowalla
BATCH = 10_000
D_MAX = 128


@dataclass(frozen=True)
class Measured:
    """Median seconds of the work, what it was compared with in the same run (seconds; None:
    nothing), and a statement.
    """

    seconds: float
    reference: float | None
    note: str


def dataset(name: str, size: float) -> Interactions:
    """Power-law data of ``size`` times Gowalla's, or a named dataset."""
    if name != "power-law":
        return load_dataset(name)
    # About 3 % of the drawn pairs repeat an earlier one.
    users, items, drawn = (
        max(30, round(size * count)) for count in (USERS, ITEMS, 1.033 * INTERACTIONS)
    )
    return power_law(users, items, drawn)


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Median wall-clock seconds of ``repeat`` calls, after one that warms caches and libraries up."""
    work()
    taken = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def _order(train: csr_array) -> FrequencyOrder:
    items = np.bincount(train.indices, minlength=train.shape[1])
    return FrequencyOrder(np.diff(train.indptr).astype(np.int64), items)


def adjacency(split: Split, repeat: int) -> Measured:
    """Normalize the user-item graph of the training part."""
    return Measured(
        seconds(lambda: normalized_adjacency(split.train), repeat),
        None,
        f"{2 * split.train.nnz:,} entries",
    )


def sampling(split: Split, repeat: int) -> Measured:
    """Sample 100 actions at sparsity 90 %; the reference is the published formula, without its
    rejections.
    """
    order = _order(split.train)
    budget = parse_budget("90%", order.n, D_MAX)
    taken = seconds(
        lambda: sample_actions(order, budget, 100, numpy_generator(0, "benchmark")), repeat
    )
    used = [
        int(a.sizes.sum(dtype=np.int64))
        for a in sample_actions(order, budget, 100, numpy_generator(0, "benchmark"))
    ]
    over = sum(total > budget.total for total in used)
    rng, started = numpy_generator(0, "published"), time.perf_counter()
    published = [int(published_sizes(order, budget, rng).sum()) for _ in range(100)]
    reference = time.perf_counter() - started
    broken = sum(total > budget.total for total in published)
    return Measured(
        taken,
        reference,
        f"{over} of 100 over budget, all use it exactly: {set(used) == {budget.target}}; formula: {broken} over",
    )


def plain_score(predictor: DeepSets, order: FrequencyOrder, action: Action) -> float:
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
    order = _order(split.train)
    budget = parse_budget("90%", order.n, D_MAX)
    actions = sample_actions(order, budget, 100, numpy_generator(0, "benchmark"))
    predictor = DeepSets(order, D_MAX, torch_generator(0, "predictor"))
    taken = seconds(lambda: predictor(stack_histograms(actions, D_MAX)), repeat)
    scores = predictor(stack_histograms(actions, D_MAX))
    started = time.perf_counter()
    plain = [plain_score(predictor, order, action) for action in actions[:2]]
    reference = 50 * (time.perf_counter() - started)
    error = float((scores[:2] - torch.tensor(plain)).abs().max())
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
    return Measured(
        taken,
        seconds(bare, repeat),
        f"{int((np.diff(split.test.indptr) > 0).sum()):,} users x {len(items):,} items",
    )


def ten_steps(split: Split, width: int, repeat: int, batch: int = BATCH) -> float:
    """Seconds of ten LightGCN training steps (draw, loss, gradient, Adam) of a table whose sizes
    are all ``width``.
    """
    graph, sampler, generator = (
        normalized_adjacency(split.train),
        BprSampler(split.train),
        torch_generator(0, "draws"),
    )
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
    return Measured(
        ten_steps(split, width, repeat) / 10,
        None,
        f"{-(-split.train.nnz // BATCH)} steps per epoch",
    )


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
    return Measured(
        taken,
        None,
        f"the chosen action's largest size is {largest[-1]}; data, graph and full model are there already",
    )


@dataclass(frozen=True)
class Row:
    """``published``: what the published code takes on a machine like ours; ``target`` in seconds,
    or a ratio to the reference.
    """

    label: str
    work: Callable[[Split, int], Measured]
    published: str
    target: str
    met: Callable[[Measured, float], bool]  # of the measurement and the memory in MB
    peak: bool = False  # the memory is the whole process's peak, not what the work added


ROWS: dict[str, Row] = {
    "adjacency": Row(
        "normalized adjacency",
        adjacency,
        "45 s, +4.9 GB",
        "0.3 s, < 0.3 GB",
        lambda m, mb: m.seconds <= 0.3 and mb < 300,
    ),
    "sampling": Row(
        "sample 100 actions at 90 %",
        sampling,
        "30 s, +4.4 GB, 4 % over budget",
        "1 s, < 0.2 GB, none over",
        lambda m, mb: m.seconds <= 1 and mb < 200 and m.note.startswith("0 of"),
    ),
    "scoring": Row(
        "score 100 actions with the predictor",
        scoring,
        "87 s",
        "0.1 s",
        lambda m, mb: m.seconds <= 0.1,
    ),
    "evaluation": Row(
        "evaluate all users, d = 128",
        evaluation,
        "53 s, 15.7 GB peak",
        "2x bare, < 1.5 GB",
        lambda m, mb: m.reference is not None and m.seconds <= 2 * m.reference and mb < 1500,
        peak=True,
    ),
    "step-128": Row(
        "LightGCN step, batch 10,000, d = 128",
        lambda s, r: step(s, r, 128),
        "0.88 s",
        "0.4 s",
        lambda m, mb: m.seconds <= 0.4,
    ),
    "step-13": Row(
        "LightGCN step, batch 10,000, d = 13",
        lambda s, r: step(s, r, 13),
        "",
        "0.035 s",
        lambda m, mb: m.seconds <= 0.035,
    ),
    "iteration": Row(
        "search iteration with one epoch",
        iteration,
        "240 s, 17 GB peak",
        "30 s, < 3 GB",
        lambda m, mb: m.seconds <= 30 and mb < 3000,
        peak=True,
    ),
}


def prepare(name: str, size: float) -> Split:
    """The split that all rows work on."""
    return split_interactions(dataset(name, size), seed=0)
