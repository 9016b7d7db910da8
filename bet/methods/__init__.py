"""Methods: functions from a problem (data, backbone, budget, seed) to an outcome. A new one is one file and one line here."""

from collections.abc import Callable

from bet.methods.bet import bet, bet_random, bet_simple
from bet.methods.fixed import sr, su
from bet.methods.full import full
from bet.methods.powerlaw import powerlaw
from bet.search import Outcome, Problem

METHODS: dict[str, Callable[[Problem], Outcome]] = {
    "full": full,
    "su": su,
    "sr": sr,
    "powerlaw": powerlaw,
    "bet": bet,
    "bet-random": bet_random,
    "bet-simple": bet_simple,
}

__all__ = ["METHODS"]
