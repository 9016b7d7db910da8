"""One cell of the study: what is run, by name."""

import hashlib
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bet.actions import bounds_serving
from bet.backbones import BACKBONES, NO_BACKBONE
from bet.data import DATASETS
from bet.errors import BetError
from bet.methods import METHODS, REFERENCES, UNBUDGETED
from bet.stream import STREAM_METHODS, STREAMS

# How committed keys and the frames of the reports spell options that are absent.
ABSENT: dict[str, str | int] = {"budget": "none", "iterations": 0, "actions": 0}
LATER = ("init_seed", "search_seed")  # options that older keys do not name


@dataclass(frozen=True)
class Cell:
    """One run of one method.

    ``dataset``: a known name, of a stream for a streaming method, or a file of your own;
    ``backbone``: "none" for a reference;
    ``budget``: what ``parse_budget`` reads, None or "none" for the full table; ``iterations``,
    ``actions``: None for the profile's T and m; ``seed``: of the split; ``init_seed``: of first
    weights and training triples, ``search_seed``: of what a search draws, None for the split's.
    Raises BetError on anything unknown, and on numbers below the smallest that can run.
    """

    dataset: str
    backbone: str
    budget: str | None
    method: str
    seed: int = 0
    protocol: str = "clean"
    profile: str = "default"
    iterations: int | None = None
    actions: int | None = None
    init_seed: int | None = None
    search_seed: int | None = None

    def __post_init__(self):
        if self.budget == ABSENT["budget"]:  # as on the command line
            object.__setattr__(self, "budget", None)
        for name, known in (
            ("backbone", (*BACKBONES, NO_BACKBONE)),
            ("method", METHODS | STREAM_METHODS),
            ("protocol", ("clean", "merged")),
        ):
            if getattr(self, name) not in known:
                raise BetError(
                    f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}"
                )
        named = STREAMS if self.is_stream else DATASETS
        if self.dataset not in named and not Path(self.dataset).is_file():
            raise BetError(
                f"unknown {'stream' if self.is_stream else 'dataset'} {self.dataset!r}: no such "
                f"file, and known are {', '.join(named)}"
            )
        if self.is_stream:
            STREAM_METHODS[self.method].check(self.backbone, self.budget)
        else:
            self._check_method()
        least_of = {"seed": 0, "init_seed": 0, "search_seed": 0, "iterations": 1, "actions": 1}
        for name, least in least_of.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise BetError(f"{name} must be at least {least}, got {value}")

    def _check_method(self) -> None:
        """Raise BetError where backbone or budget are none for the method."""
        if (self.method in REFERENCES) != (self.backbone == NO_BACKBONE):
            raise BetError(
                f"method {self.method!r} with backbone {self.backbone!r}: references "
                f"({', '.join(REFERENCES)}) take the backbone {NO_BACKBONE!r}, no other method does"
            )
        METHODS[self.method].check(self.backbone)
        without = ("full", *REFERENCES)  # they never have a budget, others of UNBUDGETED may
        if (self.budget is None and self.method not in (*without, *UNBUDGETED)) or (
            self.budget is not None and self.method in without
        ):
            raise BetError(
                f"method {self.method!r} with budget {self.budget or 'none'!r}: "
                f"{', '.join(without)} take 'none', {', '.join(UNBUDGETED[1:])} 'none' or a "
                "budget, all others a budget"
            )

    @property
    def is_stream(self) -> bool:
        """Whether the method sizes the tables of a stream."""
        return self.method in STREAM_METHODS

    @property
    def selection_id(self) -> str:
        """The id without the protocol: cells that differ in it only share everything up to the
        final refit, unless the protocol's interactions count in the budget.
        """
        return self.id if self.counts_interactions else replace(self, protocol="clean").id

    @property
    def counts_interactions(self) -> bool:
        """Whether the budget is of bytes to serve, and interactions are among them."""
        if self.is_stream or not bounds_serving(self.budget):
            return False
        served_as = METHODS[self.method].served_as
        reads_graph = BACKBONES[self.backbone].reads_graph and served_as != "vectors"
        return served_as == "blend" or reads_graph

    @property
    def id(self) -> str:
        """A file name: dataset_backbone_budget_method_seed and what differs from the profile."""
        given = self.budget or "none"
        budget = re.sub(r"[^\w.-]", "", given)
        if given.isdigit():
            budget += "p"  # 80 parameters are not 80 %
        named = self.dataset in (STREAMS if self.is_stream else DATASETS)
        dataset = self.dataset if named else _name_of(Path(self.dataset))
        parts = [dataset, self.backbone, budget, self.method, f"s{self.seed}"]
        if self.protocol == "merged":
            parts.append("merged")
        if self.iterations is not None:
            parts.append(f"T{self.iterations}")
        if self.actions is not None:
            parts.append(f"m{self.actions}")
        if self.init_seed is not None:
            parts.append(f"init{self.init_seed}")
        if self.search_seed is not None:
            parts.append(f"search{self.search_seed}")
        return "_".join(parts)

    def in_old_spelling(self) -> dict[str, Any]:
        """The fields with "none" and 0 where an option is absent; without those of ``LATER`` that
        are.
        """
        given = {name: value for name, value in asdict(self).items() if value is not None}
        names = [field.name for field in fields(self)]
        known = [name for name in names if name in given or name not in LATER]
        return {name: given.get(name, ABSENT.get(name)) for name in known}


def _name_of(file: Path) -> str:
    """A file's name and a hash of its place: no two files, and no file and a named dataset, have
    the same.
    """
    return f"{file.stem}-{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
