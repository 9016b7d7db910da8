"""CIESS (Qu et al., SIGIR 2023): an actor and twin critics choose a size for every entity (TD3)."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor, nn

from bet.actions import Action, Allocation, Budget, allocate
from bet.adam import Adam
from bet.search import (
    Choice,
    Evaluated,
    MethodResult,
    Refitted,
    SearchContext,
    load_or_pretrain,
    refit,
    search_and_retrain,
)
from bet.training import RankingMetrics

EPISODE = 5  # steps, then all sizes start from d_max again
MEMORY_PRICE = 0.4  # lambda of the reward, best of the paper's on MovieLens
NOISE = 6 / 128  # standard deviation of the exploration, of d_max
WALK_STEPS, WALK_REACH = 5, 5
UPDATES, BATCH = 50, 1024  # of the networks after every step of the environment
ACTOR_RATE, CRITIC_RATE, DISCOUNT, TAU, DELAY = 1e-3, 3e-3, 0.99, 0.005, 2
TARGET_NOISE, TARGET_CLIP = 2 / 128, 5 / 128
HIDDEN = 256
FLOOR = 1e-5  # of qualities, in their ratio
SIDES = ("users", "items")


class Agent(nn.Module):
    """One side's actor mu: (b, 3) -> (b, 1) and twin critics Q: (b, 3), (b, 1) -> (b, 1), with
    targets; sizes in units of d_max.
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.actor = _mlp(3, generator)
        self.critics = nn.ModuleList(_mlp(4, generator) for _ in range(2))
        self.target_actor, self.target_critics = deepcopy(self.actor), deepcopy(self.critics)
        self.actor_optimizer = Adam(self.actor.parameters(), lr=ACTOR_RATE)
        self.critic_optimizer = Adam(self.critics.parameters(), lr=CRITIC_RATE)

    def act(self, state: Tensor) -> Tensor:
        """mu(s) in [0, 1], (b, 1), of states (b, 3)."""
        return (self.actor(state).tanh() + 1) / 2

    def update(self, transitions: Tensor, generator: torch.Generator) -> float:
        """``UPDATES`` of TD3 on ``transitions`` (N, 8): state, size, reward, next state. Mean loss
        of the critics.
        """
        total = 0.0
        for step in range(UPDATES):
            batch = min(BATCH, len(transitions))
            drawn = torch.randint(len(transitions), (batch,), generator=generator)  # (b,)
            # (b, 3), (b, 1), (b, 1), (b, 3)
            state, size, reward, following = transitions[drawn].split([3, 1, 1, 3], dim=1)
            with torch.no_grad():
                noise = (TARGET_NOISE * torch.randn(size.shape, generator=generator)).clamp(
                    -TARGET_CLIP, TARGET_CLIP
                )
                next_size = ((self.target_actor(following).tanh() + 1) / 2 + noise).clamp(0, 1)
                # The smaller of two critics' values: a single critic overestimates (TD3).
                following_inputs = torch.cat([following, next_size], 1)  # (b, 4)
                values = torch.stack([critic(following_inputs) for critic in self.target_critics])
                target = reward + DISCOUNT * values.min(0).values  # (b, 1)
            inputs = torch.cat([state, size], 1)  # (b, 4)
            loss = torch.stack(
                [F.mse_loss(critic(inputs), target) for critic in self.critics]
            ).sum()
            self.critic_optimizer.zero_grad()
            loss.backward()
            self.critic_optimizer.step()
            total += float(loss.detach())
            # The actor and all targets are updated less often than the critics (TD3).
            if step % DELAY == DELAY - 1:
                gain = self.critics[0](torch.cat([state, self.act(state)], 1)).mean()
                self.actor_optimizer.zero_grad()
                (-gain).backward()
                self.actor_optimizer.step()
                self._follow()
        return total / UPDATES

    def parts(self) -> list[Any]:
        """Everything that learning changes: networks and optimizers."""
        return [self, self.actor_optimizer, self.critic_optimizer]

    def states(self) -> list[dict]:
        """The states of all parts, to be saved."""
        return [part.state_dict() for part in self.parts()]

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the targets a share TAU of the way to the networks."""
        for target, source in (
            (self.target_actor, self.actor),
            (self.target_critics, self.critics),
        ):
            for slow, weight in zip(target.parameters(), source.parameters(), strict=True):
                slow.lerp_(weight, TAU)


def _mlp(inputs: int, generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((inputs, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)):
        linear = nn.Linear(a, b)
        bound = a**-0.5
        nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
        nn.init.uniform_(linear.bias, -bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class CiessSelector:
    """The environment: sizes from both actors, scaled to the budget; rewards from what users and
    items get after fine-tuning.
    """

    name = "ciess"

    def __init__(self, context: SearchContext):
        self.context, order = context, context.data.order
        self.agents = {side: Agent(context.search_generator("agent", side)) for side in SIDES}
        frequency = np.concatenate([_unit(order.user_frequency), _unit(order.item_frequency)])
        self.frequency = torch.from_numpy(frequency).float()
        full = load_or_pretrain(context).model
        self.reference = entity_quality(context, context.rank(full))  # (n,)
        # For whom even the full table finds nothing, or nobody looks, no size is better than
        # another: there is nothing to learn from.
        self.measured = self.reference > 0
        self.replay: list[Tensor] = []  # (n, 8) per step
        self.state = self._reset()

    def _reset(self) -> Tensor:
        """The full table: (n, 3) normalized frequency, size over d_max, quality over the full
        table's.
        """
        return torch.stack(
            [self.frequency, torch.ones_like(self.frequency), torch.ones_like(self.frequency)], 1
        )

    def _sides(self) -> list[tuple[str, slice]]:
        n_users = self.context.data.n_users
        return [("users", slice(None, n_users)), ("items", slice(n_users, None))]

    @torch.no_grad()
    def choose(self, t: int, population: Sequence[Evaluated]) -> Choice:
        context, d_max = self.context, self.context.budget.d_max
        if (t - 1) % EPISODE == 0:
            self.state = self._reset()
        # Noise and walk start from the budget's scale: that is where the critics have seen sizes.
        means, wanted = np.empty(context.budget.n), np.empty(context.budget.n)
        for side, ids in self._sides():
            means[ids] = self.agents[side].act(self.state[ids])[:, 0].numpy()
        scaled = scale_to_budget(means, context.budget)
        rng = context.search_rng("ciess", t)
        for side, ids in self._sides():
            noisy = scaled[ids] + NOISE * d_max * rng.standard_normal(len(scaled[ids]))
            start = np.clip(np.rint(noisy), 1, d_max)
            wanted[ids] = best_of_walk(self.agents[side], self.state[ids], start, d_max, rng)
        sizes = scale_to_budget(wanted, context.budget)
        origin = {"wanted_mean": float(wanted.mean())}
        action = Action(Allocation.from_sizes(sizes), context.data.n_users, origin)
        return Choice(action, "actor, noise and walk")

    def learn(self, t: int, population: Sequence[Evaluated], ranked: RankingMetrics) -> float:
        context = self.context
        size = torch.from_numpy(population[-1].action.sizes).float() / context.budget.d_max  # (n,)
        ratio = entity_quality(context, ranked) / np.maximum(self.reference, FLOOR)
        quality = torch.from_numpy(np.where(self.measured, np.minimum(ratio, 1.0), 1.0)).float()
        reward = quality - MEMORY_PRICE * size.square()  # (n,)
        following = torch.stack([self.frequency, size, quality], 1)  # (n, 3)
        self.replay.append(torch.cat([self.state, size[:, None], reward[:, None], following], 1))
        self.state = following
        losses = []
        for side, ids in self._sides():
            generator = context.search_generator("ciess", t, side)
            measured = torch.from_numpy(self.measured[ids])
            transitions = torch.cat([step[ids][measured] for step in self.replay])  # (N, 8)
            losses.append(self.agents[side].update(transitions, generator))
        return float(np.mean(losses))

    def state_dict(self) -> dict:
        agents = {side: agent.states() for side, agent in self.agents.items()}
        return {"agents": agents, "replay": self.replay, "state": self.state}

    def load_state_dict(self, state: dict) -> None:
        for side, agent in self.agents.items():
            for part, saved in zip(agent.parts(), state["agents"][side], strict=True):
                part.load_state_dict(saved)
        self.replay, self.state = list(state["replay"]), state["state"]


def _unit(frequency: np.ndarray) -> np.ndarray:
    low, high = frequency.min(), frequency.max()
    return (frequency - low) / max(1, high - low)


def entity_quality(context: SearchContext, ranked: RankingMetrics) -> np.ndarray:
    """(n,) mean of a user's six metrics; for an item the mean over the users who have it in
    training; 0 where nobody counts.
    """
    n_users, n_items = context.data.train.shape
    by_user, counted = np.zeros(n_users), np.zeros(n_users)  # counted: 1 for users who are ranked
    by_user[ranked.users] = np.mean(list(ranked.values.values()), axis=0)
    counted[ranked.users] = 1.0
    train = csr_array(context.data.train, dtype=np.float64)
    by_item = (by_user @ train) / np.maximum(counted @ train, 1.0)  # (|V|,)
    return np.concatenate([by_user, by_item])


@torch.no_grad()
def best_of_walk(
    agent: Agent, state: Tensor, start: np.ndarray, d_max: int, rng: np.random.Generator
) -> np.ndarray:
    """Walk over sizes from ``start`` (k,), steps of up to 5 being likely as 1 / length; the visited
    size of the largest Q, (k,).
    """
    lengths = np.concatenate([np.arange(-WALK_REACH, 0), np.arange(1, WALK_REACH + 1)])
    chance = 1 / np.abs(lengths)
    sizes, best = start.copy(), start.copy()
    value = np.full(len(start), -np.inf)  # of the best so far
    for step in range(WALK_STEPS + 1):
        if step:
            sizes = np.clip(
                sizes + rng.choice(lengths, len(sizes), p=chance / chance.sum()), 1, d_max
            )
        inputs = torch.cat([state, torch.from_numpy(sizes / d_max).float()[:, None]], 1)  # (k, 4)
        q = agent.critics[0](inputs)[:, 0].numpy()  # (k,)
        best, value = np.where(q > value, sizes, best), np.maximum(value, q)
    return best


def scale_to_budget(wanted: np.ndarray, budget: Budget) -> np.ndarray:
    """Sizes (n,) int16 proportional to ``wanted``, in bounds, that sum to exactly the budget."""
    order = np.argsort(-wanted, kind="stable")
    sizes = np.empty(budget.n, dtype=np.int16)
    sizes[order] = allocate(wanted[order], budget.target, budget.d_min, budget.d_max)
    return sizes


def ciess(context: SearchContext) -> MethodResult:
    """T steps of the environment, each fine-tuned as BET's actions are; then the five best
    retrained (Qu et al., SIGIR 2023).

    Changed: T steps in all (as many as BET evaluates) instead of 300, from the fine-tuned full
    model instead of fresh ones trained for five epochs, in episodes of five instead of ten, so the
    networks are updated more often per step; the actor's sizes are scaled to the budget before
    noise and walk, and the result again, exactly, before it is evaluated, where the original
    filters masks that happen to be small enough; entities for whom the full table finds nothing on
    validation get sizes but teach nothing; noise is drawn per entity and the quality in the reward
    is relative to the full table's: as in the paper, not in its code.
    """
    result = search_and_retrain(context, CiessSelector(context))

    def fit_again(interactions: csr_array, what: str) -> Refitted:
        # Sizes are found for single entities, from what each of them gets: not for ranks.
        again = refit(result.context, result.trained, interactions, what, by_rank=False)
        return Refitted(again)

    return replace(result, refit=fit_again)
