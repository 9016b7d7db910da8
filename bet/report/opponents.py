"""What a method of ours is compared with, by what the comparison is about."""

from dataclasses import dataclass

from bet.methods import IN_BYTES

_ROWS = tuple(name for name in IN_BYTES if name.startswith(("uniform-", "vectors-")))


@dataclass(frozen=True)
class Opponents:
    """The best on validation of the methods ``names``, or without any of all competitors: ``kind``
    in tables, ``words`` in sentences.
    """

    kind: str
    names: tuple[str, ...]
    words: str


BEST = Opponents("best on validation", (), "its best competitor (chosen on validation)")
POWER_LAW = Opponents(
    "tuned rule",
    ("powerlaw",),
    "the tuned power-law rule (sizes follow a power of frequency)",
)
EQUAL_SIZES = Opponents("equal sizes", ("su",), "equal sizes for everybody (su)")
RANDOM = Opponents("random selection", ("bet-random",), "the same search with random selection")
NESTED = Opponents(
    "no fine-tuning",
    ("nested",),
    "a search that scores actions without fine-tuning (nested)",
)
PAPERS = Opponents("the paper's search", ("bet",), "the paper's search (bet)")
EQUAL_ROWS = Opponents(
    "equal rows", _ROWS, "equal rows of few bits (their best number on validation)"
)
EQUAL_VECTORS = Opponents(
    "equal vectors",
    tuple(name for name in _ROWS if name.startswith("vectors-")),
    "equal vectors of few bits (their best number on validation)",
)
SINGLE_NUMBERS = Opponents(
    "single numbers",
    ("magnitude", "pep"),
    "other methods that keep single numbers (magnitude or pep, the better on validation)",
)
RULES = (POWER_LAW, EQUAL_SIZES, EQUAL_ROWS, EQUAL_VECTORS, SINGLE_NUMBERS)  # without a search
OPPONENTS = {  # by method of ours
    "bet": (BEST, POWER_LAW, EQUAL_SIZES, RANDOM, NESTED),
    "bet-plus": (BEST, POWER_LAW, EQUAL_SIZES, PAPERS),
    "bet-plus-bytes": (BEST, EQUAL_ROWS),
    "magnitude-rotated": (BEST, SINGLE_NUMBERS),
    "bet-plus-vectors": (EQUAL_VECTORS,),  # tables of as many bytes need the graph on top
}
