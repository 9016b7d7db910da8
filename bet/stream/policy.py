"""What a method of a stream is: how it sizes the next segment's table, and what it learns then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bet.actions import Action, Allocation
from bet.backbones import Recommender
from bet.errors import BetError
from bet.search import RunSettings, SearchContext, Trained, initialize_recommender, train_model
from bet.stream.carry import Inherited
from bet.training import AlsSettings, RankingMetrics, TrainSettings

BACKBONES = ("lightgcn", "ials")  # that streams run on
SHARE = 0.4  # of a training's epochs that short trainings of a later segment take
WARM_EPOCHS = 1  # of one from trained rows, which tells sizes apart as two from chance do not


@dataclass(frozen=True, eq=False)
class Step:
    """Segment ``number`` (from 0) as a policy sees it: ``context`` has its training and validation
    data and its budget; tables start from ``before``, the table of the segment before, None in the
    first one.
    """

    number: int
    context: SearchContext
    before: Inherited | None = None


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

    def learn(self, step: Step, trained: Trained) -> None:
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

    def learn(self, step: Step, trained: Trained) -> None:
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
    version: int = 2

    def check(self, backbone: str, cap: str | None) -> None:
        """Raise BetError where the method cannot run."""
        if backbone not in BACKBONES:
            raise BetError(f"streams run on {', '.join(BACKBONES)}, got backbone {backbone!r}")
        if self.capped != (cap is not None):
            needs = "a cap, as '2 MB'" if self.capped else "no cap: 'none'"
            raise BetError(f"{self.name} takes {needs}; got {cap or 'none'!r}")


def short_trainings_of(settings: RunSettings, number: int) -> int:
    """How many short trainings may find the sizes of segment ``number`` (from 0). The first one
    takes T. Later ones take as many as fit into ``SHARE`` of a training's epochs, at least two so
    that there is something to compare: an epoch each, and as long for its start and its ranking.

    >>> settings = RunSettings("ials", AlsSettings(sweeps=12), SearchSettings(iterations=8))
    >>> [short_trainings_of(settings, number) for number in (0, 1, 2)]  # 0.4 * 12 / 2
    [8, 2, 2]
    """
    if not number:
        return settings.search.iterations
    if isinstance(settings.training, AlsSettings):
        epochs = settings.training.sweeps
    else:
        epochs = settings.by_gradient.max_epochs
    return max(2, int(SHARE * epochs / (2 * WARM_EPOCHS)))


def train_shortly(context: SearchContext, allocation: Allocation) -> Recommender:
    """A table of ``allocation``, from where the context's tables start, trained for
    ``WARM_EPOCHS`` or, where that is chance, for the few epochs of a fine-tuning; the rate falls to
    its floor in them.
    """
    epochs, settings = context.settings.search.finetune_epochs, context.settings.training
    if context.start_rows is not None:
        epochs = WARM_EPOCHS
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
