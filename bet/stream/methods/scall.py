"""``scall``: three numbers decide all sizes, chosen per segment by a soft actor-critic (SCALL, CIKM
2024); ``scall-bayes``: the same numbers by Bayesian search with as many evaluations.

Unlike the released code: sizes are exact in every draw, the reward's reference is the converged
model of the same segment, whose rows evaluations start from, quality is that of validation, and the
training's epochs decide how many evaluations a segment takes, where the code stops by the last five
shares of users.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bet.actions import FAMILIES, Action, ranked_action
from bet.data import FrequencyOrder
from bet.search import SearchContext, Trained, expected_improvement
from bet.seeds import derive
from bet.stream.actor_critic import ActorCritic
from bet.stream.carry import Inherited, starting_from
from bet.stream.measured import MOST, Measurements, relative
from bet.stream.policy import Proposal, Step, measure_shortly, short_trainings_of

NUMBERS = 3  # users' share of the columns, shape of the users' sizes, of the items'
EXPONENTS = (0.1, 30.0)  # of the power law that a shape stands for
GROUPS = 256  # of ranks, in which the state sees popularity
UPDATES = 10  # of the actor-critic for every evaluation
WARM_UP = 8  # evaluations of random numbers before the actor's
REWARD = 5.0  # of a quality that equals the reference's; (inferred) from the 0 to 10 of the code
POOL = 256  # points that the Bayesian search chooses from


class Chooser(Protocol):
    """Learns which three numbers are good, on one segment, for the next one. ``shape``: what it was
    made with.
    """

    shape: tuple[int, int]

    def begin(self, action: np.ndarray) -> None:
        """Rewards are, from now on, relative to a table of the numbers ``action`` (3,)."""
        ...

    def explore(self, state: Tensor, seed: int) -> np.ndarray:
        """Numbers (3,) to evaluate next."""
        ...

    def note(self, state: Tensor, action: np.ndarray, reward: float, after: Tensor) -> None:
        """Learn from an evaluation."""
        ...

    def best(self, state: Tensor) -> np.ndarray:
        """Numbers (3,) for the next segment."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """As tensors, numbers and text."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        ...


class Scall:
    """The first segment's table is uniform. After every segment the chooser learns on it: the
    trained table, cut and grown to other sizes, is trained shortly on. Then it names the next
    segment's numbers.
    """

    def __init__(self, make: Callable[[int, int], Chooser]):
        """``make``: a fresh chooser, from the length of the state and a seed."""
        self.make, self.reward, self.action = make, 0.0, np.ones(NUMBERS)
        self.chooser: Chooser | None = None

    def propose(self, step: Step) -> Proposal:
        context = step.context
        if step.before is None:
            users = context.data.n_users / context.budget.n
            self.action = np.array([users, 1.0, 1.0])
            return Proposal.of(scall_action(context, self.action))
        assert self.chooser is not None, "it has learned on the segment before"
        self.action = self.chooser.best(_state(observe(context, step.before), self.reward))
        tried = short_trainings_of(context.settings, step.number - 1)
        return Proposal.of(scall_action(context, self.action), tried, reward=self.reward)

    def learn(self, step: Step, trained: Trained) -> None:
        table, reference = Inherited.of(trained.model), trained.result.quality
        context = starting_from(step.context, table)
        if self.chooser is None:
            n_state = 2 * GROUPS + 2 * context.budget.d_max + 4
            self.chooser = self.make(n_state, derive(context.settings.seed_of_search, "scall"))
        self.chooser.begin(self.action)
        seen = observe(context, table)
        state = _state(seen, self.reward)
        for t in range(short_trainings_of(context.settings, step.number)):
            action = self.chooser.explore(state, context.stream("scall", step.number, t))
            sized = scall_action(context, action)
            quality = measure_shortly(context, sized.allocation).means()["quality"]
            self.reward = REWARD * relative(quality, reference)
            after = _state(seen, self.reward)
            self.chooser.note(state, action, self.reward, after)
            state = after

    def state_dict(self) -> dict[str, Any]:
        if self.chooser is None:
            return {}
        of_chooser = self.chooser.state_dict()
        return {"reward": self.reward, "shape": self.chooser.shape, "chooser": of_chooser}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.reward, self.chooser = state["reward"], self.make(*state["shape"])
            self.chooser.load_state_dict(state["chooser"])


class SoftActorCritic:
    """The published chooser, hurried: its first evaluations are of random numbers, and it learns
    faster from each, since a segment has eight evaluations here at most.
    """

    def __init__(self, n_state: int, seed: int):
        self.shape = n_state, seed
        self.agent = ActorCritic(n_state, NUMBERS, seed)

    def begin(self, action: np.ndarray) -> None:
        """Nothing: published rewards of one segment are not brought to the level of another."""

    def explore(self, state: Tensor, seed: int) -> np.ndarray:
        if len(self.agent.memory) < WARM_UP:
            return np.random.default_rng(seed).random(NUMBERS)
        return self.agent.act(state).double().numpy()

    def note(self, state: Tensor, action: np.ndarray, reward: float, after: Tensor) -> None:
        self.agent.remember(state, torch.from_numpy(action).float(), reward, after)
        for _ in range(UPDATES):
            self.agent.update()

    def best(self, state: Tensor) -> np.ndarray:
        return self.agent.act(state, mean=True).double().numpy()

    def state_dict(self) -> dict[str, Any]:
        return self.agent.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.agent.load_state_dict(state)


