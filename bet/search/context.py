"""One search context: everything a method may see. The test part is not among it."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from bet.actions import Budget
from bet.backbones import BACKBONES, Graph, Recommender, new_recommender, normalized_adjacency
from bet.data import FrequencyOrder, keep_rows
from bet.errors import BetError
from bet.packed import IdLayout
from bet.seeds import numpy_generator, torch_generator
from bet.tables import MaskedTable, Table, TableSpec
from bet.training import (
    BprSampler,
    RankingMetrics,
    TrainResult,
    TrainSettings,
    evaluate,
    load_state,
    save_state,
    train,
)

CACHE_VERSION = 2  # raise when training changes what cached weights would be


@dataclass(frozen=True)
class SearchSettings:
    """Numbers of Algorithm 1."""

    iterations: int = 10  # T
    actions: int = 100  # m, sampled per iteration
    finetune_epochs: int = 10  # h
    finetune_schedule: str = "step"  # or "cosine"; the learning rate is the training's
    finetune_decay: float = 0.98
    predictor_updates: int = 2  # N
    predictor_batch: int = 16  # actions of A per update, or all of A while it is smaller
    top: int = 5  # retrained from scratch
    curve: tuple[
        int, ...
    ] = ()  # further iteration counts whose best action is retrained and reported (Fig. 5)

    def __post_init__(self):
        for name in (
            "iterations",
            "actions",
            "finetune_epochs",
            "predictor_updates",
            "predictor_batch",
            "top",
        ):
            if getattr(self, name) < 1:
                raise BetError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class SearchContext:
    """Fit on ``train``, select on ``validation`` (both (|U|, |V|) CSR), within ``budget``, all
    randomness from ``seed``.
    """

    train: csr_array
    validation: csr_array
    backbone: str
    budget: Budget
    seed: int
    training: TrainSettings
    search: SearchSettings
    cache: Path  # pre-trained backbones, shared by all cells
    work: Path  # this cell's unfinished work
    device: str = "cpu"
    progress: bool = False
    byte_limit: int | None = None  # of a packed file
    ids: IdLayout = ()  # of the id mapping in it
    packing: TableSpec | None = (
        None  # form of the tables that are trained; None: plain float32
    )

    @property
    def sized_table(self) -> Callable[..., Table]:
        """Makes a table of given sizes."""
        if self.packing is None:
            return partial(MaskedTable, n_users=self.n_users)
        return self.packing.table

    @cached_property
    def graph(self) -> Graph:
        return normalized_adjacency(self.train).to(self.device)

    @cached_property
    def sampler(self) -> BprSampler:
        return BprSampler(self.train, self.device)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.sampler.n_interactions / self.training.batch_size)

    @cached_property
    def order(self) -> FrequencyOrder:
        items = np.bincount(self.train.indices, minlength=self.train.shape[1])
        return FrequencyOrder(np.diff(self.train.indptr).astype(np.int64), items)

    @property
    def n_users(self) -> int:
        return self.train.shape[0]

    @cached_property
    def selection(self) -> csr_array:
        """The validation items of a random ``validation_share`` of the users, the same ones for
        every model: (|U|, |V|) CSR.
        """
        share = self.training.validation_share
        if share == 1:
            return self.validation
        users = np.flatnonzero(np.diff(self.validation.indptr))
        chosen = numpy_generator(self.seed, "validation users").permutation(users)[
            : math.ceil(share * len(users))
        ]
        return keep_rows(self.validation, chosen)

    def ranked(self, model: Recommender) -> RankingMetrics:
        """Metrics of every user of ``selection``."""
        return evaluate(model.ranker(), self.selection, [self.train], device=self.device)

    def quality(self, model: Recommender) -> float:
        """Mean of Recall@k and NDCG@k, k in {5, 10, 20}, over the users of ``selection`` (Eq. 13)."""
        return self.ranked(model).means()["quality"]

    @cached_property
    def key(self) -> str:
        """Content hash of what determines the pre-trained backbone: data, backbone, training
        settings, seed.
        """
        digest = hashlib.sha256()
        for matrix in (self.train, self.validation):
            for part in (np.array(matrix.shape), matrix.indptr, matrix.indices):
                digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes())
        plain = (
            CACHE_VERSION,
            self.backbone,
            self.budget.d_max,
            asdict(self.training),
            self.seed,
            self.device,
        )
        digest.update(repr(plain).encode())
        return digest.hexdigest()[:24]

    @property
    def finetuning(self) -> TrainSettings:
        """Fine-tuning differs from training in its schedule and learning-rate decay (BET, 4.3)."""
        return replace(
            self.training, schedule=self.search.finetune_schedule, decay=self.search.finetune_decay
        )

    def description(self, what: str) -> str | None:
        """Label of a progress bar, or None when bars are off."""
        return what if self.progress else None


def allow_empty_rows(context: SearchContext) -> SearchContext:
    """The same context for methods that may remove whole rows."""
    return replace(context, budget=replace(context.budget, d_min=0))


@dataclass
class Trained:
    """A recommender trained to convergence, and how that went."""

    model: Recommender
    result: TrainResult


def initialize_recommender(
    context: SearchContext, kept: np.ndarray, table: Callable[..., Table] | None = None
) -> Recommender:
    """An untrained recommender with a table that keeps ``kept``, what ``Budget.check`` takes; the
    budget is asserted.

    A mask starts from the numbers that the full table of the same seed starts from. ``table`` makes
    a table of another kind.
    """
    context.budget.check(kept)
    generator = torch_generator(context.seed, "init")
    backbone, std = BACKBONES[context.backbone], context.training.init_std
    table = table or (None if kept.dtype == bool else context.sized_table)
    model = new_recommender(
        backbone, context.graph, context.n_users, kept, context.budget.d_max, generator, std, table
    )
    check_bytes(context, model.table)
    return model


def check_bytes(context: SearchContext, table: Table) -> None:
    """Raise BetError if the file of ``table`` exceeds the limit in bytes that the context has for
    packed ones.
    """
    if context.packing and context.byte_limit is not None and table.n_bytes() > context.byte_limit:
        raise BetError(
            f"a table of {table.n_bytes():,} bytes exceeds the limit of {context.byte_limit:,}"
        )


def train_from_scratch(context: SearchContext, kept: np.ndarray, name: str) -> Trained:
    """Train a table that keeps ``kept`` until validation stops improving, or take what
    ``context.work`` has of an earlier run.

    ``name`` labels its files and its bar; a file that is damaged, or of other data, sizes or
    settings, is not used.
    """
    path = context.work / f"{name}.pt"
    plain = kept if kept.dtype == bool else kept.astype(np.int64)
    key = repr(
        (
            context.key,
            asdict(context.budget),
            hashlib.sha256(plain.tobytes()).hexdigest(),
            context.packing,
        )
    )
    saved = load_state(path, key)
    model = initialize_recommender(context, kept)
    if saved is not None:
        model.load_state_dict(saved["model"])
        return Trained(model, TrainResult(**saved["result"]))
    result = train(
        model,
        context.sampler,
        context.training,
        context.seed,
        context.quality,
        checkpoint=context.work / f"{name}.checkpoint.pt",
        progress=context.description(name),
    )
    context.budget.check(model.table.kept)
    save_state(path, key, {"model": model.state_dict(), "result": asdict(result)})
    return Trained(model, result)
