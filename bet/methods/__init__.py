"""Methods: functions from a problem (data, backbone, budget, seed) to an outcome. A new one is one file and one line here."""

from collections.abc import Callable

from bet.methods.amtl import amtl
from bet.methods.bet import bet, bet_random, bet_simple
from bet.methods.ciess import ciess
from bet.methods.esapn import esapn
from bet.methods.fixed import sr, su
from bet.methods.full import full
from bet.methods.magnitude import magnitude
from bet.methods.optembed import optembed
from bet.methods.pep import pep
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
    "magnitude": magnitude,
    "pep": pep,
    "optembed": optembed,
    "esapn": esapn,
    "ciess": ciess,
    "amtl": amtl,
}
UNBUDGETED = ("full", "esapn", "optembed", "amtl")  # can run without a budget: the last three choose a total of their own
ELEMENTWISE = ("magnitude", "pep")  # prune single numbers, whose places cost bytes

__all__ = ["ELEMENTWISE", "METHODS", "UNBUDGETED"]
