"""Budgets as exact integers: from a sparsity, a number of parameters, or bytes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from bet.errors import BetError
from bet.text import quoted

UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
# Units are read in whatever case they are written.
_FACTORS = {unit.lower(): factor for unit, factor in UNITS.items()}
MOST_TEXT = 100  # characters of a budget
PER_ENTITY = "/entity"  # after a unit of bytes
TO_SERVE = " to serve"  # after bytes: of all that a server needs


@dataclass(frozen=True)
class Budget:
    """At most ``total`` columns over all entities: sum_n d_n <= total, with d_min <= d_n <= d_max
    (BET, Eq. 3).

    ``copies`` tables share the sizes, so the table holds up to ``copies * total`` parameters. All
    d_n are multiples of ``step``: a row of less than eight bits per number ends on a whole byte.
    """

    total: int
    n: int
    d_max: int
    d_min: int = 1
    copies: int = 1
    step: int = 1

    def __post_init__(self):
        if self.step < 1 or self.d_min % self.step or self.d_max % self.step:
            raise BetError(
                f"d_min={self.d_min} and d_max={self.d_max} must be multiples of step={self.step}"
            )
        if not 0 <= self.d_min <= self.d_max or self.d_max < 1 or self.n < 1 or self.copies < 1:
            raise BetError(
                f"need n >= 1, copies >= 1 and 0 <= d_min <= d_max, got n={self.n}, "
                f"copies={self.copies}, d_min={self.d_min}, d_max={self.d_max}"
            )
        if self.total < self.n * self.d_min:
            raise BetError(
                f"a budget of {self.parameters:,} parameters is below the smallest possible table, "
                f"{self.copies * self.n * self.d_min:,} ({self.n:,} entities x {self.d_min} "
                f"columns x {self.copies} tables); raise the budget"
            )

    @property
    def parameters(self) -> int:
        """The limit in parameters, over all copies."""
        return self.copies * self.total

    @property
    def of_last_copy(self) -> "Budget":
        """As many parameters, all of them for the last of an entity's tables.

        >>> Budget(total=6, n=3, d_max=8, copies=2).of_last_copy
        Budget(total=12, n=3, d_max=8, d_min=1, copies=1, step=1)
        """
        return replace(self, total=self.parameters, copies=1)

    @property
    def target(self) -> int:
        """What an exact action uses: the budget, or the full table where the budget is larger."""
        return min(self.total, self.n * self.d_max) // self.step * self.step

    @property
    def binding(self) -> bool:
        """Whether it is below the full table."""
        return self.total < self.n * self.d_max


def parse_budget(
    text: str | int | float,
    n: int,
    d_max: int,
    *,
    copies: int = 1,
    d_min: int = 1,
    file_bytes: Callable[[int], int] | None = None,
) -> Budget:
    """The budget that ``text`` states for ``n`` entities.

    * a sparsity: ``0.8``, ``"0.8"`` or ``"80 %"``; at most floor((1 - c) * d_max * n) columns are
      kept (BET, 4.2);
    * a number of parameters over all copies: ``850068`` or ``"850068"``;
    * bytes of the saved table file: ``"1.8 MB"``, ``"512 KiB"``, ``"25.6 B/entity"``; sizes and
      header count. What else a server needs is counted by budgets that end in "to serve", see
      ``bounds_serving``.

    ``file_bytes``: the length of a float32 file that holds so many parameters, needed for a budget
    in bytes. Raises BetError when the text cannot be read, or the budget is below d_min columns per
    entity.

    >>> parse_budget("90%", n=10, d_max=16).total  # a tenth of 160 columns
    16
    >>> parse_budget(64, n=10, d_max=16, copies=2).total  # two tables of 32 columns each
    32
    >>> def file_bytes(parameters):
    ...     return 40 + 4 * parameters
    >>> parse_budget("0.2 kB", n=10, d_max=16, file_bytes=file_bytes).total
    40
    """
    number, unit = _read(text)
    if (limit := _bytes(number, unit, n)) is not None:
        if file_bytes is None:
            raise BetError(
                f"a budget of {text!r} is the length of a file, and no length is known here; give "
                "a sparsity or parameters"
            )
        smallest = file_bytes(copies * n * d_min)
        if limit < smallest:
            raise BetError(
                f"a budget of {limit:,} bytes is below the smallest possible table file, "
                f"{smallest:,} bytes; raise the budget"
            )
        columns = (limit - file_bytes(0)) // (4 * copies)
        # The header may grow by a digit or two.
        while file_bytes(copies * columns) > limit:
            columns -= 1
        return Budget(columns, n, d_max, d_min, copies)
    sparsity = number / 100 if unit == "%" else number
    if unit == "%" or not isinstance(text, int) and number < 1:
        if not 0 <= sparsity < 1:
            raise BetError(
                f"a sparsity must lie in [0, 1), got {text!r}; 0.9 keeps a tenth of the table"
            )
        return Budget(int((1 - sparsity) * d_max * n), n, d_max, d_min, copies)
    if number.denominator != 1:
        raise BetError(
            f"a number of parameters must be whole, got {text!r}; for a sparsity give a value "
            "below 1"
        )
    return Budget(int(number) // copies, n, d_max, d_min, copies)


def parse_bytes(text: str | int | float | None, n: int) -> int | None:
    """The bytes that ``text`` states for ``n`` entities, None when it states something else, or
    there is no budget (None). Raises BetError as above.

    >>> parse_bytes("25.6 B/entity", n=1_000), parse_bytes("90%", n=1_000)
    (25600, None)
    """
    return None if text in (None, "none") else _bytes(*_read(text), n)


def bounds_serving(text: str | int | float | None) -> bool:
    """Whether ``text`` bounds the file that answers by itself, not the table's file alone.

    >>> bounds_serving("25.6 B/entity to serve"), bounds_serving("25.6 B/entity")
    (True, False)
    """
    return isinstance(text, str) and text.rstrip().endswith(TO_SERVE)


def _bytes(number: Fraction, unit: str, n: int) -> int | None:
    if unit in ("", "%"):
        return None
    total = unit.removesuffix(PER_ENTITY)
    return int(number * _FACTORS[total] * (n if total != unit else 1))


def _read(text: str | int | float) -> tuple[Fraction, str]:
    # Fraction of the decimal text: (1 - 0.9) in floats is below a tenth and would lose a column.
    # A comma separates thousands only: "1,8 MB" is not 18 MB.
    digits = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*)\.?[0-9]*(?:[eE][+-]?[0-9]{1,2})?|\.[0-9]+"
    to_serve = bounds_serving(text)
    stated = str(text).rstrip().removesuffix(TO_SERVE) if to_serve else str(text)
    match = re.fullmatch(rf"\s*({digits})\s*(%|[a-zA-Z]*(?:/entity)?)\s*", stated)
    unit = match[2].lower() if match else ""
    if (
        isinstance(text, bool)
        or len(stated) > MOST_TEXT
        or not match
        or unit.removesuffix(PER_ENTITY) not in {"", "%", *_FACTORS}
        or unit == PER_ENTITY
        or (to_serve and unit in ("", "%"))
    ):
        raise BetError(
            f"cannot read the budget {quoted(text)}; give a sparsity ('0.9'), parameters "
            "('850068') or bytes ('1.8 MB', '25.6 B/entity', '1.8 MB to serve'; units: "
            f"{', '.join(UNITS)})"
        )
    return Fraction(match[1].replace(",", "").replace("_", "")), unit
