"""Everything a method may see: training data, settings, workspace and budget, but no test part."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from bet.actions import Allocation, Budget
from bet.backbones import Graph, Recommender, normalized_adjacency
from bet.data import FrequencyOrder, keep_rows, matrix_digest
from bet.errors import BetError
from bet.packed import IdLayout
from bet.seeds import numpy_generator
from bet.tables import MaskedTable, Table, TableSpec
from bet.training import (
    BprSampler,
    FitSettings,
    RankingMetrics,
    ReferenceSettings,
    TrainSettings,
    evaluate,
)

CACHE_VERSION = 3  # raise when training changes what cached weights would be


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
    # Further iteration counts whose best action is retrained and reported (Fig. 5).
    curve: tuple[int, ...] = ()

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


@dataclass(frozen=True, eq=False)
class TrainingData:
    """``train``, which is learned from, and ``validation``, which is selected on; both (|U|, |V|)
    binary CSR.

    What follows from them is computed once, however many contexts share the data.

    >>> train = csr_array(np.array([[1, 1, 0], [0, 1, 0]], dtype=np.uint8))
    >>> data = TrainingData(train, validation=csr_array((2, 3), dtype=np.uint8))
    >>> data.n, data.order.users.tolist(), data.order.items.tolist()  # the most frequent first
    (5, [0, 1], [1, 0, 2])
    >>> data.graph("cpu") is data.graph("cpu")
    True
    """

    train: csr_array
    validation: csr_array

    @property
    def n_users(self) -> int:
        """|U|; the entities 0 to |U| - 1."""
        return self.train.shape[0]

    @property
    def n(self) -> int:
        """Entities: users and items."""
        return sum(self.train.shape)

    @cached_property
    def order(self) -> FrequencyOrder:
        """Training frequencies, and the ranks that follow from them."""
        return FrequencyOrder.of(self.train)

    @cached_property
    def digest(self) -> str:
        """sha256 of both matrices."""
        parts = matrix_digest(self.train), matrix_digest(self.validation)
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @cached_property
    def graph(self) -> Callable[[str], Graph]:
        """``graph(device)`` is the normalized adjacency of ``train`` there."""
        return cache(normalized_adjacency(self.train).to)

    @cached_property
    def sampler(self) -> Callable[[str], BprSampler]:
        """``sampler(device)`` draws triples of ``train`` there."""
        return cache(partial(BprSampler, self.train))


@dataclass(frozen=True)
class RunSettings:
    """How to train and to search; all randomness comes from ``seed``."""

    backbone: str
    training: FitSettings
    search: SearchSettings
    seed: int = 0

    @property
    def init_std(self) -> float | None:
        """Of the rows at first; None: the backbone's default."""
        return None if isinstance(self.training, ReferenceSettings) else self.training.init_std

    @property
    def by_gradient(self) -> TrainSettings:
        """``training`` where it takes gradient steps; raises BetError for other trainings."""
        if not isinstance(self.training, TrainSettings):
            raise BetError(
                f"backbone {self.backbone!r} is not trained by gradients; take another backbone, "
                "or a method that needs none"
            )
        return self.training

    @property
    def finetuning(self) -> TrainSettings:
        """Fine-tuning differs from training in its schedule and learning-rate decay (BET, 4.3).

        >>> RunSettings("lightgcn", TrainSettings(), SearchSettings()).finetuning.decay
        0.98
        """
        search = self.search
        return replace(
            self.by_gradient, schedule=search.finetune_schedule, decay=search.finetune_decay
        )


@dataclass(frozen=True)
class Workspace:
    """Where work is done: ``cache`` holds pre-trained backbones, shared by all runs, ``folder``
    this run's unfinished work; ``progress`` shows bars.
    """

    cache: Path
    folder: Path
    device: str = "cpu"
    progress: bool = False

    def label(self, what: str) -> str | None:
        """The label of a progress bar; None when bars are off.

        >>> quiet = Workspace(Path("cache"), Path("work"))
        >>> quiet.label("train"), replace(quiet, progress=True).label("train")
        (None, 'train')
        """
        return what if self.progress else None


