"""Profiles: which cells a study has and with which numbers they run, read from a TOML file."""

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bet.errors import BetError
from bet.methods import METHODS
from bet.paths import study_files
from bet.search import SearchSettings
from bet.stream import STREAM_METHODS, StreamSettings
from bet.study.cell import Cell
from bet.study.settings import (
    OTHERS,
    by_backbone,
    known_backbones,
    stream_settings,
    training_settings,
)
from bet.text import quoted
from bet.training import FitSettings, TrainSettings, numbers_of

SCHEMA = 2  # version of the record
MERGED = 2  # of protocol merged: raised when it changes the results of every method
Count = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True)
class Profile:
    """``cells`` in the order they start; ``training`` and ``search`` by backbone; ``d_max`` columns
    of the full table, ``d_max_of`` those of single backbones. ``stream``: how streams are cut.

    ``notebooks``: methods whose cells the grid runs as executed notebooks; a direct call is some
    seconds cheaper. ``in_order``: whether cells start in the listed order, the most important
    first, or the longest first. ``cells_per_job``: how many share an interpreter.
    """

    cells: tuple[Cell, ...]
    training: Mapping[str, FitSettings]
    search: Mapping[str, SearchSettings]
    d_max: int
    d_max_of: Mapping[str, int] = field(default_factory=dict)
    stream: Mapping[str, StreamSettings] = field(default_factory=dict)
    notebooks: tuple[str, ...] = ()
    in_order: bool = False
    cells_per_job: int = 1

    def priority(self, cell: Cell) -> int:
        """Of the cells that could start, the grid takes one of the highest priority."""
        if self.in_order:
            return len(self.cells) - self.cells.index(cell)
        # The searches start from models that cells without a budget may share, and the longest
        # cells, BET's searches, should not come last.
        return 2 if cell.method == "full" else int(cell.method.startswith("bet"))

    def jobs(self) -> list[tuple[Cell, ...]]:
        """The cells in the groups that the grid starts, each in one interpreter or, if it is a
        notebook, alone.
        """
        jobs: list[tuple[Cell, ...]] = []
        group: list[Cell] = []
        for cell in self.cells:
            if cell.method in self.notebooks:
                jobs.append((cell,))
                continue
            group.append(cell)
            if len(group) == self.cells_per_job:
                jobs.append(tuple(group))
                group = []
        return [*jobs, tuple(group)] if group else jobs

    def search_settings(self, cell: Cell) -> SearchSettings:
        """The profile's numbers with what the cell overrides; a longer search also reports every
        fifth iteration.
        """
        search = self.search[cell.backbone]
        search = replace(search, actions=cell.actions or search.actions)
        if cell.iterations:
            search = replace(
                search, iterations=cell.iterations, curve=tuple(range(5, cell.iterations, 5))
            )
        return search

    def stream_settings(self, cell: Cell) -> StreamSettings:
        """How the stream of ``cell`` is cut."""
        return self.stream.get(cell.dataset, self.stream[OTHERS])

    def columns(self, backbone: str) -> int:
        """Of the full table of ``backbone``."""
        return self.d_max_of.get(backbone, self.d_max)

    @property
    def is_stream(self) -> bool:
        """Whether the cells run on streams."""
        return any(cell.is_stream for cell in self.cells)

    def sharing(self, cell: Cell) -> list[Cell]:
        """The profile's other cells that select the same sizes as ``cell`` and differ in the
        protocol only.
        """
        return [
            other
            for other in self.cells
            if other != cell and other.selection_id == cell.selection_id
        ]

    def settings(self, cell: Cell) -> dict:
        """Every number the cell runs with, by name."""
        training = self.training[cell.backbone]
        numbers = {
            "training": numbers_of(training),
            "search": asdict(self.search_settings(cell)),
            "d_max": self.columns(cell.backbone),
        }
        if isinstance(training, TrainSettings) and training.start == "ials":
            numbers["als"] = numbers_of(self.training["ials"])
        if cell.is_stream:
            numbers["stream"] = asdict(self.stream_settings(cell))
        return numbers

    def key(self, cell: Cell) -> str:
        """Changes whenever the cell, its numbers or the form of its record do: 16 hex digits."""
        # From the text that committed keys were made of, in which absent options had a spelling.
        fields_text = ", ".join(
            f"{name}={value!r}" for name, value in cell.in_old_spelling().items()
        )
        if cell.is_stream:
            version = STREAM_METHODS[cell.method].version
        else:
            version = METHODS[cell.method].version_on(cell.backbone)
        merged = cell.protocol == "merged"
        later = f", version={version}" if version > 1 else ""
        later += ", trains_all=True" if self._skips_rungs(cell) else ""
        later += f", merged={MERGED}" if merged else ""
        text = f"({SCHEMA}, Cell({fields_text}), {self.settings(cell)!r}{later})"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _skips_rungs(self, cell: Cell) -> bool:
        """Whether a search in rungs trains every action, which only least squares always did."""
        training = self.training[cell.backbone]
        searched = not cell.is_stream and METHODS[cell.method].in_rungs
        by_gradient = isinstance(training, TrainSettings)
        return searched and by_gradient and self.search_settings(cell).trains_all(training)


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[grids]]`` block: every method at every budget. Without budgets, methods run without
    one; "full" always does. References have the one backbone "none".
    """

    dataset: str
    backbones: tuple[str, ...]
    methods: tuple[str, ...]
    budgets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    init_seeds: tuple[int, ...] = ()
    search_seeds: tuple[int, ...] = ()
    protocols: tuple[str, ...] = ("clean",)
    iterations: Count | None = None
    actions: tuple[Count, ...] = ()

    def cells(self, profile: str) -> Iterator[Cell]:
        """By seed of split, start and search, then backbone, budget, method, actions and
        protocol.
        """
        budgets = self.budgets or (None,)
        pairs: list[tuple[str | None, str]] = [(None, "full")] if "full" in self.methods else []
        pairs += [pair for pair in product(budgets, self.methods) if pair[1] != "full"]
        seeds = product(self.seeds, self.init_seeds or (None,), self.search_seeds or (None,))
        combinations = product(
            seeds, self.backbones, pairs, self.actions or (None,), self.protocols
        )
        for (seed, init, search), backbone, (budget, method), actions, protocol in combinations:
            yield Cell(
                dataset=self.dataset,
                backbone=backbone,
                budget=budget,
                method=method,
                seed=seed,
                protocol=protocol,
                profile=profile,
                iterations=self.iterations,
                actions=actions,
                init_seed=init,
                search_seed=search,
            )


class StudyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a study configuration holds; settings at the top of ``[training]`` and ``[search]`` are
    for all backbones, those in a table of a backbone's name for that one; ``[stream]`` likewise by
    stream. Least squares have
    settings of other names: only those in the backbone's own table count.
    """

    d_max: Count
    training: dict[str, Any]
    search: dict[str, Any]
    grids: tuple[Grid, ...]
    notebooks: bool | tuple[str, ...] = True
    in_order: bool = False
    cells_per_job: Count = 1
    d_max_of: dict[str, Count] = {}
    stream: dict[str, Any] = {}


