"""The gate: the searched table is used only if users that the search never saw gain from it (after
GENSPEC, WWW 2021).

It looks at differences between two tables, user by user, which vary far less than what either table
gives a user. All items are ranked for every user, so no propensities are needed.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

from bet.errors import BetError

CONFIDENCE = 0.95
FEWEST_USERS = 20  # that Student's bound is trusted with


@dataclass(frozen=True)
class GateDecision:
    """What the gate decided, and on which numbers."""

    accepted: bool  # whether the searched table is used
    difference: float  # mean over users of searched minus uniform
    bound: float | None  # what the true mean exceeds with ``CONFIDENCE``; None: too few users
    users: int


def safe_select(differences: np.ndarray) -> GateDecision:
    """Accept if a one-sided lower bound on the mean of per-user ``differences`` (u,), each in
    [-1, 1], is above zero.

    The bound is Student's, close to its confidence from a few dozen users on; fewer than 20 users
    never accept. Raises BetError for other differences.

    >>> gains = np.array([0.0, 0.1] * 20)
    >>> decision = safe_select(gains)  # 0.05 - 1.685 * 0.0506 / sqrt(40)
    >>> decision.accepted, round(decision.difference, 3), round(decision.bound, 4)
    (True, 0.05, 0.0365)
    >>> safe_select(gains[:10]).accepted, safe_select(-gains).accepted
    (False, False)
    """
    u = len(differences)
    if not u or not (np.abs(differences) <= 1).all():
        raise BetError(
            f"the gate needs users, and a difference in [-1, 1] of each; got {u} differences"
        )
    mean = float(np.mean(differences))
    if u < FEWEST_USERS:
        return GateDecision(False, mean, None, u)
    variance = float(np.var(differences, ddof=1))
    bound = mean - float(scipy.stats.t.ppf(CONFIDENCE, u - 1)) * float(np.sqrt(variance / u))
    return GateDecision(bound > 0, mean, bound, u)
