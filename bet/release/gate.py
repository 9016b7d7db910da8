"""A release gate: ship the searched table only where it is better than the simple one beyond
doubt (after GENSPEC, WWW 2021).

Only the relative bound is used: what differs between two tables, per user, varies far less than
what either gives. Full ranking needs no propensities. Users must not have had a part in the search.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from bet.errors import BetError

FEWEST = 20  # users that Student's bound is trusted with
RANGE = 2.0  # of a difference of two metrics in [0, 1]


@dataclass(frozen=True)
class GateDecision:
    """``difference``: mean over ``users`` of searched minus simple; ``bound``: what it exceeds with
    ``confidence``, by ``kind``.
    """

    accepted: bool
    difference: float
    bound: float
    users: int
    confidence: float
    kind: str


def safe_select(differences: np.ndarray, confidence: float = 0.95, kind: str = "t") -> GateDecision:
    """Accept if a one-sided lower bound on the mean of per-user ``differences`` (u,), each in [-1,
    1], is positive.

    kind "t": Student's bound, close to its confidence from a few dozen users on; fewer than 20
    never decide. kind "bernstein": the empirical Bernstein bound of Maurer and Pontil (COLT 2009,
    theorem 4), which holds for every number of users and is several times wider. Raises BetError
    for other kinds, differences or confidences.
    """
    u = len(differences)
    if kind not in ("t", "bernstein") or not 0.5 < confidence < 1:
        raise BetError(
            f"the gate takes a bound 't' or 'bernstein' and a confidence in (0.5, 1), got {kind!r} and {confidence}"
        )
    if not u or not (np.abs(differences) <= 1).all():
        raise BetError(
            f"the gate needs users, and a difference in [-1, 1] of each; got {u} differences"
        )
    mean = float(np.mean(differences))
    if u == 1 or (kind == "t" and u < FEWEST):
        return GateDecision(False, mean, -np.inf, u, confidence, kind)
    variance = float(np.var(differences, ddof=1))
    if kind == "t":
        bound = mean - float(student.ppf(confidence, u - 1)) * np.sqrt(variance / u)
    else:
        log = np.log(2 / (1 - confidence))
        bound = mean - np.sqrt(2 * variance * log / u) - 7 * RANGE * log / (3 * (u - 1))
    return GateDecision(bool(bound > 0), mean, float(bound), u, confidence, kind)
