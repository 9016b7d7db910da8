"""How the next action is chosen: the paper's three strategies over a fitness predictor, or
chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from bet.actions import Action, SizeSpace, Space, sample_action
from bet.predictor import DeepSets, PredictorTrainer, SizesOnly
from bet.search.context import SearchContext
from bet.search.result import Evaluated
from bet.training import RankingMetrics


@dataclass(frozen=True)
class Choice:
    """The action to evaluate next, the name of the rule that chose it, and its predicted fitness,
    if any.
    """

    action: Action
    strategy: str
    predicted: float | None = None


class Selector(Protocol):
    """Chooses actions and learns from the population; its state can be saved between iterations."""

    name: str

    def choose(self, t: int, population: Sequence[Evaluated]) -> Choice:
        """The action of iteration t (from 1)."""
        ...

    def learn(
        self, t: int, population: Sequence[Evaluated], ranked: RankingMetrics
    ) -> float | None:
        """Update after iteration t, whose action gave the metrics ``ranked``; the mean loss before
        each update, None where nothing learns.
        """

    def state_dict(self) -> dict:
        """All that an interrupted search needs to go on, as tensors, numbers and text."""
        ...

    def load_state_dict(self, state: dict) -> None:
        """Take over what ``state_dict`` gave."""
        ...


class StatelessSelector:
    """Base of selectors that learn nothing."""

    def learn(self, t: int, population: Sequence[Evaluated], ranked: RankingMetrics) -> None:
        return None

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        pass


class RandomSelector(StatelessSelector):
    """The ablation without a predictor: a random action of the sampler (BET, Table 2).

    >>> choice = RandomSelector(context).choose(1, [])
    >>> choice.strategy, choice.action.allocation.total
    ('II random', 10)
    """

    name = "random"

    def __init__(self, context: SearchContext):
        self.context = context

    def choose(self, t: int, population: Sequence[Evaluated]) -> Choice:
        context = self.context
        rng = context.search_rng("actions", t)
        return Choice(sample_action(context.data.order, context.budget, rng), "II random")


class PredictorSelector:
    """Algorithm 1: of m sampled actions take the best predicted (I), a random one (II) or the one
    nearest to the best (III).

    space: what actions are sampled from (default: sizes within the context's budget).

    >>> action = sample_action(context.data.order, context.budget, np.random.default_rng(0))
    >>> member = Evaluated(t=1, action=action, strategy="II random", predicted=None, fitness=0.9,
    ...                    quality=0.09, predictor_loss=None, seconds=0.0)
    >>> selector = PredictorSelector(context, DeepSets)
    >>> for t in range(1, 6):
    ...     print(t, selector.choose(t, [member]).strategy)
    1 I best predicted
    2 I best predicted
    3 II random
    4 III nearest
    5 I best predicted
    """

    def __init__(
        self,
        context: SearchContext,
        predictor: type[DeepSets] | type[SizesOnly],
        space: Space | None = None,
    ):
        self.context, self.name = context, predictor.__name__
        self.space = space or SizeSpace(context.data.order, context.budget)
        generator = context.search_generator("predictor")
        self.trainer = PredictorTrainer(predictor(context.data.order, self.space.sets, generator))

    @torch.no_grad()
    def choose(self, t: int, population: Sequence[Evaluated]) -> Choice:
        settings, predictor = self.context.settings, self.trainer.predictor
        rng = self.context.search_rng("actions", t)
        actions = self.space.sample(settings.search.actions, rng)
        embeddings = predictor.embed(self._histograms(actions))  # (m, 64)
        predicted = predictor.decode(embeddings)[:, 0]  # (m,)
        # Of every five iterations one explores at random and one near the best action so far.
        if t % 5 == 3:
            strategy, best = "II random", int(rng.integers(len(actions)))
        elif t % 5 == 4:
            # Both sides embedded with today's predictor: stored embeddings would be from older
            # weights.
            leader = max(population, key=lambda member: member.fitness).action
            target = predictor.embed(self._histograms([leader]))
            strategy, best = "III nearest", int(torch.cdist(embeddings, target)[:, 0].argmin())
        else:
            strategy, best = "I best predicted", int(predicted.argmax())
        return Choice(actions[best], strategy, float(predicted[best]))

    def learn(self, t: int, population: Sequence[Evaluated], ranked: RankingMetrics) -> float:
        settings, losses = self.context.settings, []
        search = settings.search
        histograms = self._histograms([member.action for member in population])
        fitness = torch.tensor([member.fitness for member in population])
        for update in range(search.predictor_updates):
            rng = self.context.search_rng("predictor", t, update)
            sample = rng.permutation(len(population))[: search.predictor_batch]
            losses.append(self.trainer.update(histograms[sample], fitness[sample]))
        return float(np.mean(losses))

    def _histograms(self, actions: Sequence[Action]) -> torch.Tensor:
        """Users and items in every set: (m, 2, k + 1) int64."""
        return torch.from_numpy(np.stack([self.space.histograms(action) for action in actions]))

    def state_dict(self) -> dict:
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.trainer.load_state_dict(state)
