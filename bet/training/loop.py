"""What every training shares: a curve on validation, early stopping, and checkpoints that resume to
the same numbers.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from bet.backbones import Recommender
from bet.progress import progress_bar
from bet.training.checkpoint import load_state, save_state

CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class CurvePoint:
    """One look at validation: after how many epochs and wall-clock seconds, with which mean loss of
    the epoch and which quality.
    """

    epoch: int
    loss: float
    quality: float
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """``epoch`` and ``quality`` of the weights the model was left with (NaN without validation); a
    point of the curve for every look at validation; wall-clock ``seconds``, those of looks at
    validation, ``evaluating``, among them; ``falls``: the epochs after which the rate fell on a
    plateau, which a training without validation repeats.
    """

    epoch: int
    quality: float
    seconds: float
    curve: tuple[CurvePoint, ...] = ()
    evaluating: float = 0.0  # since the last interruption
    falls: tuple[int, ...] = ()

    @classmethod
    def from_saved(cls, saved: dict) -> "TrainResult":
        """From what ``asdict`` wrote to a checkpoint."""
        curve = tuple(CurvePoint(**point) for point in saved["curve"])
        return cls(**{**saved, "curve": curve, "falls": tuple(saved["falls"])})


class Stopping(Protocol):
    """What settings of every training say of its end."""

    @property
    def evaluate_every(self) -> int: ...

    @property
    def patience(self) -> int: ...


class Run:
    """A training between two epochs: all that a checkpoint holds. A subclass trains the epochs and
    adds to the state what it needs to go on.
    """

    def __init__(self, model: Recommender, total: int):
        """``total``: epochs."""
        self.model, self.total = model, total
        self.epoch = 0  # finished
        self.seconds = 0.0  # before the interruption
        self.curve: tuple[CurvePoint, ...] = ()
        self.best: dict[str, Tensor] | None = None  # weights of the best point of the curve
        self.best_point: CurvePoint | None = None
        self.unimproved = 0  # evaluations since then, or since the rate fell
        self.falls: tuple[int, ...] = ()  # epochs after which the rate falls
        self.ended = False  # by the table

    def train_epoch(self, epoch: int) -> None:
        """Epoch ``epoch`` (from 0); raises BetError where numbers are no longer finite."""
        raise NotImplementedError

    def loss(self) -> float:
        """The mean loss of the last epoch."""
        raise NotImplementedError

    def lower_rate(self) -> bool:
        """Let the rate fall after patience is over; False where the training is to end instead."""
        return False

    def note(self, point: CurvePoint) -> None:
        """Append ``point`` to the curve and remember the weights if it is the best so far."""
        self.curve = (*self.curve, point)
        if self.best_point is None or point.quality > self.best_point.quality:
            self.best, self.best_point = self.model.snapshot(), point
            self.unimproved = 0
        else:
            self.unimproved += 1

    def result(self, seconds: float, evaluating: float) -> TrainResult:
        """How the training went, for the weights that the model was left with."""
        if self.best_point is None:
            return TrainResult(self.epoch, math.nan, seconds)
        best = self.best_point
        return TrainResult(
            best.epoch,
            best.quality,
            seconds,
            curve=self.curve,
            evaluating=evaluating,
            falls=self.falls,
        )

    def state_dict(self) -> dict:
        """All of it, as tensors, numbers and text."""
        return {
            "model": self.model.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "curve": [asdict(point) for point in self.curve],
            "best": self.best,
            "unimproved": self.unimproved,
            "falls": self.falls,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from what ``state_dict`` returned."""
        self.model.load_state_dict(state["model"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.best, self.unimproved = state["best"], state["unimproved"]
        self.falls = tuple(state["falls"])
        self.curve = tuple(CurvePoint(**point) for point in state["curve"])
        if self.curve:
            # max takes the first among equals, as note does.
            self.best_point = max(self.curve, key=lambda point: point.quality)


def run_to_end(
    run: Run,
    key: str,
    stopping: Stopping,
    validate: Callable[[Recommender], float] | None,
    *,
    checkpoint: Path | None,
    progress: str | None,
) -> TrainResult:
    """The epochs of ``run`` that are left, with validation, early stopping and checkpoints as
    ``train`` promises them. ``key``: of what a checkpoint belongs to.
    """
    if state := load_state(checkpoint, key):
        run.load_state_dict(state)
    saved = time.perf_counter()
    started = saved - run.seconds  # as if without the interruption
    evaluating = 0.0
    epochs_left = progress_bar(
        range(run.epoch, run.total),
        label=progress,
        initial=run.epoch,
        total=run.total,
        shown=progress is not None,
    )
    for epoch in epochs_left:
        if run.unimproved >= stopping.patience and not run.lower_rate():
            break
        run.train_epoch(epoch)
        due = (epoch + 1) % stopping.evaluate_every == 0 or epoch + 1 == run.total
        if validate is not None and due:
            looked = time.perf_counter()
            quality = validate(run.model)
            evaluating += time.perf_counter() - looked
            seconds = time.perf_counter() - started
            run.note(CurvePoint(epoch + 1, run.loss(), quality, seconds))
        if run.ended:
            break
        if checkpoint and time.perf_counter() - saved > CHECKPOINT_SECONDS:
            saved = time.perf_counter()
            run.seconds = saved - started
            save_state(checkpoint, key, run.state_dict())
    if run.best is not None:
        run.model.load_state_dict(run.best)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return run.result(time.perf_counter() - started, evaluating)
