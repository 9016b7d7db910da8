"""What a difference between two methods is worth: seeds and users resampled."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
MARGIN = 0.01  # of the full table's NDCG@20: what is equivalent to it differs by less


@dataclass(frozen=True)
class Paired:
    """A mean ``difference`` over runs and ``users``, with its standard ``error`` and ``freedom``
    (degrees of freedom of Student's t).
    """

    difference: float
    error: float
    freedom: float
    users: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Low and high end, symmetric about the difference."""
        reach = self.error * float(scipy.stats.t.ppf((1 + confidence) / 2, self.freedom))
        return self.difference - reach, self.difference + reach

    @property
    def p(self) -> float:
        """Two-sided, of no difference: below 5 % where the 95 % interval is without zero."""
        if not self.error:
            return float(self.difference == 0)
        return float(2 * scipy.stats.t.sf(abs(self.difference / self.error), self.freedom))

    def is_equivalent(self, margin: float) -> bool:
        """Two one-sided tests at 5 % (Schuirmann 1987): whether the difference is surely above
        ``-margin`` and surely below ``margin``, which is whether the 90 % interval is between them.
        """
        low, high = self.interval(1 - 2 * SIGNIFICANT)
        return -margin < low and high < margin


def paired(
    *blocks: np.ndarray,
    settings: Sequence[int] = (1,),
    names: Sequence[Sequence[str]] | None = None,
) -> Paired:
    """Compare from ``blocks`` (r, u) of differences, of r runs on the same u users; of several,
    from the sum of their means, each times its share of ``settings``. ``names``: of the runs, by
    block; without them, rows at one place are one run. Of a single user nothing is sure.

    The error is that of a bootstrap which draws runs (splits, starts and searches), then users, the
    same for all runs, because the same people are in all of them; one fewer of both than there are,
    which makes the error of a mean unbiased (McCarthy and Snowden 1985). For a mean, endless
    resamples have a closed form: the variance of run means over r, that of user means over u, and
    what neither explains, over r u. Counting that last part in each of the three makes the error a
    little too large (Owen 2007), never too small. With one run only users are drawn: what another
    split, start or search would change is then not in it. Beside a block of several runs, one of a
    single run is taken to vary from run to run as that does, and with it where they share runs.

    Percentiles of resamples of three runs cannot reach beyond the three, so intervals and p are of
    Student's t instead, its degrees of freedom by Satterthwaite's formula: about r - 1 where runs
    differ most, about u - 1 where users do. p is of the mean, which is what is reported; a rank
    test over users would say nothing of runs.

    >>> two = paired(np.array([[0.0, 2.0], [2.0, 4.0]]))  # run means 1 and 3, user means 1 and 3
    >>> two.difference, two.error**2, two.freedom  # (2 / 2 + 2 / 2 + 0), 2^2 / (1 / 1 + 1 / 1)
    (2.0, 2.0, 2.0)
    """
    u, shares = blocks[0].shape[1], [count / sum(settings) for count in settings]
    weighted = list(zip(shares, blocks, strict=True))
    if u < 2:
        mean = sum(share * float(block.sum() / max(block.size, 1)) for share, block in weighted)
        return Paired(mean, np.inf, 1.0, u)
    mean = float(sum(share * block.mean() for share, block in weighted))
    by_users = float(sum(share * block.mean(0) for share, block in weighted).var(ddof=1)) / u
    repeated = [(share, block) for share, block in weighted if len(block) > 1]
    if not repeated:
        return Paired(mean, float(np.sqrt(by_users)), float(u - 1), u)
    degrees = [len(block) - 1 for _, block in repeated]
    variances = [float(block.mean(1).var(ddof=1)) for _, block in repeated]
    pooled = float(np.average(variances, weights=degrees))
    part = _squared_weights(blocks, settings, names)
    by_runs = pooled * part.numerator / part.denominator
    by_both = sum(share**2 * _unexplained(block) for share, block in repeated)
    error = float(np.sqrt(by_runs + by_users + by_both))
    freedom = float(u - 1)
    if by_runs:
        freedom = (by_runs + by_users) ** 2 / (by_runs**2 / max(degrees) + by_users**2 / (u - 1))
    return Paired(mean, error, freedom, u)


def _squared_weights(
    blocks: Sequence[np.ndarray], settings: Sequence[int], names: Sequence[Sequence[str]] | None
) -> Fraction:
    """The sum over runs of the squared weights that they have in the mean: 1 / r of one block."""
    weights: dict[str | int, Fraction] = {}
    for k, (block, count) in enumerate(zip(blocks, settings, strict=True)):
        for name in range(len(block)) if names is None else names[k]:
            weight = Fraction(count, sum(settings) * len(block))
            weights[name] = weights.get(name, Fraction()) + weight
    return sum((weight**2 for weight in weights.values()), Fraction())


def _unexplained(block: np.ndarray) -> float:
    """The variance of the mean of ``block`` (r, u) by what is neither of a run nor of a user."""
    r, u = block.shape
    rest = block - block.mean(1)[:, None] - block.mean(0) + block.mean()
    return float(np.square(rest).sum()) / ((r - 1) * (u - 1)) / (r * u)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values (k,)."""
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
