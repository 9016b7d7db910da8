"""The four size families of the sampler, as quantile functions and their inverses (BET, section
3.2).

Parameters follow scipy: powerlaw(a), truncexpon(b), truncnorm(0, b), lognorm(s). A new family is
two functions and one line in ``FAMILIES``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

Quantile = Callable[[np.ndarray, float], np.ndarray]
"""(u in (0, 1), beta > 0) -> non-negative values, increasing in u."""

Survival = Callable[[np.ndarray, float], np.ndarray]
"""(x > 0, beta > 0) -> probability of a value of at least x."""


def power_law(u: np.ndarray, beta: float) -> np.ndarray:
    """Density beta x^(beta - 1) on [0, 1].

    >>> power_law(np.array([0.25, 0.81]), 2.0)
    array([0.5, 0.9])
    """
    return u ** (1.0 / beta)


def truncated_exponential(u: np.ndarray, beta: float) -> np.ndarray:
    """Density proportional to exp(-x) on [0, beta].

    Half of the values on [0, log 3] are below log 1.5, since 1 - 1 / 1.5 is half of 1 - 1 / 3:

    >>> np.exp(truncated_exponential(np.array([0.5]), np.log(3))).round(6)
    array([1.5])
    """
    return -np.log1p(u * np.expm1(-beta))


def truncated_normal(u: np.ndarray, beta: float) -> np.ndarray:
    """Half of a standard normal density, on [0, beta].

    Without a bound, 68.27 % of the values are below 1:

    >>> truncated_normal(np.array([0.6827]), 20.0).round(3)
    array([1.])
    """
    # The survival side keeps the precision that the cumulative side loses close to one.
    return np.maximum(-ndtri(0.5 - u * (0.5 - ndtr(-beta))), 0.0)


def log_normal(u: np.ndarray, beta: float) -> np.ndarray:
    """exp(beta Z) for a standard normal Z.

    >>> log_normal(np.array([0.5, 0.8413447]), 0.5).round(4)  # Z = 0 and 1
    array([1.    , 1.6487])
    """
    return np.exp(beta * ndtri(u))


def _power_law_survival(x: np.ndarray, beta: float) -> np.ndarray:
    return 1.0 - np.minimum(x, 1.0) ** beta


def _truncated_exponential_survival(x: np.ndarray, beta: float) -> np.ndarray:
    return 1.0 - np.expm1(-np.minimum(x, beta)) / np.expm1(-beta)


def _truncated_normal_survival(x: np.ndarray, beta: float) -> np.ndarray:
    return (ndtr(-np.minimum(x, beta)) - ndtr(-beta)) / (0.5 - ndtr(-beta))


def _log_normal_survival(x: np.ndarray, beta: float) -> np.ndarray:
    return ndtr(-np.log(x) / beta)


@dataclass(frozen=True)
class Family:
    """A quantile function, its inverse from above, and the largest beta that is drawn for it."""

    quantile: Quantile
    survival: Survival
    beta_max: float


FAMILIES: dict[str, Family] = {
    "power law": Family(power_law, _power_law_survival, 20.0),
    "truncated exponential": Family(truncated_exponential, _truncated_exponential_survival, 5.0),
    "truncated normal": Family(truncated_normal, _truncated_normal_survival, 20.0),
    "log-normal": Family(log_normal, _log_normal_survival, 0.5),
}
