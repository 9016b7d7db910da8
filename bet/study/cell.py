"""One cell of the study: what is run, by name."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from bet.backbones import BACKBONES
from bet.data import DATASETS
from bet.errors import BetError
from bet.methods import METHODS, UNBUDGETED


@dataclass(frozen=True)
class Cell:
    """``dataset`` is a known name or a file of your own; ``budget`` what ``parse_budget`` reads, or
    "none" for the full table.

    0 iterations or actions: the profile's. Raises BetError on anything unknown.
    """

    dataset: str
    backbone: str
    budget: str
    method: str
    seed: int = 0
    protocol: str = "clean"
    profile: str = "default"
    iterations: int = 0
    actions: int = 0

    def __post_init__(self):
        for name, known in (
            ("backbone", BACKBONES),
            ("method", METHODS),
            ("protocol", ("clean", "merged")),
        ):
            if getattr(self, name) not in known:
                raise BetError(
                    f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}"
                )
        if self.dataset not in DATASETS and not Path(self.dataset).is_file():
            raise BetError(
                f"unknown dataset {self.dataset!r}: no such file, and known are {', '.join(DATASETS)}"
            )
        if (self.method == "full" and self.budget != "none") or (
            self.budget == "none" and self.method not in UNBUDGETED
        ):
            raise BetError(
                f"method {self.method!r} with budget {self.budget!r}: 'full' takes 'none', {', '.join(UNBUDGETED[1:])} 'none' or a "
                "budget, all others a budget"
            )

    @property
    def selection_id(self) -> str:
        """The id without the protocol: cells that differ in it only share everything up to the
        final refit.
        """
        return replace(self, protocol="clean").id

    @property
    def id(self) -> str:
        """A file name: dataset_backbone_budget_method_seed and whatever differs from the profile."""
        budget = (
            re.sub(r"[^\w.-]", "", self.budget) + "p" * self.budget.isdigit()
        )  # 80 parameters are not 80 %
        dataset = self.dataset if self.dataset in DATASETS else _name_of(Path(self.dataset))
        parts = [dataset, self.backbone, budget, self.method, f"s{self.seed}"]
        parts += ["merged"] * (self.protocol == "merged")
        parts += [f"T{self.iterations}"] * bool(self.iterations) + [f"m{self.actions}"] * bool(
            self.actions
        )
        return "_".join(parts)


def _name_of(file: Path) -> str:
    """A file's name and a hash of its place: no two files, and no file and a named dataset, have
    the same.
    """
    return f"{file.stem}-{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
