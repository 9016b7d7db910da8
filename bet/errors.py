"""The one exception that means: the caller can fix this."""


class BetError(ValueError):
    """Bad input; the message names the value, the limit and the remedy."""


class UnknownId(BetError):
    """A user or an item that a file does not have: in a web process, somebody new."""


class BudgetNotMet(BetError):
    """A method ended above the budget: a result, and recorded as one."""

    def __init__(self, what: str, target: int, reached: int, why: str):
        super().__init__(
            f"the target of {target} {what} was not reached: {reached} are left; {why}"
        )
        self.target, self.reached, self.why = target, reached, why
