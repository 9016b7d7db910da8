"""OptEmbed (Lyu et al., CIKM 2022): learned thresholds remove rows, evolution on a supernet finds a
size per field.
"""

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.backbones import Recommender
from bet.search import (
    Effort,
    MethodResult,
    SearchContext,
    StageSeconds,
    Trial,
    best_trial,
    cached,
    initialize_learner,
    train_whole_schedule,
)
from bet.seeds import torch_generator
from bet.tables import LearnedTable, MaskedTable

ALPHA = 1e-2  # weight of sum exp(-t), which raises the thresholds
RATE = 0.1  # learning rate of the thresholds, relative to the embeddings'
POPULATION, KEPT, MUTANTS, CROSSOVERS, MUTATION, GENERATIONS = 20, 15, 10, 10, 0.1, 10

Candidate = tuple[int, int]
"""Columns of a user and of an item."""


class _Step(torch.autograd.Function):
    """1[x > 0]; the gradient is the published surrogate: 2 - 4|x| up to |x| = 0.4, 0.4 up to 1,
    then 0.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        size = ctx.saved_tensors[0].abs()
        slope = torch.where(size <= 0.4, 2 - 4 * size, torch.where(size <= 1, 0.4, 0.0))
        return gradient * slope


class Supernet(LearnedTable):
    """Rows whose norm is above their field's threshold, truncated to a number of columns that is
    drawn anew for every step and field.
    """

    field: Tensor  # (n,) 0: user, 1: item
    scale: Tensor  # () mean L1 norm of a row at the start

    def __init__(self, allocation: Allocation, *, n_users: int, seed: int, **options):
        super().__init__(allocation, **options)
        self.seed, d_max = seed, self.d_max
        self.threshold = nn.Parameter(torch.zeros(2))
        self.register_buffer("field", (torch.arange(self.n) >= n_users).long(), persistent=False)
        # Norms start at about 1, inside the surrogate's support, whatever d_max and the initial
        # scale are.
        self.register_buffer("scale", self.weight.detach().abs().sum(1).mean())
        self.columns: Candidate = (d_max, d_max)

    def take_prefixes(self, rows: Tensor) -> Self:
        super().take_prefixes(rows)
        self.scale.copy_(self.weight.detach().abs().sum(1).mean())
        return self

    def margins(self) -> Tensor:
        """||V_i||_1 / scale - t of its field, (n,)."""
        return self.weight.abs().sum(1) / self.scale - self.threshold[self.field]

    def forward(self) -> Tensor:
        columns = torch.tensor(self.columns, device=self.weight.device)[self.field]  # (n,)
        mask = torch.arange(self.d_max, device=self.weight.device) < columns[:, None]  # (n, d_max)
        stays = _Step.apply(self.margins())[:, None]  # (n, 1)
        return self.weight * stays * mask.repeat(1, self.copies)

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [([self.weight], 1.0), ([self.threshold], RATE)]

    def penalty(self) -> Tensor:
        return ALPHA * (-self.threshold).exp().sum()

    def before_step(self, step: int, steps: int) -> bool:
        users, items = torch.randint(
            1, self.d_max + 1, (2,), generator=torch_generator(self.seed, step)
        ).tolist()
        self.columns = (users, items)
        return False


def optembed(context: SearchContext) -> MethodResult:
    """Train a supernet with thresholds and random column masks, evolve (columns of users, columns
    of items), retrain the five best (Lyu et al., CIKM 2022).

    Changed: BPR for log-loss; two fields, users and items; a column mask per step and field
    instead of per sample, because embeddings are propagated; norms relative to their mean at the
    start; the thresholds' optimizer is Adam, too; ten generations instead of 30, with elitism and
    clones, which the published code lacks; retraining starts from fresh numbers, not from the
    supernet's initial ones. Without a budget rows go where the thresholds say, as published. With
    a budget, candidates below the budget are rejected, and rows are kept by their margin above the
    threshold until the budget is used to the last number. A removed row is the zero vector: on a
    graph it still sees its neighbors, NCF gives a removed user the same scores as any other removed
    user.
    """
    context = context.with_empty_rows()
    supernet = _supernet(context)
    evolved = (POPULATION, KEPT, MUTATION, GENERATIONS, ALPHA, RATE)
    evolution = cached(context, "evolution", _evolve, supernet, settings=evolved)
    margins, n_users = supernet["margins"].numpy(), context.data.n_users
    trials = []
    for (users, items), quality in evolution["best"][: context.settings.search.top]:
        sizes = candidate_sizes(context, margins, (users, items))
        facts = {
            "user_columns": users,
            "item_columns": items,
            "supernet_quality": quality,
            "removed_users": int((sizes[:n_users] == 0).sum()),
            "removed_items": int((sizes[n_users:] == 0).sum()),
        }
        learn = partial(_remove_again, candidate=(users, items))
        trials.append(Trial(Allocation.from_sizes(sizes), facts, learn, Effort(trainings=1)))
    return best_trial(
        context,
        trials,
        seconds=StageSeconds(search=supernet["seconds"] + evolution["seconds"]),
        effort=Effort(trainings=1, evaluations=evolution["evaluations"]),
    )


def _supernet(context: SearchContext) -> dict:
    return cached(context, "supernet", _train_supernet, settings=(ALPHA, RATE))


def _remove_again(fitted: SearchContext, candidate: Candidate) -> Allocation:
    """Which rows stay on other interactions; the columns are those that evolution found."""
    margins = _supernet(fitted)["margins"].numpy()
    return Allocation.from_sizes(candidate_sizes(fitted, margins, candidate))


def supernet_recommender(context: SearchContext) -> Recommender:
    """A fresh recommender whose table is a supernet."""
    table = partial(Supernet, n_users=context.data.n_users, seed=context.stream("columns"))
    return initialize_learner(context, table)


def _train_supernet(context: SearchContext) -> dict:
    model = supernet_recommender(context)
    result = train_whole_schedule(context, model, "supernet")
    assert isinstance(model.table, Supernet)
    return {
        "model": model.state_dict(),
        "margins": model.table.margins().detach().cpu(),
        "seconds": result.seconds,
    }


def candidate_sizes(
    context: SearchContext, margins: np.ndarray, candidate: Candidate
) -> np.ndarray:
    """Sizes (n,) int16 of a candidate: its field's columns for the rows that stay, 0 for the
    others.

    With a budget, the last row that stays gets the columns that are left.
    """
    budget = context.budget
    n_users = context.data.n_users
    columns = np.repeat(candidate, [n_users, budget.n - n_users])  # (n,)
    if not budget.binding:
        return np.where(margins > 0, columns, 0).astype(np.int16)
    order = np.argsort(-margins, kind="stable")
    before = np.cumsum(columns[order]) - columns[order]  # (n,), of rows with larger margins
    sizes = np.empty(budget.n, dtype=np.int16)
    sizes[order] = np.clip(budget.target - before, 0, columns[order])
    return sizes


def _evolve(context: SearchContext, supernet: dict) -> dict:
    """The best candidates by quality on validation with the supernet's weights, best first; and how
    many were evaluated.
    """
    model = supernet_recommender(context)
    model.load_state_dict(supernet["model"])
    assert isinstance(model.table, Supernet)
    weight, margins = model.table.weight.detach().cpu(), supernet["margins"].numpy()
    rng, d_max = context.search_rng("evolution"), context.budget.d_max

    def quality(candidate: Candidate) -> float:
        table = MaskedTable(
            Allocation.from_sizes(candidate_sizes(context, margins, candidate)),
            d_max=d_max,
            n_users=context.data.n_users,
            copies=model.table.copies,
        ).take_prefixes(weight)
        return context.quality(Recommender(model.backbone, table).to(model.device))

    return evolve(quality, partial(allowed, context), d_max, rng)


def allowed(context: SearchContext, candidate: Candidate) -> bool:
    """Whether a candidate can use the whole budget."""
    budget, n_users, (users, items) = context.budget, context.data.n_users, candidate
    most = users * n_users + items * (budget.n - n_users)
    return not budget.binding or most >= budget.target


def evolve(
    quality: Callable[[Candidate], float],
    allowed: Callable[[Candidate], bool],
    d_max: int,
    rng: np.random.Generator,
) -> dict:
    """Evolution over pairs of column numbers: {"best": [(candidate, quality), ...], "evaluations":
    int}, each evaluated once.

    Candidates that are not ``allowed`` are drawn again. The best are never lost: parents stay.
    """
    known: dict[Candidate, float] = {}

    def draw(make: Callable[[], Candidate]) -> None:
        for _ in range(100):  # then the full table, which is always allowed
            candidate = make()
            if allowed(candidate):
                break
        else:
            candidate = (d_max, d_max)
        if candidate not in known:
            known[candidate] = quality(candidate)

    def random() -> Candidate:
        users, items = rng.integers(1, d_max, 2, endpoint=True)
        return int(users), int(items)

    def ranking() -> list[tuple[Candidate, float]]:
        return sorted(known.items(), key=lambda pair: (-pair[1], pair[0]))

    def mutant() -> Candidate:
        (users, items), (new_users, new_items) = parents[rng.integers(len(parents))], random()
        return (
            new_users if rng.random() < MUTATION else users,
            new_items if rng.random() < MUTATION else items,
        )

    def crossover() -> Candidate:
        first, second = (parents[i] for i in rng.integers(len(parents), size=2))
        return first[0], second[1]

    for _ in range(POPULATION):
        draw(random)
    for _ in range(GENERATIONS):
        parents = [candidate for candidate, _ in ranking()[:KEPT]]
        for make in [mutant] * MUTANTS + [crossover] * CROSSOVERS:
            draw(make)
    return {
        "best": [(list(candidate), value) for candidate, value in ranking()[:KEPT]],
        "evaluations": len(known),
    }
