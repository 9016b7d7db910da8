"""When compiled loops are worth loading: numpy has a road to the same numbers beside them."""

from functools import cached_property
from importlib.util import find_spec


class LazyLoops:
    """A module of compiled loops that this process loads once it pays.

    Loading numba and its loops takes about half a second; ``worth`` is the work for which numpy
    needs about that much longer, in whatever unit the caller counts. Until so much was asked for,
    all calls together, numpy does it: a first answer does not wait.

    >>> loops = LazyLoops(worth=100)
    >>> loops.pay(60)
    False
    >>> loops.pay(60) == (find_spec("numba") is not None)
    True
    """

    def __init__(self, worth: int):
        self.worth = worth
        self._asked = 0

    def pay(self, work: int) -> bool:
        """Count ``work``, which is about to be done; whether the loops are to do it."""
        self._asked += work
        return self._asked >= self.worth and self._are_there

    @cached_property
    def _are_there(self) -> bool:
        return find_spec("numba") is not None