def load_profile(path: Path) -> Profile:
    """The profile in a TOML file; its name is the file's. Raises BetError, naming file and field,
    on anything that a study cannot run with.
    """
    try:
        study = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), StudyFile)
        profile = Profile(
            cells=tuple(chain.from_iterable(grid.cells(path.stem) for grid in study.grids)),
            training=training_settings(study.training),
            search=by_backbone("search", study.search, SearchSettings),
            d_max=study.d_max,
            d_max_of=known_backbones("d_max_of", study.d_max_of),
            stream=stream_settings(study.stream),
            notebooks=_notebook_methods(study.notebooks),
            in_order=study.in_order,
            cells_per_job=study.cells_per_job,
        )
        ids = [cell.id for cell in profile.cells]
        twice = sorted({cell for cell in ids if ids.count(cell) > 1})
        if len({cell.is_stream for cell in profile.cells}) > 1:
            raise BetError("grids: streaming methods and others cannot be in one study; make two")
        if twice:
            raise BetError(f"grids: {twice[0]} is listed twice")
    except (OSError, ValueError) as error:  # of tomllib and msgspec too; BetError is a ValueError
        raise BetError(
            f"study configuration {path}: {error}; correct the file (workflow/studies/default.toml "
            "shows one)"
        ) from error
    return profile


def _notebook_methods(given: bool | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(given, bool):
        return (*METHODS, *STREAM_METHODS) if given else ()
    for name in given:
        if name not in METHODS | STREAM_METHODS:
            known = ", ".join((*METHODS, *STREAM_METHODS))
            raise BetError(f"notebooks: no method {name!r}; known are {known}")
    return given


PROFILES: dict[str, Profile] = {path.stem: load_profile(path) for path in study_files()}


def use_profile(given: str) -> str:
    """The name of a profile, known or in a TOML file of your own, which this process and those that
    it starts then know by its name.
    """
    if given in PROFILES:
        return given
    path = Path(given).expanduser().resolve()
    if path.suffix != ".toml" or not path.is_file():
        raise BetError(
            f"no study {quoted(given)}: known are {', '.join(PROFILES)}; or give a file "
            "(study.toml)"
        )
    if os.environ.get("BET_STUDY") == str(path):
        return path.stem
    if path.stem in PROFILES:
        raise BetError(f"{given}: there is a study {path.stem!r} already; rename the file")
    PROFILES[path.stem] = load_profile(path)
    os.environ["BET_STUDY"] = str(path)
    return path.stem
