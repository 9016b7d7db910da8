"""Streaming methods: they size one table after the other. A new one is a file and a line here."""

from functools import partial

from bet.stream.methods.bet_plus import BetPlus
from bet.stream.methods.dess import Dess
from bet.stream.methods.powerlaw import PowerLaw
from bet.stream.methods.scall import BayesianSearch, Scall, SoftActorCritic
from bet.stream.methods.uniform import EqualToDess, Full, Uniform
from bet.stream.policy import StreamMethod

_SCALL, _DESS = "Qu et al., CIKM 2024", "after He et al., CIKM 2023"
_ALL = (
    StreamMethod("stream-full", Full, "d_max columns for everybody", "no cap", capped=False),
    StreamMethod("stream-uniform", Uniform, "the cap in equal shares", "the simplest rule"),
    StreamMethod(
        "stream-powerlaw", PowerLaw, "size ~ frequency^alpha, tuned once", "after Ginart et al."
    ),
    StreamMethod(
        "scall", partial(Scall, SoftActorCritic), "three numbers by SAC", _SCALL, version=3
    ),
    StreamMethod(
        "scall-bayes", partial(Scall, BayesianSearch), "by Bayesian search", _SCALL, version=3
    ),
    StreamMethod("dess-like", partial(Dess, capped=False), "bandits, no cap", _DESS, capped=False),
    StreamMethod(
        "dess-like-equal", EqualToDess, "as many columns, in equal rows", "ours", capped=False
    ),
    StreamMethod("dess-like-capped", Dess, "bandits, sizes have a price", _DESS),
    StreamMethod(
        "dess-like-frequency", partial(Dess, indicators=False), "... that see frequency only", _DESS
    ),
    StreamMethod("stream-bet-plus", BetPlus, "a short search, gated", "ours", version=3),
)
STREAM_METHODS = {method.name: method for method in _ALL}

__all__ = ["STREAM_METHODS"]
