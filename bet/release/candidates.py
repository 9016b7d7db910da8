"""What may be written to the file: a model of a family, with its settings, in the bytes that the
rest of the file leaves it.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.methods.blend import BITS as BLENDED_BITS
from bet.methods.fixed import uniform_action
from bet.methods.quantized import quantized_context, smallest_file
from bet.methods.vectors import vector_context
from bet.packed import RecommenderLayout, most_table_bytes, vectors_layout
from bet.packed.safetensors_io import Shapes
from bet.release.clock import TimedContext
from bet.release.families import FILTER, ROWS, VECTORS, Family, training_facts
from bet.release.neighbors import neighbor_shapes
from bet.release.task import Task
from bet.search import MethodResult, SearchContext
from bet.serving.layouts import LONG_FACT
from bet.tables import PackedSpec, VectorSpec
from bet.training import FitSettings


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that may be trained, how, and the ``layout`` of its file, no shorter than it will
    be: a blend tries several tables, of which this is the longest.

    ``history``: its file says what everybody has seen.
    """

    family: Family
    bits: int | None
    history: bool
    context: TimedContext
    layout: RecommenderLayout

    @property
    def n_bytes(self) -> int:
        """To serve, at most; known before it is trained."""
        return self.layout.file_bytes

    def trained_bytes(self, table_bytes: int) -> int:
        """To serve with the table that came out, at most: in the header a number may have fewer
        digits.
        """
        if not self.family.has_table:
            return self.n_bytes
        return replace(self.layout, table_bytes=table_bytes).file_bytes

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
    """The candidate whose file has at most ``task.limit`` bytes; None where there is none, and
    where it could not be fitted to all interactions.

    ``history``: whether the file holds what people have seen, as far as there is a choice.
    """
    history = family.reads_graph or history
    if history and not task.history:
        return None
    if family in (VECTORS, ROWS) and not task.has_non_items:
        return None
    settings = settings or task.first_settings(family.backbone)
    layout = _layout(task, family, settings, history)
    room = most_table_bytes(layout, task.limit) if family.has_table else None
    context = task.context(
        family.backbone,
        settings,
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
    return Candidate(family, bits, history, context, layout)


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
    settings = task.first_settings(family.backbone)
    layout = _layout(task, family, settings, family.reads_graph)
    if not family.has_table:
        return layout.file_bytes
    context = task.context(family.backbone, settings, family.columns, task.limit)
    bits = family.bits or BLENDED_BITS
    if family is VECTORS:
        of_column = partial(vectors_layout, task.data.n, 1, n_users=task.data.n_users)
        table = min(of_column(bits=each).byte_report().total for each in bits)
    else:
        table = min(smallest_file(context, each, uniform=True) for each in bits)
    return replace(layout, table_bytes=table).file_bytes


def _layout(
    task: Task, family: Family, settings: FitSettings, history: bool
) -> RecommenderLayout:
    """Of the file, without its table; facts that are not known yet with as many digits as they may
    have.
    """
    coded, n_items = task.coded.layout, task.coded.n_items
    weights: Shapes = neighbor_shapes(n_items, family.neighbors) if family.neighbors else {}
    return RecommenderLayout(
        backbone=family.stored_as,
        facts=dict.fromkeys(family.facts, LONG_FACT) | training_facts(settings),
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
