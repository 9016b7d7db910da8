"""What an action is worth before it was trained: a Gaussian process over a few features (Rasmussen
and Williams, 2006), and how much an action can be expected to gain on the best so far.
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

RESTARTS = 2  # of the search for the kernel's numbers, besides the usual start


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A Gaussian process that was fitted to what was measured."""

    process: "GaussianProcessRegressor"
    center: np.ndarray  # (f,) of the features
    scale: np.ndarray  # (f,)

    @property
    def theta(self) -> np.ndarray:
        """The logarithms of the kernel's numbers: (3,) float64."""
        return self.process.kernel_.theta

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (m,) each of the values of ``features`` (m, f)."""
        mean, deviation = self.process.predict(
            (features - self.center) / self.scale, return_std=True
        )
        return mean, deviation


def fit_surrogate(
    features: np.ndarray, values: np.ndarray, seed: int, theta: np.ndarray | None = None
) -> Surrogate | None:
    """A Gaussian process of ``values`` (k,) at ``features`` (k, f); None where nothing can be
    learned: fewer than two points, points that are all alike, or equal values.

    Its kernel is a constant times a Matern kernel of smoothness 5/2 plus white noise; their numbers
    maximize the likelihood, from starts drawn with ``seed``, or are those of ``theta`` (3,), an
    earlier fit's, which is not searched for. Features are standardized.

    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> surrogate = fit_surrogate(x, x[:, 0] * 0.1, seed=0)
    >>> mean, deviation = surrogate.predict(np.array([[1.5], [30.0]]))
    >>> float(round(mean[0], 2)), bool(deviation[0] < deviation[1])
    (0.15, True)
    >>> fit_surrogate(x, np.ones(4), seed=0) is None
    True
    """
    from sklearn.exceptions import ConvergenceWarning  # here: `import bet` needs no scikit-learn
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    spread = features.std(0) if len(features) else np.zeros(features.shape[1])
    if not (spread > 0).any() or not np.ptp(values) > 0 or not np.isfinite(values).all():
        return None
    center, scale = features.mean(0), np.where(spread > 0, spread, 1.0)
    smooth = Matern(length_scale=3.0, length_scale_bounds=(0.3, 100.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.01, 100.0)) * smooth + WhiteKernel(0.05, (1e-4, 1.0))
    if theta is not None:
        kernel = kernel.clone_with_theta(theta)
    process = GaussianProcessRegressor(
        kernel,
        optimizer="fmin_l_bfgs_b" if theta is None else None,
        normalize_y=True,
        n_restarts_optimizer=RESTARTS,
        random_state=seed,
    )
    with warnings.catch_warnings():  # a number at its bound is no mistake
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit((features - center) / scale, values)
    return Surrogate(process, center, scale)


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """E max(value - best, 0) of normal values (m,) with ``mean`` and ``deviation`` (m,) each
    (Jones et al., 1998).

    A value that is certain improves by what it is above the best, or not at all; one that is as
    good as the best on average, by deviation / sqrt(2 pi):

    >>> means, deviations = np.array([1.5, 0.5, 1.0]), np.array([0.0, 0.0, 1.0])
    >>> expected_improvement(means, deviations, best=1.0).round(4).tolist()
    [0.5, 0.0, 0.3989]
    """
    gain = mean - best
    z = np.divide(gain, deviation, out=np.zeros_like(gain), where=deviation > 0)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.where(deviation > 0, gain * ndtr(z) + deviation * density, np.maximum(gain, 0.0))
