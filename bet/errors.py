"""The one exception that means: the caller can fix this."""


class BetError(ValueError):
    """Bad input; the message names the value, the limit and the remedy."""


def check_between(name: str, value: int, least: int, most: int) -> None:
    """Raise BetError unless ``value``, which is called ``name``, lies from ``least`` to ``most``.

    >>> check_between("threads", 0, 1, 256)
    Traceback (most recent call last):
    bet.errors.BetError: threads must be from 1 to 256, got 0
    """
    if not least <= value <= most:
        # Python writes no number of more than 4,300 digits.
        given = f"{value:,}" if value.bit_length() < 256 else f"one of {value.bit_length():,} bits"
        raise BetError(f"{name} must be from {least:,} to {most:,}, got {given}")


class UnknownId(BetError):
    """A user or an item that a file does not have: in a web process, somebody new."""


class BudgetNotMet(BetError):
    """A method ended above the budget: a result, and recorded as one."""

    def __init__(self, what: str, target: int, reached: int, why: str):
        super().__init__(
            f"the target of {target} {what} was not reached: {reached} are left; {why}"
        )
        self.target, self.reached, self.why = target, reached, why
