"""What short trainings have shown so far, over all segments, and a surrogate of it."""

from typing import Any

import numpy as np
import torch

from bet.search import Surrogate, fit_surrogate

MOST = 2.0  # times the reference: of a quality near chance larger ratios say nothing
REMEMBERED = 60  # measurements that the surrogate is fitted to, the latest ones


def relative(quality: float, reference: float) -> float:
    """``quality`` over that of a ``reference``, at most ``MOST``; 1 where that is zero, which tells
    sizes apart no more.

    >>> [relative(0.1, each) for each in (0.2, 0.01, 0.0)]
    [0.5, 2.0, 1.0]
    """
    return min(MOST, quality / reference) if reference > 0 else 1.0


class Measurements:
    """``features`` (m, f) and ``values`` (m,) of the latest measurements. The kernel's numbers are
    fitted anew whenever their count has doubled: that takes longer than a small segment's training.
    """

    def __init__(self) -> None:
        self.features, self.values = np.zeros((0, 0)), np.zeros(0)
        self.theta: np.ndarray | None = None  # of the kernel, from the first ``fitted`` ones
        self.count = self.fitted = 0
        self._latest: tuple[int, Surrogate | None] = (0, None)  # count, and what was fitted then

    def add(self, features: np.ndarray, value: float) -> None:
        """One more, of ``features`` (f,)."""
        known = self.features.reshape(-1, len(features))
        self.features = np.concatenate([known, features[None]])[-REMEMBERED:]
        self.values = np.append(self.values, value)[-REMEMBERED:]
        self.count += 1

    def surrogate(self, seed: int) -> Surrogate | None:
        """Fitted to all that is remembered; None where nothing can be learned."""
        count, latest = self._latest
        if count == self.count:
            return latest
        doubled = self.count >= 2 * self.fitted
        theta = None if doubled else self.theta
        surrogate = fit_surrogate(self.features, self.values, seed, theta)
        if doubled and surrogate is not None:
            self.theta, self.fitted = surrogate.theta, self.count
        self._latest = self.count, surrogate
        return surrogate

    def state_dict(self) -> dict[str, Any]:
        """As tensors and numbers."""
        arrays = {"features": self.features, "values": self.values, "theta": self.theta}
        kept = {name: torch.from_numpy(part) for name, part in arrays.items() if part is not None}
        return kept | {"count": self.count, "fitted": self.fitted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.features, self.values = state["features"].numpy(), state["values"].numpy()
        self.theta = state["theta"].numpy() if "theta" in state else None
        self.count, self.fitted = state["count"], state["fitted"]