class BayesianSearch:
    """A Gaussian process of the reward over the three numbers, fitted to all evaluations so far;
    what improves most by expectation is evaluated, and the best mean is used.
    """

    def __init__(self, n_state: int, seed: int):
        self.shape, self.measured, self.level = (n_state, seed), Measurements(), REWARD

    def _pool(self, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).random((POOL, NUMBERS))

    def begin(self, action: np.ndarray) -> None:
        """What the table that rewards compare with is worth itself, by what was learned before."""
        surrogate = self.measured.surrogate(self.shape[1] % 2**31)
        if surrogate is None:
            self.measured.add(action, REWARD)
        else:
            self.level = float(surrogate.predict(action[None])[0][0])

    def explore(self, state: Tensor, seed: int) -> np.ndarray:
        pool, known = self._pool(seed), self.measured.features
        surrogate = self.measured.surrogate(seed % 2**31)
        if surrogate is None:
            return pool[0]
        mean, deviation = surrogate.predict(np.concatenate([pool, known]))
        best = float(mean[POOL:].max())
        return pool[expected_improvement(mean[:POOL], deviation[:POOL], best).argmax()]

    def note(self, state: Tensor, action: np.ndarray, reward: float, after: Tensor) -> None:
        self.measured.add(action, reward * self.level / REWARD)

    def best(self, state: Tensor) -> np.ndarray:
        points, surrogate = self.measured.features, self.measured.surrogate(self.shape[1] % 2**31)
        if surrogate is None:
            return points[self.measured.values.argmax()]
        pool = np.concatenate([self._pool(self.shape[1]), points])
        return pool[surrogate.predict(pool)[0].argmax()]

    def state_dict(self) -> dict[str, Any]:
        return self.measured.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.measured.load_state_dict(state)


def scall_action(context: SearchContext, numbers: np.ndarray) -> Action:
    """Exact sizes from ``numbers`` (3,) in [0, 1]: the users' share of the columns, and for each
    side which power law its sizes follow, whose expected order statistics are taken in closed form.
    """
    order = context.data.order
    share, *shapes = (float(number) for number in numbers)
    low, high = EXPONENTS
    values = []
    for shape, n in zip(shapes, (order.n_users, order.n - order.n_users), strict=True):
        ranks = (np.arange(n, 0, -1) - 0.5) / n  # the most frequent one first
        values.append(FAMILIES["power law"].quantile(ranks, low + shape * (high - low)))
    users, items = values
    budget, (of_users, of_items) = context.budget, shapes
    return ranked_action(
        order, budget, users, items, share, user_shape=of_users, item_shape=of_items
    )


def _state(seen: Tensor, reward: float) -> Tensor:
    """What was ``seen`` (s,), and the last reward in [0, 1]: (s + 1,)."""
    return torch.cat([seen, torch.tensor([reward / (MOST * REWARD)])])


def observe(context: SearchContext, table: Inherited) -> Tensor:
    """The state, whatever the number of entities: popularity of both sides by group of ranks, mean
    rows of both sides, the share of users among the entities, and how uneven (Gini) the sizes of
    both sides are: (2 * GROUPS + 2 * d_max + 3,) float32.
    """
    order: FrequencyOrder = context.data.order
    d_max, sizes = context.budget.d_max, table.allocation.columns
    curves = [_pooled(side) for side in (order.sorted_users, order.sorted_items)]
    parts = slice(0, table.n_users), slice(table.n_users, None)
    means = [np.zeros(d_max), np.zeros(d_max)]
    for mean, part in zip(means, parts, strict=True):
        mean[: table.rows.shape[1]] = table.rows[part].mean(0).numpy()
    uneven = [gini(sizes[part]) for part in parts]
    numbers = [order.n_users / order.n, *uneven]
    return torch.from_numpy(np.concatenate([*curves, *means, numbers])).float()


def _pooled(frequency: np.ndarray) -> np.ndarray:
    """``frequency`` (n,) by rank, scaled to [0, 1] and averaged in groups of ranks: (GROUPS,)."""
    scaled = (frequency - frequency.min()) / max(float(np.ptp(frequency)), 1.0)
    group = np.arange(len(scaled)) * GROUPS // len(scaled)
    counts = np.bincount(group, minlength=GROUPS)
    sums = np.bincount(group, weights=scaled, minlength=GROUPS)
    return np.divide(sums, counts, out=np.zeros(GROUPS), where=counts > 0)


def gini(sizes: np.ndarray) -> float:
    """How uneven ``sizes`` (n,) are: 0 where all are alike, near 1 where one has all.

    >>> gini(np.array([2, 2])), gini(np.array([0, 4]))
    (0.0, 0.5)
    """
    ascending, n = np.sort(sizes.astype(float)), len(sizes)
    total = ascending.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * total)) if total else 0.0
