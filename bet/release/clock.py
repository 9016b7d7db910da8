"""How long everything may take: stages of the minutes that were given, and trainings that end when
their stage does.
"""

import math
import time
from dataclasses import dataclass, field

from bet.backbones import Recommender
from bet.errors import BetError
from bet.search import SearchContext
from bet.training import RankingMetrics

MOST_MINUTES = 60 * 24 * 30
CLOSING = 0.08  # of the time, at least, for the score on test and the writing


class OutOfTime(Exception):
    """A training looked at validation after its deadline."""


@dataclass(frozen=True)
class Clock:
    """``seconds`` from ``started`` on, a time of ``time.monotonic``; ``closing``: seconds that the
    end takes, a score on test and the writing, as far as is known.
    """

    seconds: float
    started: float
    closing: float = 0.0

    @classmethod
    def start(cls, minutes: float) -> "Clock":
        """From now on; raises BetError unless ``minutes`` are positive, and at most a month."""
        if not 0 < minutes <= MOST_MINUTES:
            raise BetError(
                f"minutes must lie in (0, {MOST_MINUTES}], got {minutes:g}; 10 are usual"
            )
        return cls(60 * minutes, time.monotonic())

    @property
    def latest(self) -> float:
        """When the model must have been fitted to all interactions."""
        return self.share(1.0) - max(self.closing, CLOSING * self.seconds)

    def share(self, part: float) -> float:
        """When ``part`` in [0, 1] of the time is over."""
        return self.started + part * self.seconds


@dataclass(eq=False)
class Deadline:
    """``ends``: a time of ``time.monotonic``, moved from stage to stage."""

    ends: float = math.inf


@dataclass(frozen=True, eq=False)
class TimedContext(SearchContext):
    """A context in which nothing looks at validation after ``deadline``: a training that is still
    on its way raises OutOfTime.
    """

    deadline: Deadline = field(default_factory=Deadline)

    def rank(self, model: Recommender) -> RankingMetrics:
        if time.monotonic() > self.deadline.ends:
            raise OutOfTime
        return super().rank(model)
