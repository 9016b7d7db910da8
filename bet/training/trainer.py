"""BPR training with early stopping on validation, and checkpoints that resume to the same numbers."""

import hashlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from bet.backbones import Recommender
from bet.errors import BetError
from bet.files import atomic_path
from bet.seeds import torch_generator
from bet.tables import take_rows
from bet.training.sampling import BprSampler

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class TrainSettings:
    """How to train; learning rates per Adam step, epochs of ceil(|train| / batch_size) steps."""

    batch_size: int = 10_000
    learning_rate: float = 0.03
    schedule: str = "step"  # "step": x decay every decay_steps; "cosine": from learning_rate to the floor over max_epochs
    decay: float = 0.95
    decay_steps: int = 200
    floor: float = 1e-3
    max_epochs: int = 100
    evaluate_every: int = 5  # epochs
    patience: int = 3  # evaluations without improvement before stopping
    l2: float | None = None  # eta; None: the backbone's own
    init_std: float | None = None  # of the embedding rows; None: the backbone's own
    backbone_rate: float = (
        1.0  # learning rate of the backbone's own weights, relative to the table's
    )
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


@dataclass
class TrainResult:
    """``epoch`` and ``quality`` of the weights the model was left with; one curve row per
    evaluation; wall-clock ``seconds``.
    """

    epoch: int = 0
    quality: float = math.nan
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)


def bpr_loss(
    model: Recommender,
    users: Tensor,
    positives: Tensor,
    negatives: Tensor,
    l2: float,
    dropout: torch.Generator | None,
) -> Tensor:
    """Mean softplus(y_uv' - y_uv) plus l2 times the batch mean of the squared norms of the three
    ego rows (Eq. 2), plus the table's own penalty."""
    ego = model.table()
    representations = model.backbone.represent(ego, dropout)
    rows = torch.cat([users, positives + model.n_users, negatives + model.n_users])
    picked = take_rows(representations, rows)  # (3B, D), one gather
    for_positives, for_negatives = model.backbone.triple_scores(picked)
    loss = F.softplus(for_negatives - for_positives).mean()
    ego_rows = picked if representations is ego else take_rows(ego, rows)
    return loss + l2 * ego_rows.square().sum() / len(users) + model.table.penalty()


def train(
    model: Recommender,
    sampler: BprSampler,
    settings: TrainSettings,
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
    total = epochs if epochs is not None else settings.max_epochs
    steps_per_epoch = math.ceil(sampler.n_interactions / settings.batch_size)
    l2 = model.backbone.l2 if settings.l2 is None else settings.l2
    device = model.device
    # A fresh dense layer takes far smaller steps than a sparse row that few batches touch.
    parts = [*model.table.groups(), (list(model.backbone.parameters()), settings.backbone_rate)]
    groups = [{"params": weights, "rate": rate} for weights, rate in parts if weights]
    optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
    result, best, bad, first = TrainResult(), None, 0, 0
    kept = hashlib.sha256(model.table.kept.tobytes()).hexdigest()
    key = repr((asdict(settings), seed, total, sampler.fingerprint(), kept, model.table.form))
    state = load_state(checkpoint, key)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        best, bad, first = state["best"], state["bad"], state["epoch"]
        result = TrainResult(**state["result"])
    saved = time.perf_counter()
    started = saved - result.seconds  # as if without the interruption
    for epoch in tqdm(
        range(first, total),
        desc=progress,
        initial=first,
        total=total,
        disable=not progress,
        leave=False,
    ):
        if bad >= settings.patience:
            break
        generator = torch_generator(seed, "epoch", epoch, device=device)
        losses = torch.zeros((), device=device)
        for step in range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch):
            if ended := model.table.before_step(step, total * steps_per_epoch):
                break
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * settings.rate(step, total * steps_per_epoch)
            loss = bpr_loss(model, *sampler.draw(settings.batch_size, generator), l2, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.detach()
        mean_loss = float(losses) / steps_per_epoch
        if not math.isfinite(mean_loss):
            raise BetError(
                f"training diverged: loss {mean_loss} in epoch {epoch + 1}, before step {(epoch + 1) * steps_per_epoch}, "
                f"learning rate {optimizer.param_groups[0]['lr']:g}; lower learning_rate"
            )
        if validate is not None and (
            (epoch + 1) % settings.evaluate_every == 0 or epoch + 1 == total
        ):
            quality = validate(model)
            row = {
                "epoch": epoch + 1,
                "loss": mean_loss,
                "quality": quality,
                "seconds": time.perf_counter() - started,
            }
            result.curve.append(row)
            if best is None or quality > result.quality:
                result.epoch, result.quality, best, bad = epoch + 1, quality, model.snapshot(), 0
            else:
                bad += 1
        if ended:
            result.epoch = epoch + 1
            break
        if checkpoint and time.perf_counter() - saved > CHECKPOINT_SECONDS:
            saved = time.perf_counter()
            result.seconds = saved - started
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "best": best,
                "bad": bad,
            }
            save_state(checkpoint, key, state | {"epoch": epoch + 1, "result": asdict(result)})
    if best is not None:
        model.load_state_dict(best)
    else:
        result.epoch = result.epoch or total
    result.seconds = time.perf_counter() - started
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return result


def save_state(path: Path, key: str, state: dict) -> None:
    """Write ``state`` (tensors and plain values) with the ``key`` of what it belongs to, whole or
    not at all.
    """
    with atomic_path(path) as temporary:
        torch.save({"key": key, "state": state}, temporary)


def load_state(path: Path | None, key: str) -> dict | None:
    """What ``save_state`` wrote under the same ``key``; None, with a logged reason, when absent,
    unreadable or foreign.
    """
    if path is None or not path.is_file():
        return None
    try:
        saved = torch.load(path, weights_only=True)
    except (
        Exception
    ) as error:  # a damaged file can raise almost anything; starting afresh is always right
        log.warning("%s cannot be read (%s); starting afresh", path, error)
        return None
    if saved["key"] != key:
        log.warning("%s belongs to another configuration or data set; starting afresh", path)
        return None
    return saved["state"]
