"""Methods: functions from a context (data, backbone, budget, seed) to a result. A new one is one
file and one line here.
"""

from functools import partial

from bet.methods.amtl import amtl
from bet.methods.bet import bet, bet_random, bet_simple
from bet.methods.bet_plus import bet_plus
from bet.methods.bet_plus_bytes import bet_plus_bytes, bet_plus_vectors
from bet.methods.blend import blend
from bet.methods.ciess import ciess
from bet.methods.ease import ease
from bet.methods.esapn import esapn
from bet.methods.fixed import sr, su, su_floor
from bet.methods.full import full
from bet.methods.graph_filter import graph_filter
from bet.methods.hashing import hashing_trick, memrec
from bet.methods.item_knn import item_knn
from bet.methods.magnitude import magnitude
from bet.methods.magnitude_rotated import magnitude_rotated
from bet.methods.mec import mec
from bet.methods.method import Method, Run
from bet.methods.mixed_precision import bet_bytes
from bet.methods.nested import nested
from bet.methods.optembed import optembed
from bet.methods.pep import pep
from bet.methods.popularity import popularity
from bet.methods.powerlaw import powerlaw
from bet.methods.pq import pq
from bet.methods.quantized import bet_packed, uniform_packed
from bet.methods.vectors import rounded_vectors
from bet.search import MethodResult, SearchContext

_BET, _STE = "Qu et al., WSDM 2024", "Bengio et al., arXiv 1308.3432"
_GINART, _KUSUPATI = "after Ginart et al., ISIT 2021", "after Kusupati et al., NeurIPS 2022"
_LYU, _ESAPN = "Lyu et al., CIKM 2022", "Liu et al., SIGIR 2020"
_UNIFORM = "equal rows of {}-bit numbers"
_SEARCHED = "searched rows of {}-bit numbers"


def _uniform(bits: int) -> Method:
    run, name = partial(uniform_packed, bits=bits), f"uniform-{'fp' if bits == 16 else 'int'}{bits}"
    return Method(name, run, _UNIFORM.format(bits), _STE, in_bytes=True)


def _searched(bits: int) -> Method:
    run, summary = partial(bet_packed, bits=bits), _SEARCHED.format(bits)
    return _packed(f"bet-int{bits}", run, summary, f"{_BET}; {_STE}")


def _packed(name: str, run: Run, summary: str, paper: str) -> Method:
    """In bytes, and with draws of its own since version 2."""
    return Method(name, run, summary, paper, in_bytes=True, version=2)


def _vectors(bits: int) -> Method:
    run, summary = partial(rounded_vectors, bits=bits), f"final vectors of {bits}-bit numbers"
    name = f"vectors-int{bits}"
    return Method(name, run, summary, _STE, in_bytes=True, served_as="vectors")


def _hashed(name: str, run: Run, summary: str, paper: str) -> Method:
    return Method(name, run, summary, paper, in_bytes=True, served_as="hashed")


def _reference(name: str, run: Run, summary: str, paper: str) -> Method:
    return Method(name, run, summary, paper, reference=True)


_ALL = (
    Method("full", full, "the full table", "the backbone's paper", unbudgeted=True),
    Method("su", su, "the same size for everybody, the remainder spent", _BET),
    Method("su-floor", su_floor, "the same size for everybody, rounded down", _BET),
    Method("sr", sr, "random sizes", _BET, version=2),
    Method("powerlaw", powerlaw, "size ~ frequency^alpha, tuned", _GINART, version=2),
    Method("bet", bet, "searched sizes, DeepSets predictor", _BET, version=2),
    Method("bet-random", bet_random, "BET without a predictor", _BET, version=2),
    Method("bet-simple", bet_simple, "BET, predictor sees sizes only", _BET, version=2),
    Method(
        "bet-plus",
        bet_plus,
        "searched sizes, simple rules first",
        "ours",
        in_rungs=True,
        versions={"ncf": 2},  # which may leave a table out
    ),
    Method("magnitude", magnitude, "largest numbers", "Han et al., NeurIPS 2015", elementwise=True),
    Method("pep", pep, "learned thresholds of numbers", "Liu et al., ICLR 2021", elementwise=True),
    Method(
        "magnitude-rotated",
        magnitude_rotated,
        "largest numbers on sparse axes",
        "ours",
        elementwise=True,
        backbones=("lightgcn",),  # whose columns neither mix nor have weights
    ),
    Method("optembed", optembed, "rows, then sizes", _LYU, unbudgeted=True, version=2),
    Method("esapn", esapn, "growing sizes, policies", _ESAPN, unbudgeted=True, version=2),
    Method("ciess", ciess, "sizes by actor and critics", "Qu et al., SIGIR 2023", version=2),
    Method("amtl", amtl, "sizes by twin networks", "Yan et al., CIKM 2021", unbudgeted=True),
    Method("nested", nested, "BET on nested prefixes", _KUSUPATI, version=2),
    *(_uniform(bits) for bits in (16, 8, 4, 2, 1)),
    *(_searched(bits) for bits in (8, 4)),
    _packed("bet-bytes", bet_bytes, "searched sizes and precisions", f"{_BET}; ours"),
    Method(
        "bet-plus-bytes",
        bet_plus_bytes,
        "searched width and precisions",
        "ours",
        in_bytes=True,
        in_rungs=True,
    ),
    _hashed("hash", hashing_trick, "hashed rows", "Weinberger et al., ICML 2009"),
    _hashed("memrec", memrec, "sums of hashed rows", "MEM-REC, arXiv 2305.07205"),
    _packed("pq", pq, "product quantization", "Jégou et al., TPAMI 2011"),
    _packed("mec", mec, "codes that follow popularity", "MEC, arXiv 2502.15355"),
    *(_vectors(bits) for bits in (8, 4, 2, 1)),
    Method(
        "bet-plus-vectors",
        bet_plus_vectors,
        "final vectors, searched precisions",
        "ours",
        in_bytes=True,
        served_as="vectors",
        in_rungs=True,
    ),
    Method("blend", blend, "graph filter + vectors", "ours", in_bytes=True, served_as="blend"),
    _reference("popularity", popularity, "the most frequent items", "the simplest baseline"),
    _reference("graph-filter", graph_filter, "R N'N, untrained", "Shen et al., CIKM 2021"),
    _reference("item-knn", item_knn, "nearest items, tuned", "Dacrema et al., RecSys 2019"),
    _reference("ease", ease, "items on items in closed form", "Steck, WWW 2019"),
)
METHODS = {method.name: method for method in _ALL}
UNBUDGETED = tuple(method.name for method in _ALL if method.unbudgeted)
IN_BYTES = tuple(method.name for method in _ALL if method.in_bytes)
ELEMENTWISE = tuple(method.name for method in _ALL if method.elementwise)
REFERENCES = tuple(method.name for method in _ALL if method.reference)

__all__ = [
    "ELEMENTWISE",
    "IN_BYTES",
    "METHODS",
    "REFERENCES",
    "UNBUDGETED",
    "Method",
    "MethodResult",
    "SearchContext",
]
