"""Methods: functions from a context (data, backbone, budget, seed) to an outcome. A new one is one
file and one line here.
"""

from collections.abc import Callable
from functools import partial

from bet.methods.amtl import amtl
from bet.methods.bet import bet, bet_random, bet_simple
from bet.methods.ciess import ciess
from bet.methods.esapn import esapn
from bet.methods.fixed import sr, su
from bet.methods.full import full
from bet.methods.hashing import hashing_trick, memrec
from bet.methods.magnitude import magnitude
from bet.methods.mec import mec
from bet.methods.mixed_precision import bet_bytes
from bet.methods.nested import nested
from bet.methods.optembed import optembed
from bet.methods.pep import pep
from bet.methods.powerlaw import powerlaw
from bet.methods.pq import pq
from bet.methods.quantized import bet_packed, uniform_packed
from bet.search import MethodResult, SearchContext

METHODS: dict[str, Callable[[SearchContext], MethodResult]] = {
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
    "nested": nested,
}
_PACKED: dict[str, Callable[[SearchContext], MethodResult]] = {
    "uniform-fp16": partial(uniform_packed, bits=16),
    **{f"uniform-int{bits}": partial(uniform_packed, bits=bits) for bits in (8, 4, 2, 1)},
    **{f"bet-int{bits}": partial(bet_packed, bits=bits) for bits in (8, 4)},
    "bet-bytes": bet_bytes,
    "hash": hashing_trick,
    "memrec": memrec,
    "pq": pq,
    "mec": mec,
}
METHODS |= _PACKED
UNBUDGETED = (
    "full",
    "esapn",
    "optembed",
    "amtl",
)  # can run without a budget: the last three choose a total of their own
IN_BYTES = tuple(_PACKED)  # meet a number of bytes, that of their file
ELEMENTWISE = ("magnitude", "pep")  # prune single numbers, whose places cost bytes

__all__ = [
    "ELEMENTWISE",
    "IN_BYTES",
    "METHODS",
    "UNBUDGETED",
    "MethodResult",
    "SearchContext",
    "amtl",
    "bet",
    "bet_bytes",
    "bet_packed",
    "bet_random",
    "bet_simple",
    "ciess",
    "esapn",
    "full",
    "hashing_trick",
    "magnitude",
    "mec",
    "memrec",
    "nested",
    "optembed",
    "pep",
    "powerlaw",
    "pq",
    "sr",
    "su",
    "uniform_packed",
]
