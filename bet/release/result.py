"""What ``build_table`` hands back: the tables it trained, and why one of them was written."""

from dataclasses import dataclass
from pathlib import Path

from bet.packed import ByteReport
from bet.release.gate import GateDecision
from bet.study.record import Serving


@dataclass(frozen=True)
class Candidate:
    """A table that was trained on half of the data."""

    name: str  # "uniform at 4 bits"
    bits: int  # per number
    columns: float  # per entity and table, mean
    file_bytes: int
    quality: float  # on validation, mean of Recall and NDCG at 5, 10 and 20

    @property
    def is_searched(self) -> bool:
        return self.name.startswith("searched")


@dataclass(frozen=True)
class BudgetAlternative:
    """What another budget would give: the uniform tables trained for it or, where nothing is to be
    trained, what would come out ``instead``.
    """

    limit: int  # bytes
    candidates: tuple[Candidate, ...]
    instead: str | None = None

    @property
    def best(self) -> Candidate | None:
        """The best on validation; None where nothing was trained."""
        return max(self.candidates, key=lambda candidate: candidate.quality, default=None)


@dataclass(frozen=True)
class TableRelease:
    """A table file that was written, and why this one."""

    file: Path
    limit: int  # bytes that the file may have
    n_users: int
    n_items: int
    backbone: str
    backbone_parameters: int  # of the backbone itself
    full_bytes: int  # of the full table, float32
    full_quality: float
    candidates: tuple[Candidate, ...]  # within the limit, the searched one last
    half: BudgetAlternative
    double: BudgetAlternative
    chosen: Candidate
    decision: GateDecision | None  # None: no searched table was judged
    unsearched: str | None  # why not, in that case
    test: dict[str, float]  # metrics of the chosen table, before it was refitted on everything
    report: ByteReport
    serving: Serving  # what the shortest file that recommends by itself takes
    example_user: str  # one of your ids

    @property
    def all_candidates(self) -> tuple[Candidate, ...]:
        """Those within the limit, and those for half and double the bytes."""
        return (*self.candidates, *self.half.candidates, *self.double.candidates)


def bits_in_words(bits: int) -> str:
    """ "1 bit", "4 bits"."""
    return f"{bits} bit{'s' * (bits > 1)}"
