"""One cell of the study: what is run, by name."""

import hashlib
import os
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bet.actions import bounds_serving
from bet.backbones import BACKBONES, NO_BACKBONE
from bet.data import DATASETS
from bet.errors import BetError, check_between
from bet.methods import METHODS, REFERENCES, UNBUDGETED
from bet.stream import STREAM_METHODS, STREAMS
from bet.text import for_file_name, quoted

# How committed keys and the frames of the reports spell options that are absent.
ABSENT: dict[str, str | int] = {"budget": "none", "iterations": 0, "actions": 0}
SEEDS, MOST_SEED = ("seed", "init_seed", "search_seed"), 2**63 - 1
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
        if self.dataset not in self._named and not os.path.isfile(self.dataset):
            raise BetError(
                f"unknown {'stream' if self.is_stream else 'dataset'} {quoted(self.dataset)}: no "
                f"such file, and known are {', '.join(self._named)}"
            )
        if self.is_stream:
            STREAM_METHODS[self.method].check(self.backbone, self.budget)
        else:
            self._check_method()
        for names, least, most in ((SEEDS, 0, MOST_SEED), (("iterations", "actions"), 1, 10**6)):
            for name in names:
                if (value := getattr(self, name)) is not None:
                    check_between(name, value, least, most)

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
    def _named(self) -> Collection[str]:
        """What a dataset may be called, if it is no file."""
        return STREAMS if self.is_stream else DATASETS

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
        name = file_name_of(self.dataset, self._named)
        parts = [name, self.backbone, budget, self.method, f"s{self.seed}"]
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


def file_name_of(dataset: str, named: Collection[str] = DATASETS) -> str:
    """A dataset in the name of a file: its own if it is one of ``named``, or that of a file and a
    hash of its place; no two files, and no file and a named dataset, have the same.
    """
    if dataset in named:
        return dataset
    path = Path(dataset)
    return f"{for_file_name(path.stem)}-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:8]}"
