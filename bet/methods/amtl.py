"""AMTL (Yan et al., CIKM 2021): two small networks learn, with the task, a size from the
frequency.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.backbones import Recommender
from bet.data import FrequencyOrder
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
from bet.tables import LearnedTable

RATES = (0.1, 0.03, 0.3, 0.01, 1.0)  # learning rate of the twins, relative to the embeddings'
HIDDEN = 32
COLDEST = 0.1  # temperature of the soft choice at the end; 1 at the start
ASCENT = 0.02  # added to the price of a parameter per step and relative excess


class FrequencyGroups:
    """Entities of one side and frequency are alike to AMTL: ``group`` (n,) by entity, ``counts``
    (g,), ``features`` (g, 3).
    """

    def __init__(self, order: FrequencyOrder):
        side = np.repeat([0, 1], [order.n_users, order.n - order.n_users])
        pairs, self.group, self.counts = np.unique(
            np.stack([side, -order.frequency]), axis=1, return_inverse=True, return_counts=True
        )  # users first, most frequent first
        self.group = self.group.ravel()  # (n,)
        of_side = pairs[0].astype(np.float32)  # (g,)
        logs = np.log1p(-pairs[1])
        log_frequency = (logs - logs.mean()) / max(float(logs.std()), 1e-9)  # (g,)
        before = np.cumsum(self.counts) - self.counts  # entities of earlier groups, users first
        n_items = max(1, order.n - order.n_users)
        # In [0, 1], within the side
        rank = np.where(of_side == 0, before / order.n_users, (before - order.n_users) / n_items)
        # a_i, the weight of the twin for frequent entities, (g,)
        self.share = torch.from_numpy(log_frequency).float().sigmoid()
        features = np.stack([log_frequency, 2 * rank - 1, 2 * of_side - 1], axis=1)
        self.features = torch.from_numpy(features).float()  # (g, 3)


class TwinTable(LearnedTable):
    """Row i is truncated to the first k_i of d_max columns, k_i = argmax of
    o_i = a_i o_h(s_i) + (1 - a_i) o_l(s_i).

    The backward pass sees softmax(o_i / temperature). With a ``target`` below the full table the
    expected number of columns beyond it is charged at a price that rises while there is an excess
    (dual ascent); without, sizes are left to the task.
    """

    features: Tensor  # (g, 3)
    share: Tensor  # (g, 1)
    group: Tensor  # (n,)
    counts: Tensor  # (g,)
    price: Tensor  # ()
    temperature: Tensor  # ()

    def __init__(
        self,
        allocation: Allocation,
        *,
        groups: FrequencyGroups,
        target: int,
        rate: float,
        generator: torch.Generator,
        **options,
    ):
        super().__init__(allocation, generator=generator, **options)
        self.target, self.rate, d_max = target, rate, self.d_max
        self.budgeted = target < self.n * d_max
        # The twins start with a bump around the budget's mean size.
        start = target / self.n if self.budgeted else (d_max + 1) / 2
        bump = -0.5 * ((torch.arange(1, d_max + 1) - start) / max(1.0, start / 2)).square()
        self.twins = nn.ModuleList(
            _mlp(groups.features.shape[1], d_max, bump, generator) for _ in "hl"
        )
        self.register_buffer("features", groups.features, persistent=False)
        self.register_buffer("share", groups.share[:, None], persistent=False)
        self.register_buffer("group", torch.from_numpy(groups.group), persistent=False)
        self.register_buffer("counts", torch.from_numpy(groups.counts).float(), persistent=False)
        # Buffers, so that a resumed run has them.
        self.register_buffer("price", torch.zeros(()))
        self.register_buffer("temperature", torch.ones(()))

    @property
    def sizes(self) -> np.ndarray:
        """The sizes that the twins choose now, (n,)."""
        return (self.choice().argmax(1) + 1).to(torch.int16)[self.group].cpu().numpy()

    def choice(self) -> Tensor:
        """softmax(o / temperature), (g, d_max): how likely each size is for every group."""
        frequent, rare = (twin(self.features) for twin in self.twins)  # (g, d_max) each
        logits = self.share * frequent + (1 - self.share) * rare
        return (logits / self.temperature).softmax(1)

    def forward(self) -> Tensor:
        soft = self.choice()  # (g, d_max)
        hard = torch.zeros_like(soft).scatter_(1, soft.argmax(1, keepdim=True), 1.0)
        # Straight-through estimator: the value of the hard choice, the gradient of the soft choice.
        mask = at_least(hard + soft - soft.detach())  # (g, d_max)
        return self.weight * mask[self.group].repeat(1, self.copies)

    def excess(self) -> Tensor:
        """Expected columns beyond the target, relative to it; 0 below it."""
        expected = (self.counts[:, None] * at_least(self.choice())).sum()
        return torch.relu(expected / self.target - 1)

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [([self.weight], 1.0), (list(self.twins.parameters()), self.rate)]

    def penalty(self) -> Tensor | float:
        return self.price * self.excess() if self.budgeted else 0.0

    def before_step(self, step: int, steps: int) -> bool:
        self.temperature.fill_(COLDEST ** (step / steps))
        if self.budgeted:
            with torch.no_grad():
                self.price += ASCENT * self.excess()
        return False


def at_least(choice: Tensor) -> Tensor:
    """P(k >= j) for j = 1..d_max from P(k = j), both (g, d_max)."""
    return choice.flip(1).cumsum(1).flip(1)


def _mlp(features: int, d_max: int, bias: Tensor, generator: torch.Generator) -> nn.Sequential:
    first, second = nn.Linear(features, HIDDEN), nn.Linear(HIDDEN, d_max)
    with torch.no_grad():
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(first.bias)
        second.bias.copy_(bias)
    return nn.Sequential(first, nn.LeakyReLU(), second)


def project(keep: np.ndarray, groups: FrequencyGroups, target: int, d_min: int = 1) -> np.ndarray:
    """Sizes (n,) int16 that sum to exactly ``target``: the columns with the largest P(k >= j),
    ``keep`` (g, d_max).

    P falls with j, so what is kept of a row is a prefix. Ties go to the earlier column, then to the
    earlier group; the last group gives its column to the first of its entities by id.
    """
    keep = np.minimum.accumulate(keep, axis=1)
    keep[:, :d_min] = np.inf
    g, d_max = keep.shape
    group, column = (index.ravel() for index in np.indices(keep.shape))  # (g * d_max,) each
    order = np.lexsort((group, column, -keep.ravel()))
    used = np.cumsum(
        groups.counts[group[order]]
    )  # columns, when a group gets its next for everyone
    whole = int(np.searchsorted(used, target, side="right"))
    sizes = np.bincount(group[order[:whole]], minlength=g).astype(np.int16)[groups.group]
    left = target - (int(used[whole - 1]) if whole else 0)
    if left:
        sizes[np.flatnonzero(groups.group == group[order[whole]])[:left]] += 1
    return sizes


def amtl(context: SearchContext) -> MethodResult:
    """Train the table and the twins jointly, fix the sizes, train again with them (Yan et al.,
    CIKM 2021).

    Changed: BPR for log-loss; the table is trained again from scratch; the temperature falls from 1
    to 0.1; the same twins for users and items, which see the side; initial choices are centered
    on the budget's mean size. Without a budget sizes are what the twins choose, as published. With
    a budget, the expected excess is charged (dual ascent), and at the end the columns with the
    largest P(k >= j) are kept, which is exact. Tuned on validation: five learning rates of the
    twins.
    """
    budget = context.budget
    groups, trials, seconds = FrequencyGroups(context.data.order), [], 0.0
    rates = RATES[: context.settings.search.top]

    def sizes_of(state: dict, groups: FrequencyGroups) -> Allocation:
        if not budget.binding:
            return Allocation.from_sizes(state["chosen"].numpy())
        sizes = project(state["keep"].numpy(), groups, budget.target, budget.d_min)
        return Allocation.from_sizes(sizes)

    def learn_again(fitted: SearchContext, rate: float) -> Allocation:
        groups = FrequencyGroups(fitted.data.order)
        return sizes_of(_learned(fitted, groups, rate), groups)

    for rate in rates:
        state = _learned(context, groups, rate)
        seconds += state["seconds"]
        chosen = int(state["chosen"].numpy().sum())
        facts = {"rate": rate, "chosen_columns": chosen, "price": state["price"]}
        learn = partial(learn_again, rate=rate)
        trials.append(Trial(sizes_of(state, groups), facts, learn, Effort(trainings=1)))
    spent = Effort(trainings=len(rates))
    return best_trial(context, trials, seconds=StageSeconds(search=seconds), effort=spent)


def _learned(context: SearchContext, groups: FrequencyGroups, rate: float) -> dict:
    constants = (COLDEST, ASCENT)
    return cached(context, f"amtl-{rate:g}", _learn_sizes, groups, rate, settings=constants)


def _learn_sizes(context: SearchContext, groups: FrequencyGroups, rate: float) -> dict:
    model = twin_recommender(context, groups, rate)
    result = train_whole_schedule(context, model, f"twins-{rate:g}")
    table = model.table
    assert isinstance(table, TwinTable)
    return {
        "keep": at_least(table.choice()).detach().cpu(),
        "chosen": torch.from_numpy(table.sizes),
        "price": float(table.price),
        "seconds": result.seconds,
    }


def twin_recommender(context: SearchContext, groups: FrequencyGroups, rate: float) -> Recommender:
    """A fresh recommender whose table learns its sizes."""
    table = partial(TwinTable, groups=groups, target=context.budget.target, rate=rate)
    return initialize_learner(context, table)
