"""Everything a method may see: training data, settings, workspace and budget, but no test part."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.actions import Allocation, Budget
from bet.backbones import Graph, Recommender, normalized_adjacency
from bet.data import FrequencyOrder, keep_rows, matrix_digest
from bet.search.settings import RunSettings
from bet.seeds import derive, numpy_generator, torch_generator
from bet.tables import MaskedTable, Table, TableSpec
from bet.training import BprSampler, RankingMetrics, evaluate, numbers_of

CACHE_VERSION = 3  # raise when training changes what cached weights would be


@dataclass(frozen=True, eq=False)
class TrainingData:
    """``train``, which is learned from, and ``validation``, which is selected on; both (|U|, |V|)
    binary CSR. ``known``: all that is not ranked again on validation, where that is more than
    ``train``.

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
    known: csr_array | None = None

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
        """sha256 of the matrices."""
        matrices = (self.train, self.validation, self.known)
        parts = [matrix_digest(matrix) for matrix in matrices if matrix is not None]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def masked(self) -> csr_array:
        """What is not ranked on validation."""
        return self.train if self.known is None else self.known

    @cached_property
    def graph(self) -> Callable[[str], Graph]:
        """``graph(device)`` is the normalized adjacency of ``train`` there."""
        return cache(normalized_adjacency(self.train).to)

    @cached_property
    def sampler(self) -> Callable[[str], BprSampler]:
        """``sampler(device)`` draws triples of ``train`` there."""
        return cache(partial(BprSampler, self.train))


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
    ``table_spec``: what sort of table is trained, None for float32 rows. ``before``: in a refit to
    more interactions, the context in which all was chosen; trainings repeat its epochs, and nothing
    is ranked on validation. ``start_rows`` (n, d_max): what tables start from, cut to what they
    keep; None: what the settings say.

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
    before: "SearchContext | None" = None
    start_rows: torch.Tensor | None = None

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

    def init_generator(self) -> torch.Generator:
        """Of the first weights: the same numbers for every method and budget."""
        return torch_generator(self.settings.seed_of_init, "init")

    def stream(self, name: str, *more: str | int) -> int:
        """The seed of the search's stream ``name``. Methods share it, so that they are compared on
        the same draws; other data, backbones and budgets have others, so that their results are
        independent.

        >>> wider = replace(context, budget=replace(context.budget, total=12))
        >>> context.stream("actions", 1) == context.stream("actions", 1)
        True
        >>> context.stream("actions", 1) == wider.stream("actions", 1)
        False
        """
        settings, limits = self.settings, repr((asdict(self.budget), self.byte_limit))
        named = (name, self.data.digest, settings.backbone, limits, *more)
        return derive(settings.seed_of_search, *named)

    def search_rng(self, name: str, *more: str | int) -> np.random.Generator:
        """A fresh numpy generator for the stream that ``stream`` says."""
        return np.random.default_rng(self.stream(name, *more))

    def search_generator(
        self, name: str, *more: str | int, device: str | torch.device = "cpu"
    ) -> torch.Generator:
        """A fresh torch generator on ``device`` for the stream that ``stream`` says."""
        return torch_generator(self.stream(name, *more), device=device)

    def rank(self, model: Recommender) -> RankingMetrics:
        """Metrics of every user of ``selection``."""
        assert self.before is None, "validation is among the interactions that are fitted"
        device = self.workspace.device
        return evaluate(model.ranker(), self.selection, [self.data.masked], device=device)

    def quality(self, model: Recommender) -> float:
        """Mean of Recall@k and NDCG@k, k in {5, 10, 20}, over users of ``selection`` (Eq. 13)."""
        return self.rank(model).means()["quality"]

    @cached_property
    def key(self) -> str:
        """Hash of what determines the pre-trained backbone: data, backbone, training settings,
        seeds of the split and of the first weights.
        """
        settings = self.settings
        content: tuple = (
            CACHE_VERSION,
            self.data.digest,
            settings.backbone,
            self.budget.d_max,
            numbers_of(settings.training),
            settings.seed,
            self.workspace.device,
            *(() if settings.start is None else (asdict(settings.start),)),
        )
        if settings.seed_of_init != settings.seed:
            content += (settings.seed_of_init,)
        if self.before is not None:
            content += (self.before.key,)
        if self.start_rows is not None:
            content += (hashlib.sha256(self.start_rows.numpy().tobytes()).hexdigest(),)
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

    def fitted_to(self, interactions: csr_array) -> "SearchContext":
        """The context of a refit to ``interactions`` (|U|, |V|): their frequencies order the rows.
        Its unfinished work has a folder of its own.
        """
        data, spec = TrainingData(interactions, self.data.validation), self.table_spec
        if spec is not None:
            spec = spec.in_order(data.order.entities)
        fitted = replace(self.with_empty_rows(), data=data, table_spec=spec, before=self)
        return fitted.in_folder(self.workspace.folder / "refit")

    def in_folder(self, folder: Path) -> "SearchContext":
        """The same context with its unfinished work in another folder."""
        return replace(self, workspace=replace(self.workspace, folder=folder))
