"""The one exception that means: the caller can fix this."""


class BetError(ValueError):
    """Bad input; the message names the value, the limit and the remedy."""
