"""Soft actor-critic (Haarnoja et al., ICML 2018), as small as SCALL needs it: twin critics, an
actor of squashed normals, actions in [0, 1].

Libraries of reinforcement learning own the loop and draw from global generators; here a step is
half a minute of training, states must be saved as tensors, and draws be named.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.adam import Adam
from bet.seeds import torch_generator

WIDTH = 512
DISCOUNT, SOFTNESS, ENTROPY = 0.99, 0.005, 0.2
# Five times SCALL's rates and eight times its batch: a stream has fewer than a hundred steps here.
ACTOR_RATE, CRITIC_RATE, WEIGHT_DECAY = 1e-3, 1.5e-3, 1e-4
REPLAY, BATCH = 10_000, 64
FLOOR, CEILING = -20.0, 2.0  # of the logarithm of a standard deviation


class ActorCritic:
    """``n_state`` numbers in, ``n_actions`` numbers in [0, 1] out. All draws come from ``seed`` and
    how many updates and actions there were.
    """

    def __init__(self, n_state: int, n_actions: int, seed: int):
        self.seed, self.count = seed, 0
        generator = torch_generator(seed, "actor-critic")
        self.actor = _mlp(n_state, 2 * n_actions, generator)
        self.critics = nn.ModuleList(_mlp(n_state + n_actions, 1, generator) for _ in range(2))
        self.targets = nn.ModuleList(_mlp(n_state + n_actions, 1, generator) for _ in range(2))
        self.targets.load_state_dict(self.critics.state_dict())
        self.actor_steps = _optimizer(self.actor, ACTOR_RATE)
        self.critic_steps = _optimizer(self.critics, CRITIC_RATE)
        self.memory: list[Tensor] = []  # state, action, reward, next state, in one row each
        self.n_state, self.n_actions = n_state, n_actions

    def _generator(self) -> torch.Generator:
        self.count += 1
        return torch_generator(self.seed, "draw", self.count)

    def _sample(self, states: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions (b, a) and the logarithms (b,) of their densities."""
        mean, log_std = self.actor(states).chunk(2, dim=1)
        std = log_std.clamp(FLOOR, CEILING).exp()
        noise = torch.randn(mean.shape, generator=generator)
        raw = mean + std * noise
        actions = torch.sigmoid(2 * raw)  # (tanh + 1) / 2
        # log N(raw) - log |d action / d raw|; the derivative is 2 a (1 - a).
        normal = -0.5 * noise.square() - std.log() - 0.9189385332
        squash = 0.6931471806 + F.logsigmoid(2 * raw) + F.logsigmoid(-2 * raw)
        return actions, (normal - squash).sum(1)

    @torch.no_grad()
    def act(self, state: Tensor, *, mean: bool = False) -> Tensor:
        """An action (a,) in ``state`` (n_state,): drawn, or the one of the actor's ``mean``."""
        if mean:
            return torch.sigmoid(2 * self.actor(state[None]).chunk(2, dim=1)[0][0])
        return self._sample(state[None], self._generator())[0][0]

    def remember(self, state: Tensor, action: Tensor, reward: float, after: Tensor) -> None:
        """Keep a step for updates; the oldest go when there are too many."""
        self.memory.append(torch.cat([state, action, torch.tensor([reward]), after]))
        self.memory = self.memory[-REPLAY:]

    def update(self) -> float:
        """One step of both critics and the actor on remembered steps, of which newer ones are drawn
        with a probability that rises linearly; the critics' loss.
        """
        generator = self._generator()
        weights = torch.arange(1, len(self.memory) + 1, dtype=torch.float)
        drawn = torch.multinomial(weights, BATCH, replacement=True, generator=generator)
        batch = torch.stack([self.memory[i] for i in drawn.tolist()])
        parts = [self.n_state, self.n_actions, 1, self.n_state]
        states, actions, rewards, after = batch.split(parts, dim=1)
        with torch.no_grad():
            next_actions, log_density = self._sample(after, generator)
            ahead = torch.cat([after, next_actions], dim=1)
            least = torch.min(*(target(ahead)[:, 0] for target in self.targets))
            wanted = rewards[:, 0] + DISCOUNT * (least - ENTROPY * log_density)
        taken = torch.cat([states, actions], dim=1)
        loss = sum(F.mse_loss(critic(taken)[:, 0], wanted) for critic in self.critics)
        assert isinstance(loss, Tensor)
        _step(self.critic_steps, loss, self.critics)
        actions, log_density = self._sample(states, generator)
        chosen = torch.cat([states, actions], dim=1)
        least = torch.min(*(critic(chosen)[:, 0] for critic in self.critics))
        _step(self.actor_steps, (ENTROPY * log_density - least).mean(), self.actor)
        with torch.no_grad():
            pairs = zip(self.targets.parameters(), self.critics.parameters(), strict=True)
            for target, critic in pairs:
                target.lerp_(critic, SOFTNESS)
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizers and memory, as tensors and numbers."""
        parts = ("actor", "critics", "targets", "actor_steps", "critic_steps")
        state = {name: getattr(self, name).state_dict() for name in parts}
        return state | {"memory": list(self.memory), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        for name in ("actor", "critics", "targets", "actor_steps", "critic_steps"):
            getattr(self, name).load_state_dict(state[name])
        self.memory, self.count = list(state["memory"]), state["count"]


def _optimizer(part: nn.Module, rate: float) -> Adam:
    return Adam(part.parameters(), rate, weight_decay=WEIGHT_DECAY, fused=True)


def _step(optimizer: Adam, loss: Tensor, part: nn.Module) -> None:
    optimizer.zero_grad()
    loss.backward(inputs=list(part.parameters()))  # the actor's loss leaves the critics alone
    optimizer.step()


def _mlp(n_in: int, n_out: int, generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for wide, narrow in ((n_in, WIDTH), (WIDTH, WIDTH), (WIDTH, n_out)):
        layer = nn.utils.skip_init(nn.Linear, wide, narrow)
        bound = wide**-0.5  # as torch starts a layer
        nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
