"""What the study knows of a method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bet.search import MethodResult, SearchContext

Run = Callable[[SearchContext], MethodResult]


@dataclass(frozen=True)
class Method:
    """``run`` searches and trains; ``summary`` in a few words; ``paper``: where it is from.

    ``unbudgeted``: it can run without a budget and, but for the full table, choose its
    total. ``in_bytes``: it meets a number of bytes, that of its file. ``elementwise``: it prunes
    single numbers, whose places cost bytes. ``reference``: it ranks without a table, a backbone and
    a budget. ``served_as``: its table, final vectors that need no interactions, a table whose rows
    are found by hashing entity numbers, or vectors blended with the graph filter.
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

    def __call__(self, context: SearchContext) -> MethodResult:
        """Run the method on ``context``."""
        return self.run(context)
