"""What a method of a stream is: how it sizes the next segment's table, and what it learns then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bet.actions import Action, Allocation
from bet.backbones import Recommender
from bet.errors import BetError
from bet.search import SearchContext, initialize_recommender, train_model
from bet.stream.carry import Inherited
from bet.training import AlsSettings, RankingMetrics, TrainSettings

BACKBONES = ("lightgcn", "ials")  # that streams run on


@dataclass(frozen=True, eq=False)
class Step:
    """Segment ``number`` (from 0) as a policy sees it: ``context`` has its training and validation
    data and its budget; tables start from ``before``, the table of the segment before, None in the
    first one. ``last``: the step of the segment before, whose table had ``quality`` on validation
    there.
    """

    number: int
    context: SearchContext
    before: Inherited | None = None
    last: "Step | None" = None
    last_quality: float = 0.0


@dataclass(frozen=True, eq=False)
class Proposal:
    """An allocation within the budget; ``facts`` for the record; how many tables were trained for
    a part of the epochs to find it.
    """

    allocation: Allocation
    facts: Mapping[str, float | str] = field(default_factory=dict)
    short_trainings: int = 0

    @classmethod
    def of(cls, action: Action, short_trainings: int = 0, **facts: float | str) -> "Proposal":
        """That of an action."""
        return cls(action.allocation, {**action.origin, **facts}, short_trainings)


class Policy(Protocol):
    """Sizes one segment's table after the other; its state can be saved between segments."""

    def propose(self, step: Step) -> Proposal:
        """The sizes of this segment's table."""
        ...

    def learn(self, step: Step, model: Recommender) -> None:
        """Update after the table was trained."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that the next segment needs, as tensors, numbers and text."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        ...


class StatelessPolicy:
    """Base of policies that learn nothing."""

    def learn(self, step: Step, model: Recommender) -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take over."""


@dataclass(frozen=True)
class StreamMethod:
    """``policy`` makes a fresh policy; ``summary`` in a few words; ``paper``: where it is from.
    ``capped``: whether its tables obey the cap; others show how they grow.
    """

    name: str
    policy: Callable[[], Policy]
    summary: str
    paper: str
    capped: bool = True
    version: int = 1

    def check(self, backbone: str, cap: str | None) -> None:
        """Raise BetError where the method cannot run."""
        if backbone not in BACKBONES:
            raise BetError(f"streams run on {', '.join(BACKBONES)}, got backbone {backbone!r}")
        if self.capped != (cap is not None):
            needs = "a cap, as '2 MB'" if self.capped else "no cap: 'none'"
            raise BetError(f"{self.name} takes {needs}; got {cap or 'none'!r}")


def train_shortly(context: SearchContext, allocation: Allocation) -> Recommender:
    """A table of ``allocation``, from where the context's tables start, trained for the few epochs
    of a fine-tuning; the rate falls to its floor in them.
    """
    epochs, settings = context.settings.search.finetune_epochs, context.settings.training
    if isinstance(settings, AlsSettings):
        settings = replace(settings, sweeps=epochs)
    elif isinstance(settings, TrainSettings):
        settings = replace(settings, schedule="cosine", max_epochs=epochs)
    model = initialize_recommender(context, allocation)
    train_model(context, model, settings, epochs=epochs)
    return model


def measure_shortly(context: SearchContext, allocation: Allocation) -> RankingMetrics:
    """What ``train_shortly`` gives users on validation."""
    return context.rank(train_shortly(context, allocation))
