"""BPR training by steps of Adam."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bet.adam import Adam
from bet.backbones import Recommender
from bet.errors import BetError
from bet.seeds import torch_generator
from bet.tables import take_rows
from bet.training.loop import Run, TrainResult, run_to_end
from bet.training.sampling import BprSampler
from bet.training.settings import TrainSettings


def bpr_loss(
    model: Recommender,
    triples: tuple[Tensor, Tensor, Tensor],
    l2: float,
    dropout: torch.Generator | None,
) -> Tensor:
    """Mean softplus(y_uv' - y_uv) plus l2 times the batch mean of the squared norms of the three
    ego rows (Eq. 2), plus the table's penalty. ``triples``: users, positives and negatives,
    (B,) int64 each.

    With K negatives of a positive, (K B,) in the order of ``BprSampler.draw``, the first term is
    -log of the positive's share in a softmax, log(1 + sum exp(y_uv' - y_uv)), and the negatives'
    norms count 1/K each.
    """
    users, positives, negatives = triples
    ego = model.table()  # (n, copies * width)
    representations = model.represent(ego, dropout)  # (n, D)
    b, k = len(users), len(negatives) // len(users)
    if k > 1:
        items = torch.cat([positives, negatives]) + model.n_users
        items = items.view(1 + k, b).T.contiguous()  # (B, 1 + K)
        loss = model.backbone.softmax_loss(representations, users, items)
        squares = squared_norms(ego, users, items)
    else:
        entities = torch.cat([users, positives + model.n_users, negatives + model.n_users])
        picked = take_rows(representations, entities)  # (3 B, D), gathered once
        for_positives, for_negatives = model.backbone.triple_scores(picked, b)  # (B,) each
        loss = F.softplus(for_negatives - for_positives).mean()
        ego_rows = picked if representations is ego else take_rows(ego, entities)  # (3 B, ...)
        squares = ego_rows.square().sum()
    return loss + l2 * squares / b + model.table.penalty()


def squared_norms(ego: Tensor, users: Tensor, items: Tensor) -> Tensor:
    """The sum of the squared norms of the rows ``users`` (B,) and ``items`` (B, 1 + K) of ``ego``;
    the negatives', all but the first, count 1/K each. No row is gathered.
    """
    n, k = len(ego), items.shape[1] - 1
    once = _counts(torch.cat([users, items[:, 0]]), n)
    counts = once + _counts(items[:, 1:].flatten(), n) / k  # (n,)
    return ego.square().sum(1) @ counts.to(ego.dtype)


def _counts(rows: Tensor, n: int) -> Tensor:
    """How often each of ``n`` rows is among ``rows`` (k,) int64: (n,) float32, exact below 2^24."""
    # bincount would wait for a GPU; ones have the same sum in any order.
    ones = torch.ones(len(rows), device=rows.device)
    return torch.zeros(n, device=rows.device).scatter_add_(0, rows, ones)


def train(
    model: Recommender,
    sampler: BprSampler,
    settings: TrainSettings,
    *,
    seed: int,
    validate: Callable[[Recommender], float] | None = None,
    epochs: int | None = None,
    falls: Sequence[int] = (),
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainResult:
    """Train ``model`` in place.

    With ``validate`` (higher is better) it stops after ``patience`` evaluations without improvement
    and the best weights are restored; on a plateau the rate falls then, until it would be below the
    floor. Without it, it runs exactly ``epochs``, and the rate falls after the epochs in ``falls``,
    those of an earlier result. ``checkpoint`` names
    a file that lets a killed run continue to the same result; it is removed at the end, and not
    used where data, sizes, settings or seed differ. A table may end its training earlier. Raises
    BetError when the loss is no longer finite.
    """
    total = settings.max_epochs if epochs is None else epochs
    table = model.table
    of_table = table.allocation.digest, table.description
    key = repr((asdict(settings), seed, total, sampler.digest, *of_table, *falls))
    run = _BprRun(model, sampler, settings, seed=seed, total=total)
    run.falls = tuple(falls)
    return run_to_end(run, key, settings, validate, checkpoint=checkpoint, progress=progress)


class _BprRun(Run):
    """Steps of Adam on triples."""

    def __init__(
        self,
        model: Recommender,
        sampler: BprSampler,
        settings: TrainSettings,
        *,
        seed: int,
        total: int,
    ):
        super().__init__(model, total)
        self.sampler, self.settings, self.seed = sampler, settings, seed
        self.steps_per_epoch = math.ceil(sampler.n_interactions / settings.batch_size)
        self.l2 = model.backbone.l2 if settings.l2 is None else settings.l2
        # A fresh dense layer takes far smaller steps than a sparse row that few batches touch.
        weights = [
            *model.table.groups(),
            (list(model.backbone.parameters()), settings.backbone_rate),
        ]
        groups = [{"params": part, "rate": rate} for part, rate in weights if part]
        self.optimizer = Adam(groups, lr=settings.learning_rate, fused=True)
        self.mean_loss = math.nan

    def train_epoch(self, epoch: int) -> None:
        """Epoch ``epoch`` (from 0), up to where the table ends the training."""
        device = self.model.device
        # Another random stream for every epoch: a resumed run draws the same triples.
        generator = torch_generator(self.seed, "epoch", epoch, device=device)
        losses = torch.zeros((), device=device)
        first, steps = epoch * self.steps_per_epoch, self.total * self.steps_per_epoch
        fallen = sum(after <= epoch for after in self.falls)
        for step in range(first, first + self.steps_per_epoch):
            self.ended = self.model.table.before_step(step, steps)
            if self.ended:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate"] * self.settings.rate(step, steps, fallen)
            triples = self.sampler.draw(
                self.settings.batch_size, generator, self.settings.negatives
            )
            loss = bpr_loss(self.model, triples, self.l2, generator)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses += loss.detach()
        self.epoch = epoch + 1
        self.mean_loss = float(losses) / self.steps_per_epoch
        if not math.isfinite(self.mean_loss):
            raise BetError(
                f"training diverged: loss {self.mean_loss} in epoch {epoch + 1}, before step "
                f"{first + self.steps_per_epoch}, learning rate "
                f"{self.optimizer.param_groups[0]['lr']:g}; lower learning_rate"
            )

    def loss(self) -> float:
        return self.mean_loss

    def lower_rate(self) -> bool:
        settings, falls = self.settings, (*self.falls, self.epoch)
        if settings.schedule != "plateau" or settings.rate(0, 1, len(falls)) < settings.floor:
            return False
        self.falls, self.unimproved = falls, 0
        return True

    def state_dict(self) -> dict:
        return super().state_dict() | {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.optimizer.load_state_dict(state["optimizer"])
