"""What a difference between two methods is worth: seeds and users resampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
MARGIN = 0.01  # of the full table's NDCG@20: what is equivalent to it differs by less


@dataclass(frozen=True)
class Paired:
    """A mean ``difference`` over ``runs`` and ``users``, with its standard ``error`` and
    ``freedom`` (degrees of freedom of Student's t).
    """

    difference: float
    error: float
    freedom: float
    runs: int
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


def paired(*blocks: np.ndarray, shares: Sequence[float] = (1.0,)) -> Paired:
    """Compare from ``blocks`` of differences (r, u), of r runs on the same u users; of several
    blocks, each of other runs, the sum of what each has times its share. Of a single user nothing
    is sure.

    The error is that of a bootstrap which draws runs (splits, starts and searches), then users, the
    same for all runs, because the same people are in all of them; one fewer of both than there are,
    which makes the error of a mean unbiased (McCarthy and Snowden 1985). For a mean, endless
    resamples have a closed form: the variance of run means over r, that of user means over u, and
    what neither explains, over r u. Counting that last part in each of the three makes the error a
    little too large (Owen 2007), never too small. Of a block with one run only users are drawn:
    what another split, start or search would change there is then not in it.

    Percentiles of resamples of three runs cannot reach beyond the three, so intervals and p are of
    Student's t instead, its degrees of freedom by Satterthwaite's formula: about r - 1 where runs
    differ most, about u - 1 where users do. p is of the mean, which is what is reported; a rank
    test over users would say nothing of runs.

    >>> two = paired(np.array([[0.0, 2.0], [2.0, 4.0]]))  # run means 1 and 3, user means 1 and 3
    >>> two.difference, two.error**2, two.freedom  # (2 / 2 + 2 / 2 + 0), 2^2 / (1 / 1 + 1 / 1)
    (2.0, 2.0, 2.0)
    """
    runs, u = max(len(block) for block in blocks), blocks[0].shape[1]
    weighted = list(zip(shares, blocks, strict=True))
    if u < 2:
        mean = sum(share * float(block.sum() / max(block.size, 1)) for share, block in weighted)
        return Paired(mean, np.inf, 1.0, runs, u)
    mean = float(sum(share * block.mean() for share, block in weighted))
    by_users = float(sum(share * block.mean(0) for share, block in weighted).var(ddof=1)) / u
    by_runs = left = doubt = 0.0
    for share, block in weighted:
        r = len(block)
        if r > 1:
            run_means, user_means = block.mean(1), block.mean(0)
            of_runs = share**2 * float(run_means.var(ddof=1)) / r
            rest = block - run_means[:, None] - user_means + block.mean()
            left += share**2 * float(np.square(rest).sum()) / ((r - 1) * (u - 1)) / (r * u)
            by_runs += of_runs
            doubt += of_runs**2 / (r - 1)
    error = float(np.sqrt(by_runs + by_users + left))
    freedom = float(u - 1)
    if by_runs:
        freedom = (by_runs + by_users) ** 2 / (doubt + by_users**2 / (u - 1))
    return Paired(mean, error, freedom, runs, u)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values (k,)."""
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
