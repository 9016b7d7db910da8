"""Numbers of a training."""

import math
from dataclasses import dataclass

from bet.errors import BetError


@dataclass(frozen=True)
class TrainSettings:
    """How to train by BPR; learning rates per Adam step, epochs of ceil(|train| / batch_size)
    steps.
    """

    batch_size: int = 10_000
    learning_rate: float = 0.03
    # "step": x decay every decay_steps; "cosine": from learning_rate to the floor over max_epochs
    schedule: str = "step"
    decay: float = 0.95
    decay_steps: int = 200
    floor: float = 1e-3
    max_epochs: int = 100
    evaluate_every: int = 5  # epochs
    patience: int = 3  # evaluations without improvement before stopping
    l2: float | None = None  # eta; None: the backbone's default
    init_std: float | None = None  # of the embedding rows; None: the backbone's default
    backbone_rate: float = 1.0  # learning rate of the backbone's weights, relative to the table's
    validation_share: float = 1.0  # of the users; stopping and all selection look at the same ones

    def __post_init__(self):
        for name in ("batch_size", "decay_steps", "max_epochs", "evaluate_every", "patience"):
            if getattr(self, name) < 1:
                raise BetError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.schedule not in ("step", "cosine"):
            raise BetError(f"schedule must be 'step' or 'cosine', got {self.schedule!r}")
        if not 0 < self.validation_share <= 1:
            raise BetError(f"validation_share must lie in (0, 1], got {self.validation_share}")
        if not self.backbone_rate > 0:
            raise BetError(f"backbone_rate must be positive, got {self.backbone_rate}")
        if not 0 < self.floor <= self.learning_rate:
            raise BetError(
                f"need 0 < floor <= learning_rate, got {self.floor} and {self.learning_rate}"
            )

    def rate(self, step: int, total_steps: int) -> float:
        """Learning rate of step ``step`` (from 0) of ``total_steps``."""
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
