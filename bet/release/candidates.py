"""What may be written to the file: families of models, each trained by a method of ``bet.methods``
within the bytes that a file leaves it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bet.backbones import NO_BACKBONE
from bet.errors import BetError
from bet.methods.blend import BITS as BLENDED_BITS
from bet.methods.blend import blend
from bet.methods.fixed import uniform_action
from bet.methods.graph_filter import graph_filter
from bet.methods.popularity import popularity
from bet.methods.quantized import quantized_context, smallest_file, uniform_packed
from bet.methods.vectors import rounded_vectors, vector_context
from bet.packed import RecommenderLayout, most_table_bytes, vectors_layout
from bet.packed.safetensors_io import Shapes
from bet.release.clock import TimedContext
from bet.release.neighbors import NEIGHBORS, item_knn_of, neighbor_shapes
from bet.release.task import Task
from bet.search import MethodResult, SearchContext
from bet.serving.layouts import BLENDED_FACTS, LONG_FACT
from bet.tables import PackedSpec, VectorSpec
from bet.training import AlsSettings, FitSettings, TrainSettings

ALS_FACTS = ("unobserved_weight", "l2", "exponent")  # a new user's vector follows from them
BPR_FACTS = ("layers", "learning_rate", "l2")


@dataclass(frozen=True)
class Family:
    """Models of one kind. ``method`` takes a context and, where there is a choice, ``bits``.

    ``stored_as``: the backbone in the file; ``facts``: numbers that stand there. ``reads_graph``:
    scores need the interactions. ``columns`` at most. ``neighbors``: of every item.
    """

    name: str
    words: str
    method: Callable[..., MethodResult]
    stored_as: str
    facts: tuple[str, ...] = ()
    backbone: str = NO_BACKBONE
    bits: tuple[int, ...] = ()
    reads_graph: bool = False
    columns: int = 1
    neighbors: int = 0

    @property
    def has_table(self) -> bool:
        return self.backbone != NO_BACKBONE


POPULARITY = Family("popularity", "popularity", popularity, "popularity")
FILTER = Family(
    "filter",
    "graph filter",
    graph_filter,
    "graph-filter",
    facts=("user_exponent", "item_exponent"),
    reads_graph=True,
)
KNN = tuple(
    Family(
        "knn",
        f"{k} nearest items",
        partial(item_knn_of, neighbors=k),
        "item-knn",
        facts=("user_exponent", "item_exponent", "shrinkage", "neighbors"),
        reads_graph=True,
        neighbors=k,
    )
    for k in NEIGHBORS
)
ALS = Family(
    "ials",
    "iALS vectors",
    uniform_packed,
    "ials",
    facts=ALS_FACTS,
    backbone="ials",
    bits=(2, 4, 1, 8),
    columns=256,
)
VECTORS = Family(
    "lightgcn",
    "LightGCN vectors",
    rounded_vectors,
    "lightgcn",
    facts=BPR_FACTS,
    backbone="lightgcn",
    bits=(4, 2, 8, 1),
    columns=128,
)
ROWS = Family(
    "rows",
    "LightGCN rows and graph",
    uniform_packed,
    "lightgcn",
    facts=BPR_FACTS,
    backbone="lightgcn",
    bits=(2, 4, 1),
    reads_graph=True,
    columns=128,
)
BLEND = Family(
    "blend",
    "blend of graph filter and iALS vectors",
    blend,
    "blend",
    facts=(*BLENDED_FACTS, *ALS_FACTS),
    backbone="ials",
    reads_graph=True,
    columns=256,
)
FAMILIES = (POPULARITY, FILTER, *KNN, ALS, VECTORS, ROWS, BLEND)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that may be trained, how, and the bytes that serve it: ``n_bytes`` at most, known
    before.

    ``history``: its file says what everybody has seen.
    """

    family: Family
    bits: int | None
    history: bool
    context: TimedContext
    n_bytes: int

    @property
    def name(self) -> str:
        """ "iALS vectors at 2 bits"."""
        bits = f" at {bits_in_words(self.bits)}" if self.bits else ""
        return f"{self.family.words}{bits}{'' if self.history else ', without histories'}"

    @property
    def settings(self) -> FitSettings:
        return self.context.settings.training

    @property
    def columns(self) -> int:
        """At most; fewer where no more fit."""
        return self.context.budget.d_max

    @property
    def key(self) -> str:
        """Differs between candidates, 16 hex digits."""
        context = self.context
        what = (self.name, asdict(self.settings), asdict(context.budget), context.byte_limit)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Of its unfinished work."""
        workspace = self.context.workspace
        if self.family is FILTER:  # where blends look for it
            return workspace.cache / "filters" / self.context.key
        return workspace.folder / self.key

    def train(self, ends: float) -> MethodResult:
        """Raises OutOfTime where validation is looked at after ``ends``."""
        self.context.deadline.ends = ends
        context = self.context.in_folder(self.folder)
        options = {"bits": self.bits} if self.bits else {}
        return self.family.method(context, **options)


def bits_in_words(bits: int) -> str:
    """ "1 bit", "4 bits"."""
    return f"{bits} bit{'s' * (bits > 1)}"


def candidate(
    task: Task,
    family: Family,
    bits: int | None = None,
    *,
    settings: FitSettings | None = None,
    columns: int | None = None,
    history: bool = True,
) -> Candidate | None:
    """The candidate whose file has at most ``task.limit`` bytes; None where there is none.

    ``history``: whether the file holds what people have seen, as far as there is a choice.
    """
    history = family.reads_graph or history
    if history and not task.history:
        return None
    layout = _layout(task, family, history)
    room = most_table_bytes(layout, task.limit) if family.has_table else None
    context = task.context(
        family.backbone,
        settings or task.first_settings(family.backbone),
        columns or task.fixed.columns or family.columns,
        room,
    )
    if family.has_table:
        try:
            layout = replace(layout, table_bytes=_table_bytes(family, context, bits))
        except BetError:  # too few bytes, or columns
            return None
    if layout.file_bytes > task.limit:
        return None
    return Candidate(family, bits, history, context, layout.file_bytes)


def changed(
    task: Task,
    base: Candidate,
    *,
    bits: int | None = None,
    settings: FitSettings | None = None,
    columns: int | None = None,
) -> Candidate | None:
    """``base`` with some of it changed, within ``task.limit``; None where it does not fit."""
    return candidate(
        task,
        base.family,
        bits or base.bits,
        settings=settings or base.settings,
        columns=columns or base.columns,
        history=base.history,
    )


def smallest_bytes(task: Task, family: Family) -> int:
    """Bytes of the smallest file of ``family``, with histories only where scores need them."""
    layout = _layout(task, family, family.reads_graph)
    if not family.has_table:
        return layout.file_bytes
    settings = task.first_settings(family.backbone)
    context = task.context(family.backbone, settings, family.columns, task.limit)
    bits = family.bits or BLENDED_BITS
    if family is VECTORS:
        of_column = partial(vectors_layout, task.data.n, 1, n_users=task.data.n_users)
        table = min(of_column(bits=each).byte_report().total for each in bits)
    else:
        table = min(smallest_file(context, each, uniform=True) for each in bits)
    return replace(layout, table_bytes=table).file_bytes


def _layout(task: Task, family: Family, history: bool) -> RecommenderLayout:
    """Of the file, without its table; facts with as many digits as they may have."""
    coded, n_items = task.coded.layout, task.coded.n_items
    weights: Shapes = neighbor_shapes(n_items, family.neighbors) if family.neighbors else {}
    return RecommenderLayout(
        backbone=family.stored_as,
        facts=dict.fromkeys(family.facts, LONG_FACT),
        n_users=task.coded.n_users,
        n_items=n_items,
        interactions=coded if family.reads_graph else None,
        seen=coded if history and not family.reads_graph else None,
        weights=weights,
        ids=task.ids,
    )


def _table_bytes(family: Family, context: SearchContext, bits: int | None) -> int:
    """Bytes of the table that the family's method trains; raises BetError where none fits."""
    if bits is None:  # a blend: the longest of those that it tries
        sizes = []
        for each in BLENDED_BITS:
            try:
                sizes.append(_uniform_bytes(context, each))
            except BetError as error:
                refused = error
        if not sizes:
            raise refused
        return max(sizes)
    if family is not VECTORS:
        return _uniform_bytes(context, bits)
    spec = vector_context(context, bits).table_spec
    assert isinstance(spec, VectorSpec)
    return spec.file_bytes


def _uniform_bytes(context: SearchContext, bits: int) -> int:
    fitting = quantized_context(context, bits, uniform=True)
    sizes = uniform_action(fitting).allocation.sizes
    assert isinstance(fitting.table_spec, PackedSpec) and sizes is not None
    layout = fitting.table_spec.layout(sizes, np.full(len(sizes), bits), context.budget.copies)
    return layout.byte_report().total


def training_facts(settings: FitSettings) -> Mapping[str, float]:
    """What the file keeps of a training, for new users and for a later refit."""
    if isinstance(settings, AlsSettings):
        return {name: getattr(settings, name) for name in ALS_FACTS}
    if isinstance(settings, TrainSettings):
        assert settings.l2 is not None
        return {"learning_rate": settings.learning_rate, "l2": settings.l2}
    return {}