@dataclass(frozen=True, eq=False)
class SearchContext:
    """What a method is called with.

    ``budget``: of columns. ``byte_limit``: of the file, for methods that meet a number of bytes.
    ``table_spec``: what sort of table is trained, None for float32 rows. ``id_layout``: of the id
    mapping in the file, if it has any.

    Without its budget a context has room for two users and three items of four columns:

    >>> train = csr_array(np.array([[1, 1, 0], [0, 1, 0]], dtype=np.uint8))
    >>> context = SearchContext(
    ...     TrainingData(train, validation=csr_array((2, 3), dtype=np.uint8)),
    ...     RunSettings("lightgcn", TrainSettings(), SearchSettings()),
    ...     Workspace(Path("cache"), Path("work")),
    ...     budget=Budget(total=10, n=5, d_max=4),
    ... )
    >>> context.budget.total, context.without_budget().budget.total
    (10, 20)
    """

    data: TrainingData
    settings: RunSettings
    workspace: Workspace
    budget: Budget
    byte_limit: int | None = None
    table_spec: TableSpec | None = None
    id_layout: IdLayout = ()

    @property
    def make_table(self) -> Callable[..., Table]:
        """Makes a table of an allocation by sizes."""
        if self.table_spec is None:
            return partial(MaskedTable, n_users=self.data.n_users)
        return self.table_spec.table

    @property
    def graph(self) -> Graph:
        """The normalized adjacency of the training data, on the workspace's device."""
        return self.data.graph(self.workspace.device)

    @property
    def sampler(self) -> BprSampler:
        """Draws triples of the training data, on the workspace's device."""
        return self.data.sampler(self.workspace.device)

    @property
    def steps_per_epoch(self) -> int:
        """Batches for as many triples as there are interactions."""
        return math.ceil(self.sampler.n_interactions / self.settings.by_gradient.batch_size)

    @cached_property
    def selection(self) -> csr_array:
        """The validation items of a random ``validation_share`` of the users, the same ones for
        every model: (|U|, |V|) CSR.
        """
        share, validation = self.settings.training.validation_share, self.data.validation
        if share == 1:
            return validation
        users = np.flatnonzero(np.diff(validation.indptr))  # with validation items
        shuffled = numpy_generator(self.settings.seed, "validation users").permutation(users)
        return keep_rows(validation, shuffled[: math.ceil(share * len(users))])

    def search_rng(self, name: str, *more: str | int) -> np.random.Generator:
        """A fresh generator for the search's stream ``name``: the same for every method, another
        one for other data, backbones and budgets.
        """
        limits = repr((asdict(self.budget), self.byte_limit))
        named = (name, self.data.digest, self.settings.backbone, limits, *more)
        return numpy_generator(self.settings.seed, *named)

    def rank(self, model: Recommender) -> RankingMetrics:
        """Metrics of every user of ``selection``."""
        device = self.workspace.device
        return evaluate(model.ranker(), self.selection, [self.data.train], device=device)

    def quality(self, model: Recommender) -> float:
        """Mean of Recall@k and NDCG@k, k in {5, 10, 20}, over users of ``selection`` (Eq. 13)."""
        return self.rank(model).means()["quality"]

    @cached_property
    def key(self) -> str:
        """Hash of what determines the pre-trained backbone: data, backbone, training settings,
        seed.
        """
        settings = self.settings
        content = (
            CACHE_VERSION,
            self.data.digest,
            settings.backbone,
            self.budget.d_max,
            asdict(settings.training),
            settings.seed,
            self.workspace.device,
        )
        return hashlib.sha256(repr(content).encode()).hexdigest()[:24]

    @property
    def full_allocation(self) -> Allocation:
        """d_max columns for everybody."""
        return Allocation.uniform(self.budget.n, self.budget.d_max)

    def without_budget(self) -> "SearchContext":
        """The same context with room for the full table, in full precision."""
        b = self.budget
        # A quantized budget has d_min = step; in full precision every row has a column again.
        full = Budget(b.n * b.d_max, b.n, b.d_max, b.d_min // b.step, b.copies)
        return replace(self, budget=full, table_spec=None)

    def with_empty_rows(self) -> "SearchContext":
        """The same context for methods that may remove whole rows."""
        return replace(self, budget=replace(self.budget, d_min=0))

    def in_folder(self, folder: Path) -> "SearchContext":
        """The same context with its unfinished work in another folder."""
        return replace(self, workspace=replace(self.workspace, folder=folder))
