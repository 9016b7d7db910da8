"""What ``build_table`` hands back: what it tried, and why one of it was written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bet.packed import ByteReport
from bet.search.gate import GateDecision


@dataclass(frozen=True)
class Measured:
    """A candidate that was trained on half of the data, with one of the settings it was tried with.

    ``n_bytes``: to serve, with the table that was trained; numbers in the header may have fewer
    digits. ``quality``: on validation, mean of Recall and NDCG at 5, 10 and 20. ``columns``:
    numbers per entity, 0 without vectors.
    """

    name: str
    family: str
    bits: int | None
    history: bool  # whether its file says what everybody has seen
    n_bytes: int
    columns: float
    quality: float
    seconds: float
    settings: Mapping[str, float]

    @property
    def is_searched(self) -> bool:
        return self.family == "search"


@dataclass(frozen=True)
class BudgetAlternative:
    """What another budget would give: what was trained for it and fits, or ``instead`` why nothing
    was. ``is_partial``: there was no time for some of it.
    """

    limit: int  # bytes
    candidates: tuple[Measured, ...]
    instead: str | None = None
    is_partial: bool = False

    @property
    def best(self) -> Measured | None:
        """The best on validation; None where nothing was trained."""
        return max(self.candidates, key=lambda candidate: candidate.quality, default=None)


@dataclass(frozen=True)
class Reference:
    """What somebody would have without this file: bytes to serve, quality on validation, and means
    over the test users.
    """

    name: str
    n_bytes: int
    quality: float
    test: Mapping[str, float]


@dataclass(frozen=True)
class TableRelease:
    """A file that was written, and why this one."""

    file: Path
    limit: int  # bytes to serve that the file may have
    n_users: int
    n_items: int
    minutes: float  # that were allowed
    seconds: float  # that it took
    measured: tuple[Measured, ...]  # within the limit, in the order of their training
    half: BudgetAlternative
    double: BudgetAlternative
    simple: Measured  # the best without a search
    chosen: Measured
    decision: GateDecision | None  # about the search; None: none was judged
    unsearched: str | None  # why not, in that case
    without_histories: GateDecision | None  # about a file without them; None: there was no choice
    left_out: tuple[str, ...]  # for want of time
    too_large: Mapping[str, int]  # bytes of the smallest file, of what does not fit
    chosen_again: Mapping[str, float]  # numbers of the file that differ from those of ``chosen``
    test: Mapping[str, float]  # means of the chosen one, before it was refitted on everything
    references: tuple[Reference, ...]  # popularity and an untouched ALS
    report: ByteReport
    holds_ids: bool
    holds_history: bool
    example_user: str  # one of your ids
    example_excludes_seen: bool  # what is recommended to that user

    @property
    def best_by_name(self) -> tuple[Measured, ...]:
        """Of every candidate the settings that were best, those of the limit first."""
        best: dict[str, Measured] = {}
        for measured in self.measured:
            known = best.get(measured.name)
            if known is None or measured.quality > known.quality or measured == self.chosen:
                best[measured.name] = measured
        return tuple(best.values())
