"""Linear bandits that forget: LinUCB with discounted sums, and what not forgetting costs when the
best arm changes.

The form is ours, from discounted LinUCB (Russac et al., NeurIPS 2019): the formulas of DESS could
not be read.
"""

from dataclasses import dataclass

import numpy as np

from bet.seeds import numpy_generator


class DiscountedLinUcb:
    """``n_arms`` linear models of the reward in a context of ``n_features`` numbers, each with its
    own ridge regression of weight ``ridge``. An update first discounts what was seen before by
    ``forget``; 1 never forgets. An arm's value is optimistic by ``explore`` standard errors.

    >>> bandit = DiscountedLinUcb(2, 1, forget=1.0)
    >>> bandit.update(np.ones((2, 1)), np.array([0, 1]), np.array([0.0, 1.0]))
    >>> bandit.choose(np.ones((1, 1)))
    array([1])
    """

    def __init__(
        self,
        n_arms: int,
        n_features: int,
        *,
        forget: float,
        explore: float = 0.5,
        ridge: float = 1.0,
    ):
        self.forget, self.explore, self.ridge = forget, explore, ridge
        self.a = np.tile(ridge * np.eye(n_features), (n_arms, 1, 1))  # (K, f, f)
        self.b = np.zeros((n_arms, n_features))  # (K, f)

    def update(self, contexts: np.ndarray, arms: np.ndarray, rewards: np.ndarray) -> None:
        """Learn that ``arms`` (m,) gave ``rewards`` (m,) in ``contexts`` (m, f): one step of time,
        after which all that was learned before weighs less. Arms that were not pulled forget, too.
        """
        self.a = self.forget * self.a + (1 - self.forget) * self.ridge * np.eye(self.a.shape[1])
        self.b = self.forget * self.b
        for arm in range(len(self.a)):
            x = contexts[arms == arm]
            self.a[arm] += x.T @ x
            self.b[arm] += rewards[arms == arm] @ x

    def values(self, contexts: np.ndarray, more: np.ndarray | None = None) -> np.ndarray:
        """Optimistic values (m, K) of every arm in ``contexts`` (m, f). ``more`` (K, f, f): what
        was pulled since the last update, whose rewards are not known yet: it is less uncertain.
        """
        inverse = np.linalg.inv(self.a)
        theta = np.einsum("kfg,kg->kf", inverse, self.b)
        surer = inverse if more is None else np.linalg.inv(self.a + more)
        variance = np.einsum("mf,kfg,mg->mk", contexts, surer, contexts)
        return contexts @ theta.T + self.explore * np.sqrt(np.maximum(variance, 0.0))

    def choose(self, contexts: np.ndarray) -> np.ndarray:
        """The arm of the largest value in each of ``contexts`` (m, f): (m,) int64; of equals the
        first.
        """
        return self.values(contexts).argmax(1)


@dataclass(frozen=True)
class Change:
    """A made-up bandit whose best arms are known: rewards are linear in contexts of three numbers,
    noise of ``noise`` besides; the weights of the arms change places at step ``at`` of ``steps``.
    ``together``: contexts of a step, for all of which arms are chosen before a reward is seen.
    """

    n_arms: int = 5
    steps: int = 2_000
    at: int = 1_000
    noise: float = 0.1
    seed: int = 0
    together: int = 1

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every arm before and after the change: (K, 3) each."""
        before = numpy_generator(self.seed, "arms").uniform(-0.5, 0.5, (self.n_arms, 3))
        return before, np.roll(before, 1, axis=0)


def regret(bandit: DiscountedLinUcb, change: Change) -> np.ndarray:
    """What ``bandit``, of three features, has missed so far after every step, against the arms that
    are best then, by context: (steps,) float64, not falling.
    """
    rng, missed = numpy_generator(change.seed, "contexts and noise"), np.zeros(change.steps)
    m = change.together
    contexts = np.concatenate(
        [np.ones((change.steps * m, 1)), rng.random((change.steps * m, 2))], axis=1
    )
    noise = change.noise * rng.standard_normal(change.steps * m)
    before, after = change.weights()
    for step in range(change.steps):
        part = slice(step * m, (step + 1) * m)
        x = contexts[part]
        expected = x @ (before if step < change.at else after).T  # (m, K)
        arms = bandit.choose(x)
        got = expected[np.arange(m), arms]
        missed[step] = (expected.max(1) - got).mean()
        bandit.update(x, arms, got + noise[part])
    return missed.cumsum()
