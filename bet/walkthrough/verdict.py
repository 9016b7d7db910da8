"""One sentence after every result of a notebook: what it means, computed from the numbers."""

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

from bet.analysis.paired import paired
from bet.report.table import decimal
from bet.training import RankingMetrics

ABOUT_EQUAL = 0.02  # relative difference that one run without an interval cannot tell from none
SPREAD = (
    1.06  # of Spearman's correlation against Pearson's, after Fisher's z (Fieller et al., 1957)
)


def verdict_of_difference(
    name: str,
    value: float,
    other: str,
    other_value: float,
    *,
    interval: tuple[float, float] | None = None,
) -> str:
    """Which of two qualities is better, and whether that is sure: ``interval``, of ``value`` minus
    ``other_value``, decides; without one, differences below ``ABOUT_EQUAL`` count as none.

    >>> print(verdict_of_difference("BET", 0.2030, "uniform", 0.2031))
    BET .2030, uniform .2031 (+0.0 %): one run cannot tell the two apart.
    >>> print(verdict_of_difference("BET", 0.22, "uniform", 0.20, interval=(0.01, 0.03)))
    BET .2200, uniform .2000 (+10.0 %, 95 % interval +5.0 to +15.0 %): BET is better here.
    """
    relative = value / other_value - 1
    inside, better, worse = abs(relative) <= ABOUT_EQUAL, f"{name} is better", f"{other} is better"
    reach, unsure = "", "one run cannot tell the two apart"
    if interval is not None:
        low, high = (end / other_value for end in interval)
        inside, unsure = low <= 0 <= high, "these users cannot tell the two apart"
        reach = f" %, 95 % interval {_percent(low)} to {_percent(high)}"
    meaning = unsure if inside else f"{better if relative > 0 else worse} here"
    values = f"{name} {decimal(value)}, {other} {decimal(other_value)}"
    return f"{values} ({_percent(relative)}{reach} %): {meaning}."


def verdict_of_ranked(
    name: str, ranked: RankingMetrics, other: str, other_ranked: RankingMetrics
) -> str:
    """``verdict_of_difference`` of the quality (Eq. 13) of two models for the same users, whose
    interval is over users: what another split, start or search would change is not in it.
    """
    ours, theirs = (quality_by_user(metrics) for metrics in (ranked, other_ranked))
    interval = paired((ours - theirs)[None]).interval()
    return verdict_of_difference(name, ours.mean(), other, theirs.mean(), interval=interval)


def quality_by_user(ranked: RankingMetrics) -> np.ndarray:
    """Mean of Recall and NDCG at 5, 10 and 20 of every user: (u,) float64."""
    return np.mean(list(ranked.values.values()), axis=0)


def verdict_of_skill(name: str, predicted: np.ndarray, measured: np.ndarray) -> str:
    """How well ``predicted`` (m,) ranks what was ``measured`` (m,): Spearman's correlation, with an
    interval by Fisher's z, which needs at least four values.

    >>> print(verdict_of_skill("A coin", np.arange(6), np.array([3, 1, 5, 4, 0, 2])))
    A coin: rank correlation -0.26 on 6 actions (95 % interval -0.90 to 0.73): no skill is shown.
    >>> print(verdict_of_skill("An oracle", np.arange(6), np.arange(6)))
    An oracle: rank correlation 1.00 on 6 actions (95 % interval 1.00 to 1.00): it has skill.
    """
    m = len(measured)
    correlation = float(scipy.stats.spearmanr(predicted, measured).statistic)
    z = np.arctanh(np.clip(correlation, -1 + 1e-9, 1 - 1e-9))
    reach = SPREAD * scipy.stats.norm.ppf(0.975) / np.sqrt(max(m - 3, 1))
    low, high = np.tanh(z - reach), np.tanh(z + reach)
    found = f"rank correlation {correlation:.2f} on {m} actions"
    interval = f"95 % interval {low:.2f} to {high:.2f}"
    return f"{name}: {found} ({interval}): {meaning_of_skill(low, high)}."


def meaning_of_skill(low: float, high: float) -> str:
    """What the interval of a rank correlation says of the predictions.

    >>> meaning_of_skill(0.1, 0.5), meaning_of_skill(-0.1, 0.5), meaning_of_skill(-0.5, -0.1)
    ('it has skill', 'no skill is shown', 'it ranks backwards')
    """
    if low > 0:
        return "it has skill"
    # Also of predictions that are all alike and have no correlation.
    return "it ranks backwards" if high < 0 else "no skill is shown"


def verdict_of_count(count: int, total: int, claim: str) -> str:
    """Whether a ``claim`` about every one of ``total`` things holds, of which ``count`` obey it.

    >>> print(verdict_of_count(1000, 1000, "actions use exactly 40 columns"))
    1,000 of 1,000 actions use exactly 40 columns: it always holds here.
    >>> print(verdict_of_count(963, 1000, "actions are within the budget"))
    963 of 1,000 actions are within the budget: it does not hold.
    """
    meaning = "it always holds here" if count == total else "it does not hold"
    return f"{count:,} of {total:,} {claim}: {meaning}."


def _percent(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"  # no negative zero
