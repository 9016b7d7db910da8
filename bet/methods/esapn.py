"""ESAPN (Liu et al., SIGIR 2020): policy networks decide, while the model trains, whose embedding
is enlarged.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.actions import Allocation
from bet.adam import Adam
from bet.backbones import Recommender
from bet.errors import BudgetNotMet
from bet.search import (
    Effort,
    MethodResult,
    SearchContext,
    StageSeconds,
    Trial,
    best_trial,
    cached,
    load_or_pretrain,
    train_model,
)
from bet.tables import LearnedTable

SIZES = (2, 4, 8, 16, 64, 128)  # candidate sizes, up to d_max
PRICES = (0.0, 0.03, 0.01, 0.1, 0.3)  # of d_max columns in the reward; the original has none
GROWTHS = 10  # moments at which the policies act
POLICY_RATE, HIDDEN = 1e-3, 64
STAY = 1.0  # initial logit of not enlarging


class GrowingTable(LearnedTable):
    """Row i has the first SIZES[level_i] columns of ``weight``; levels only rise."""

    level: Tensor  # (n,) int64
    candidates: Tensor  # (c,) int64

    def __init__(self, weight: Tensor, d_max: int, copies: int):
        nn.Module.__init__(self)
        self.n, self.copies, self.d_max = len(weight), copies, d_max
        self.weight = nn.Parameter(weight.clone())
        self.register_buffer(
            "candidates", torch.tensor(candidate_sizes(d_max), device=weight.device)
        )
        self.register_buffer("level", torch.zeros(self.n, dtype=torch.int64, device=weight.device))
        self.on_step: Callable[[int, int], None] = lambda step, steps: None

    @property
    def sizes(self) -> np.ndarray:
        return self.candidates[self.level].to(torch.int16).cpu().numpy()

    def forward(self) -> Tensor:
        sizes = self.candidates[self.level][:, None]  # (n, 1)
        mask = torch.arange(self.d_max, device=self.weight.device) < sizes  # (n, d_max)
        return self.weight * mask.repeat(1, self.copies)

    def growth(self) -> Tensor:
        """Columns that the next level would add, (n,); 0 at the largest."""
        larger = self.candidates[(self.level + 1).clamp(max=len(self.candidates) - 1)]
        return larger - self.candidates[self.level]

    def before_step(self, step: int, steps: int) -> bool:
        self.on_step(step, steps)
        return False


def candidate_sizes(d_max: int) -> list[int]:
    """The published sizes up to d_max, and d_max."""
    return sorted({size for size in SIZES if size < d_max} | {d_max})


class Policies:
    """One network per side: (normalized log frequency, level) -> logits of (stay, enlarge);
    REINFORCE.
    """

    def __init__(self, context: SearchContext, model: Recommender, price: float):
        assert isinstance(model.table, GrowingTable)
        self.context, self.model, self.table, self.price = context, model, model.table, price
        order = context.data.order
        logs = [np.log1p(side) for side in (order.user_frequency, order.item_frequency)]
        popularity = np.concatenate(
            [(x - x.mean()) / max(float(x.std()), 1e-9) for x in logs]
        )  # (n,)
        self.popularity = torch.from_numpy(popularity).float().to(model.device)
        generator = context.search_generator("policies")
        inputs = 1 + len(self.table.candidates)
        self.nets = nn.ModuleList(_policy(inputs, generator) for _ in range(2)).to(model.device)
        self.optimizer = Adam(self.nets.parameters(), lr=POLICY_RATE)

    def logits(self, entities: Tensor) -> Tensor:
        """(k, 2) for entity ids (k,), users and items."""
        levels = F.one_hot(self.table.level[entities], len(self.table.candidates)).float()  # (k, c)
        state = torch.cat([self.popularity[entities][:, None], levels], 1)  # (k, 1 + c)
        return torch.where(
            (entities < self.context.data.n_users)[:, None],
            self.nets[0](state),
            self.nets[1](state),
        )

    def enlarge_probability(self) -> Tensor:
        """(n,) of every entity; 0 at the largest size."""
        with torch.no_grad():
            everyone = torch.arange(self.table.n, device=self.popularity.device)
            return self.logits(everyone).softmax(1)[:, 1] * (self.table.growth() > 0)

    def step(self, step: int, steps: int) -> None:
        """Learn from a batch; at every tenth of the training, act on it."""
        entities = self.learn(step)
        if step * GROWTHS // steps != (step + 1) * GROWTHS // steps:
            self.act(entities)

    def learn(self, step: int) -> Tensor:
        """Try sampled actions on the entities of a batch, restore the sizes, reinforce what raised
        their rewards; their ids.
        """
        generator = self.context.search_generator("esapn", step, device=self.model.device)
        size = self.context.settings.by_gradient.batch_size
        triples = self.context.sampler.draw(size, generator)
        users, positives, _ = triples
        seen = torch.cat([users, positives + self.context.data.n_users])  # (2B,)
        # (e,) ids, (2B,) where each of ``seen`` is among them, (e,) how often
        entities, place, times = seen.unique(return_inverse=True, return_counts=True)
        before = self._reward(triples)  # (B,)
        logits, growth = self.logits(entities), self.table.growth()[entities]  # (e, 2), (e,)
        draws = torch.rand(len(entities), generator=generator, device=logits.device)
        chosen = draws < logits.softmax(1)[:, 1].detach()  # (e,), who tries to grow
        can_grow = growth > 0  # at the largest size there is nothing to choose and nothing to learn
        levels = self.table.level.clone()
        self.table.level[entities] += (chosen & can_grow).long()
        gain = self._reward(triples) - before  # (B,)
        self.table.level.copy_(levels)
        # A triple's gain counts for its user and its positive. On the CPU: a GPU adds in no fixed
        # order.
        sums = torch.zeros(len(entities)).index_add_(0, place.cpu(), gain.repeat(2).cpu())
        mean_gain = sums.to(gain.device) / times  # (e,)
        advantage = mean_gain - self.price * growth * chosen / self.table.d_max  # (e,)
        surprise = F.cross_entropy(logits, chosen.long(), reduction="none")  # (e,), -log p(chosen)
        loss = (surprise * advantage)[can_grow].sum() / len(entities)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return entities

    @torch.no_grad()
    def _reward(self, triples: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """1 - loss of every triple with the present sizes, (B,)."""
        users, positives, negatives = triples
        representations = self.model.backbone.represent(self.model.table())  # (n, D)
        n_users = self.context.data.n_users
        entities = torch.cat([users, positives + n_users, negatives + n_users])  # (3B,)
        rows = representations[entities]
        for_positives, for_negatives = self.model.backbone.triple_scores(rows, len(users))
        return 1 - F.softplus(for_negatives - for_positives)

    def act(self, entities: Tensor) -> None:
        """Enlarge those of ``entities`` for whom the policy prefers it, the surest first, as long
        as the budget lasts.
        """
        probability = self.enlarge_probability()[entities]  # (e,)
        order = torch.argsort(-probability, stable=True)
        wanting = entities[order[probability[order] > 0.5]]
        left = self.context.budget.target - int(self.table.candidates[self.table.level].sum())
        self.table.level[wanting[self.table.growth()[wanting].cumsum(0) <= left]] += 1


def _policy(inputs: int, generator: torch.Generator) -> nn.Sequential:
    first, second = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, 2)
    with torch.no_grad():
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(first.bias)
        second.bias.copy_(torch.tensor([STAY, 0.0]))
    return nn.Sequential(first, nn.Tanh(), second)


def esapn(context: SearchContext) -> MethodResult:
    """Grow sizes from 2 columns while the model is fine-tuned; freeze them, train again from
    scratch (Liu et al., SIGIR 2020).

    Changed: BPR for squared error; a masked table instead of a table per size, truncated from the
    pre-trained full one, so that an enlargement has an effect at once, as the published linear maps
    give it; the policies see log-frequency and size and learn from the change of a triple's reward
    on separate training batches, faster (1e-3) and with an initial lean to stay; they act ten
    times, on the entities of a batch, not in every batch; sizes are restored after a trial, which
    the published code means to do and does not. All runs together get as many epochs as BET's
    fine-tunings. Without a budget there is no price and sizes are what the policies choose, as
    published. With a budget, growth stops there, and what is left goes to those the policies would
    enlarge next. Tuned on validation: five prices of a column.
    """
    smallest = candidate_sizes(context.budget.d_max)[0] * context.budget.n
    if smallest > context.budget.target:
        raise BudgetNotMet(
            "columns",
            context.budget.target,
            smallest,
            f"every entity starts with {smallest // context.budget.n}",
        )
    pretrained, trials, seconds = load_or_pretrain(context).result.seconds, [], 0.0
    # Without a budget nothing is charged, as published.
    prices = PRICES[: context.settings.search.top] if context.budget.binding else PRICES[:1]

    def learn(context: SearchContext, price: float) -> Allocation:
        state = _grown(context, price, len(prices))
        return Allocation.from_sizes(state["sizes"].numpy())

    for price in prices:
        state = _grown(context, price, len(prices))
        seconds += state["seconds"]
        trials.append(
            Trial(
                learn(context, price),
                {"price": price, "grown_columns": state["grown"]},
                partial(learn, price=price),
                Effort(finetunings=1, trainings=1),
            )
        )
    return best_trial(
        context,
        trials,
        seconds=StageSeconds(pretrain=pretrained, search=seconds),
        effort=Effort(finetunings=len(prices)),
    )


def _grown(context: SearchContext, price: float, shares: int) -> dict:
    constants = (SIZES, GROWTHS, POLICY_RATE, STAY)
    return cached(context, f"esapn-{price:g}", _grow, price, shares, settings=constants)


def _grow(context: SearchContext, price: float, shares: int) -> dict:
    """Fine-tune and grow at a ``price``, for a part (one of ``shares``) of BET's epochs."""
    full = load_or_pretrain(context).model
    backbone = type(full.backbone)(
        full.backbone.graph, full.n_users, full.backbone.d_max, torch.Generator()
    )
    backbone.load_state_dict(full.backbone.state_dict())
    # ``table()`` is what the backbone reads: (n, copies * d_max)
    table = GrowingTable(full.table().detach().cpu(), context.budget.d_max, backbone.copies)
    model = Recommender(backbone, table).to(full.device)
    policies = Policies(context, model, price)
    table.on_step = policies.step
    epochs = max(
        1, context.settings.search.iterations * context.settings.search.finetune_epochs // shares
    )
    train_model(context, model, context.settings.finetuning, epochs=epochs)
    grown = table.sizes
    sizes = fill_budget(policies, context.budget.target) if context.budget.binding else grown
    return {"sizes": torch.from_numpy(sizes), "grown": int(grown.sum())}


def fill_budget(policies: Policies, target: int) -> np.ndarray:
    """Sizes (n,) int16 that sum to exactly ``target``: level by level to those the policies would
    enlarge next.
    """
    table = policies.table
    while left := target - int(table.candidates[table.level].sum()):
        order = torch.argsort(-policies.enlarge_probability(), stable=True)
        growth = table.growth()[order]  # (n,)
        whole = growth.cumsum(0) <= left  # (n,), who can take the next level completely
        table.level[order[whole & (growth > 0)]] += 1
        if not bool(whole.all()):
            # The next in the order takes the columns that are left, less than a level.
            first = int((~whole).nonzero()[0])
            sizes = table.sizes
            sizes[int(order[first])] += left - int(growth[:first].sum())
            return sizes
    return table.sizes
