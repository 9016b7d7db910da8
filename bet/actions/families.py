"""The four size families of the sampler, as quantile functions (BET, section 3.2).

Parameters follow scipy: powerlaw(a), truncexpon(b), truncnorm(0, b), lognorm(s). A new family is one function and
one line in ``FAMILIES``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

Quantile = Callable[[np.ndarray, float], np.ndarray]
"""(u in (0, 1), beta > 0) -> non-negative values, increasing in u."""


def power_law(u: np.ndarray, beta: float) -> np.ndarray:
    """Density beta x^(beta - 1) on [0, 1]."""
    return u ** (1.0 / beta)


def truncated_exponential(u: np.ndarray, beta: float) -> np.ndarray:
    """Density proportional to exp(-x) on [0, beta]."""
    return -np.log1p(u * np.expm1(-beta))


def truncated_normal(u: np.ndarray, beta: float) -> np.ndarray:
    """Half of a standard normal density, on [0, beta]."""
    # The survival side keeps the precision that the cumulative side loses close to one.
    return np.maximum(-ndtri(0.5 - u * (0.5 - ndtr(-beta))), 0.0)


def log_normal(u: np.ndarray, beta: float) -> np.ndarray:
    """exp(beta Z) for a standard normal Z."""
    return np.exp(beta * ndtri(u))


@dataclass(frozen=True)
class Family:
    """A quantile function and the largest beta that is drawn for it."""

    quantile: Quantile
    beta_max: float


FAMILIES: dict[str, Family] = {
    "power law": Family(power_law, 20.0),
    "truncated exponential": Family(truncated_exponential, 5.0),
    "truncated normal": Family(truncated_normal, 20.0),
    "log-normal": Family(log_normal, 0.5),
}
