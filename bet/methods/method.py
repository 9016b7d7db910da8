"""What the study knows of a method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bet.backbones import BACKBONES, NO_BACKBONE
from bet.errors import BetError
from bet.search import MethodResult, SearchContext

Run = Callable[[SearchContext], MethodResult]

# What also runs on a backbone that is trained by least squares: sizes, packed rows and codes that
# are fixed while it trains. The others learn from gradients, or rank with the full table's numbers.
BY_LEAST_SQUARES = (
    "full",
    "su",
    "su-floor",
    "sr",
    "powerlaw",
    "bet",
    "bet-random",
    "bet-simple",
    "bet-plus",
    "uniform-fp16",
    "uniform-int8",
    "uniform-int4",
    "uniform-int2",
    "uniform-int1",
    "bet-int8",
    "bet-int4",
    "bet-bytes",
    "bet-plus-bytes",
    "pq",
    "blend",
)


@dataclass(frozen=True)
class Method:
    """``run`` searches and trains; ``summary`` in a few words; ``paper``: where it is from.

    ``unbudgeted``: it can run without a budget and, but for the full table, choose its
    total. ``in_bytes``: it meets a number of bytes, that of its file. ``elementwise``: it prunes
    single numbers, whose places cost bytes. ``reference``: it ranks without a table, a backbone and
    a budget. ``served_as``: its table, final vectors that need no interactions, a table whose rows
    are found by hashing entity numbers, or vectors blended with the graph filter. ``in_rungs``: it
    measures actions in rungs, unless to train them all costs no more
    (``SearchSettings.trains_all``). ``version``: raised when the method's results change, so that
    what it recorded before is run again; ``versions``: the same by backbone, where the others have
    another. ``backbones``: where it runs; empty: wherever the rest allows.
    """

    name: str
    run: Run
    summary: str
    paper: str
    unbudgeted: bool = False
    in_bytes: bool = False
    elementwise: bool = False
    reference: bool = False
    served_as: Literal["table", "vectors", "hashed", "blend"] = "table"
    in_rungs: bool = False
    version: int = 1
    versions: Mapping[str, int] = field(default_factory=dict)
    backbones: tuple[str, ...] = ()

    def check(self, backbone: str) -> None:
        """Raise BetError where the method cannot run on ``backbone``."""
        least_squares = backbone != NO_BACKBONE and BACKBONES[backbone].least_squares
        if least_squares and self.name not in BY_LEAST_SQUARES:
            raise BetError(
                f"method {self.name!r} needs gradients, and backbone {backbone!r} is trained by "
                f"least squares; methods that run on it are {', '.join(BY_LEAST_SQUARES)}"
            )
        if self.backbones and backbone not in self.backbones:
            raise BetError(
                f"method {self.name!r} does not run on backbone {backbone!r}; take "
                f"{', '.join(self.backbones)}"
            )

    def version_on(self, backbone: str) -> int:
        """The version of the results on ``backbone``."""
        return self.versions.get(backbone, self.version)

    def __call__(self, context: SearchContext) -> MethodResult:
        """Run the method on ``context``; raises BetError, before any work, where it cannot."""
        self.check(context.settings.backbone)
        return self.run(context)
