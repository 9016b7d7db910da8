"""Numbers of a training."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from bet.errors import BetError

ADDED = {"added": True}  # a field that younger settings have: at its default, keys leave it out


@dataclass(frozen=True)
class TrainSettings:
    """How to train by BPR; learning rates per Adam step, epochs of ceil(|train| / batch_size)
    steps.
    """

    batch_size: int = 10_000
    learning_rate: float = 0.03
    # "step": x decay every decay_steps; "cosine": from learning_rate to the floor over max_epochs;
    # "plateau": x decay whenever ``patience`` is over, until that would be below the floor
    schedule: str = "step"
    decay: float = 0.95
    decay_steps: int = 200
    floor: float = 1e-3
    max_epochs: int = 100  # a bound only, where the schedule is "plateau"
    evaluate_every: int = 5  # epochs
    patience: int = 3  # evaluations without improvement before stopping, or lowering the rate
    l2: float | None = None  # eta; None: the backbone's default
    init_std: float | None = None  # of the embedding rows; None: the backbone's default
    backbone_rate: float = 1.0  # learning rate of the backbone's weights, relative to the table's
    validation_share: float = 1.0  # of the users; stopping and all selection look at the same ones
    # "normal": N(0, init_std^2); "ials": factors of the same sizes by least squares
    start: str = field(default="normal", metadata=ADDED)
    start_scale: float = field(default=0.5, metadata=ADDED)  # root mean square of those factors
    negatives: int = field(default=1, metadata=ADDED)  # of a positive, in one softmax with it
    # Tables start from the trained full table, rotated to its principal axes and cut.
    warm_start: bool = field(default=False, metadata=ADDED)

    def __post_init__(self):
        for name in (
            "batch_size",
            "decay_steps",
            "max_epochs",
            "evaluate_every",
            "patience",
            "negatives",
        ):
            if getattr(self, name) < 1:
                raise BetError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.schedule not in ("step", "cosine", "plateau"):
            raise BetError(f"schedule must be 'step', 'cosine' or 'plateau', got {self.schedule!r}")
        if self.schedule == "plateau" and not 0 < self.decay < 1:
            raise BetError(f"decay of a plateau must lie in (0, 1), got {self.decay}")
        if self.start not in ("normal", "ials"):
            raise BetError(f"start must be 'normal' or 'ials', got {self.start!r}")
        if not 0 < self.start_scale < math.inf:
            raise BetError(f"start_scale must be positive and finite, got {self.start_scale}")
        if not 0 < self.validation_share <= 1:
            raise BetError(f"validation_share must lie in (0, 1], got {self.validation_share}")
        if not self.backbone_rate > 0:
            raise BetError(f"backbone_rate must be positive, got {self.backbone_rate}")
        if not 0 < self.floor <= self.learning_rate:
            raise BetError(
                f"need 0 < floor <= learning_rate, got {self.floor} and {self.learning_rate}"
            )

    def rate(self, step: int, total_steps: int, falls: int = 0) -> float:
        """Learning rate of step ``step`` (from 0) of ``total_steps``, on a plateau after ``falls``.

        >>> settings = TrainSettings(learning_rate=0.4, schedule="plateau", decay=0.5)
        >>> settings.rate(7, total_steps=10), settings.rate(7, total_steps=10, falls=2)
        (0.4, 0.1)
        """
        if self.schedule == "plateau":
            return self.learning_rate * self.decay**falls
        if self.schedule == "step":
            return max(self.floor, self.learning_rate * self.decay ** (step // self.decay_steps))
        swing = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))
        return self.floor + (self.learning_rate - self.floor) * swing


@dataclass(frozen=True)
class AlsSettings:
    """How to fit by alternating least squares (Hu et al., ICDM 2008; the regularization of Rendle
    et al., RecSys 2022). A sweep solves all items, then all users.
    """

    sweeps: int = 12
    unobserved_weight: float = 0.01  # w0 of every pair; pairs of the training data have 1 besides
    l2: float = 0.1  # of a row: l2 (|R| + w0 |V|)^exponent, |R| its interactions, |V| the others
    exponent: float = 0.5  # nu; 0: the same for everybody, 1: in proportion to the loss's terms
    cg_steps: int = 3  # of conjugate gradients for a row, from its numbers of the last sweep
    round_from: float = 1 / 3  # share of the sweeps; later ones solve against the rounded side
    evaluate_every: int = 12  # sweeps
    patience: int = 3  # evaluations without improvement before stopping
    init_std: float | None = None  # of the rows at first; None: the backbone's default
    validation_share: float = 1.0  # of the users; stopping and all selection look at the same ones

    def __post_init__(self):
        for name in ("sweeps", "cg_steps", "evaluate_every", "patience"):
            if getattr(self, name) < 1:
                raise BetError(f"{name} must be at least 1, got {getattr(self, name)}")
        positive = ["l2"] if self.init_std is None else ["l2", "init_std"]
        for name in positive:
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise BetError(f"{name} must be positive and finite, got {value}")
        for name in ("unobserved_weight", "exponent"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise BetError(f"{name} must be at least 0 and finite, got {value}")
        if not 0 <= self.round_from <= 1:
            raise BetError(f"round_from must lie in [0, 1], got {self.round_from}")
        if not 0 < self.validation_share <= 1:
            raise BetError(f"validation_share must lie in (0, 1], got {self.validation_share}")


@dataclass(frozen=True)
class ReferenceSettings:
    """Of a reference, which has a rule instead of a trained table: on which share of the users its
    few numbers are chosen.
    """

    validation_share: float = 1.0

    def __post_init__(self):
        if not 0 < self.validation_share <= 1:
            raise BetError(f"validation_share must lie in (0, 1], got {self.validation_share}")


FitSettings = TrainSettings | AlsSettings | ReferenceSettings
"""Numbers of a fit; which type they have decides how a model is fitted."""


def numbers_of(settings: FitSettings) -> dict[str, Any]:
    """All of ``settings`` by name, without what was added later and is at its default: keys made
    of them stay what they were.

    >>> "start" in numbers_of(TrainSettings()), numbers_of(TrainSettings(start="ials"))["start"]
    (False, 'ials')
    """
    values = {part.name: (getattr(settings, part.name), part) for part in fields(settings)}
    return {
        name: value
        for name, (value, part) in values.items()
        if not (part.metadata.get("added") and value == part.default)
    }
