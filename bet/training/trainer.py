"""BPR training with early stopping on validation, and checkpoints that resume to the same
numbers.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bet.backbones import Recommender
from bet.errors import BetError
from bet.progress import progress_bar
from bet.seeds import torch_generator
from bet.tables import take_rows
from bet.training.checkpoint import load_state, save_state
from bet.training.sampling import BprSampler
from bet.training.settings import TrainSettings

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
    point of the curve for every look at validation; wall-clock ``seconds``.
    """

    epoch: int
    quality: float
    seconds: float
    curve: tuple[CurvePoint, ...] = ()

    @classmethod
    def from_saved(cls, saved: dict) -> "TrainResult":
        """From what ``asdict`` wrote to a checkpoint."""
        return cls(**{**saved, "curve": tuple(CurvePoint(**point) for point in saved["curve"])})


def bpr_loss(
    model: Recommender,
    triples: tuple[Tensor, Tensor, Tensor],
    l2: float,
    dropout: torch.Generator | None,
) -> Tensor:
    """Mean softplus(y_uv' - y_uv) plus l2 times the batch mean of the squared norms of the three
    ego rows (Eq. 2), plus the table's penalty. ``triples``: users, positives and negatives,
    (B,) int64 each.
    """
    users, positives, negatives = triples
    ego = model.table()  # (n, copies * width)
    representations = model.represent(ego, dropout)  # (n, D)
    entities = torch.cat([users, positives + model.n_users, negatives + model.n_users])  # (3B,)
    picked = take_rows(representations, entities)  # (3B, D), gathered once
    for_positives, for_negatives = model.backbone.triple_scores(picked)  # (B,) each
    loss = F.softplus(for_negatives - for_positives).mean()
    ego_rows = picked if representations is ego else take_rows(ego, entities)  # (3B, ...)
    return loss + l2 * ego_rows.square().sum() / len(users) + model.table.penalty()


def train(
    model: Recommender,
    sampler: BprSampler,
    settings: TrainSettings,
    *,
    seed: int,
    validate: Callable[[Recommender], float] | None = None,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainResult:
    """Train ``model`` in place.

    With ``validate`` (higher is better) it stops after ``patience`` evaluations without improvement
    and the best weights are restored; without it, it runs exactly ``epochs``. ``checkpoint`` names
    a file that lets a killed run continue to the same result; it is removed at the end, and not
    used where data, sizes, settings or seed differ. A table may end its training earlier. Raises
    BetError when the loss is no longer finite.
    """
    total = settings.max_epochs if epochs is None else epochs
    table = model.table
    of_table = table.allocation.digest, table.description
    key = repr((asdict(settings), seed, total, sampler.digest, *of_table))
    run = _Run(model, sampler, settings, seed=seed, total=total)
    if state := load_state(checkpoint, key):
        run.load_state_dict(state)
    saved = time.perf_counter()
    started = saved - run.seconds  # as if without the interruption
    epochs_left = progress_bar(
        range(run.epoch, total),
        label=progress,
        initial=run.epoch,
        total=total,
        shown=progress is not None,
    )
    for epoch in epochs_left:
        if run.unimproved >= settings.patience:
            break
        loss = run.train_epoch(epoch)
        due = (epoch + 1) % settings.evaluate_every == 0 or epoch + 1 == total
        if validate is not None and due:
            quality = validate(model)
            run.note(CurvePoint(epoch + 1, loss, quality, time.perf_counter() - started))
        if run.ended:
            break
        if checkpoint and time.perf_counter() - saved > CHECKPOINT_SECONDS:
            saved = time.perf_counter()
            run.seconds = saved - started
            save_state(checkpoint, key, run.state_dict())
    if run.best is not None:
        model.load_state_dict(run.best)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return run.result(time.perf_counter() - started)


class _Run:
    """A training between two epochs: all that a checkpoint holds."""

    def __init__(
        self,
        model: Recommender,
        sampler: BprSampler,
        settings: TrainSettings,
        *,
        seed: int,
        total: int,
    ):
        self.model, self.sampler, self.settings = model, sampler, settings
        self.seed, self.total = seed, total
        self.steps_per_epoch = math.ceil(sampler.n_interactions / settings.batch_size)
        self.l2 = model.backbone.l2 if settings.l2 is None else settings.l2
        # A fresh dense layer takes far smaller steps than a sparse row that few batches touch.
        weights = [
            *model.table.groups(),
            (list(model.backbone.parameters()), settings.backbone_rate),
        ]
        groups = [{"params": part, "rate": rate} for part, rate in weights if part]
        self.optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        self.epoch = 0  # finished
        self.seconds = 0.0  # before the interruption
        self.curve: tuple[CurvePoint, ...] = ()
        self.best: dict[str, Tensor] | None = None  # weights of the best point of the curve
        self.best_point: CurvePoint | None = None
        self.unimproved = 0  # evaluations since then
        self.ended = False  # by the table

    def train_epoch(self, epoch: int) -> float:
        """Epoch ``epoch`` (from 0), up to where the table ends the training; its mean loss."""
        device = self.model.device
        # Another random stream for every epoch: a resumed run draws the same triples.
        generator = torch_generator(self.seed, "epoch", epoch, device=device)
        losses = torch.zeros((), device=device)
        first, steps = epoch * self.steps_per_epoch, self.total * self.steps_per_epoch
        for step in range(first, first + self.steps_per_epoch):
            self.ended = self.model.table.before_step(step, steps)
            if self.ended:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate"] * self.settings.rate(step, steps)
            triples = self.sampler.draw(self.settings.batch_size, generator)
            loss = bpr_loss(self.model, triples, self.l2, generator)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses += loss.detach()
        self.epoch = epoch + 1
        mean_loss = float(losses) / self.steps_per_epoch
        if not math.isfinite(mean_loss):
            raise BetError(
                f"training diverged: loss {mean_loss} in epoch {epoch + 1}, before step "
                f"{first + self.steps_per_epoch}, learning rate "
                f"{self.optimizer.param_groups[0]['lr']:g}; lower learning_rate"
            )
        return mean_loss

    def note(self, point: CurvePoint) -> None:
        """Append ``point`` to the curve and remember the weights if it is the best so far."""
        self.curve = (*self.curve, point)
        if self.best_point is None or point.quality > self.best_point.quality:
            self.best, self.best_point = self.model.snapshot(), point
            self.unimproved = 0
        else:
            self.unimproved += 1

    def result(self, seconds: float) -> TrainResult:
        """How the training went, for the weights that the model was left with."""
        if self.best_point is None:
            return TrainResult(self.epoch, math.nan, seconds)
        return TrainResult(self.best_point.epoch, self.best_point.quality, seconds, self.curve)

    def state_dict(self) -> dict:
        """All of it, as tensors, numbers and text."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "curve": [asdict(point) for point in self.curve],
            "best": self.best,
            "unimproved": self.unimproved,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from what ``state_dict`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.best, self.unimproved = state["best"], state["unimproved"]
        self.curve = tuple(CurvePoint(**point) for point in state["curve"])
        if self.curve:
            # max takes the first among equals, as note does.
            self.best_point = max(self.curve, key=lambda point: point.quality)
