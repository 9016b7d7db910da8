"""Actions of one width for everybody whose bits per number fall with the frequency rank, exact in
bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from bet.actions.action import Action
from bet.actions.allocation import Allocation
from bet.actions.features import quarters
from bet.actions.precision import PRECISIONS
from bet.data.frequency import FrequencyOrder

SMALLEST_SPREAD = 1e-3  # no two rows of a side are promoted at once
PRIOR_SPREAD, PRIOR_TILT = 0.4, 0.5  # mean of the spreads, deviation of the tilt
DEVIATIONS = (0.05, 0.15, 0.4)  # of what a mutation adds to every number, one of them each


@dataclass(frozen=True)
class PrecisionRule:
    """How bits follow from ranks: a row whose share q of its side is more frequent has about
    2^(c + spread * z) bits, z the normal quantile of 1 - q; users have 2^tilt times the items'
    bits at equal q. c is what the bytes leave.

    A spread of 0 is the same for a whole side, or the two neighboring numbers of bits between which
    the bytes lie. Of normal quantiles every two shares are one spread: 10 % at 4 bits, 70 % at 2
    and 20 % at 1 are a spread of .47.
    """

    width: int
    user_spread: float = 0.0
    item_spread: float = 0.0
    tilt: float = 0.0

    @classmethod
    def of(cls, action: Action) -> "PrecisionRule":
        """The rule that ``action`` was made of; widths that are no whole number are rounded down.

        Raises KeyError for an action that was made otherwise.
        """
        numbers = {field.name: action.origin[field.name] for field in fields(cls)}
        return cls(**{**numbers, "width": int(numbers["width"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class RankPrecision:
    """All rules for the entities of ``order`` whose rows have at most ``d_max`` columns of
    ``copies`` numbers, and together at most ``room(width)`` bytes.

    Rows of four columns are one byte at 2 bits and two at 4; with 7 bytes for five rows the two
    most frequent of the four users have 4 bits, the only item is in the middle of its side:

    >>> order = FrequencyOrder(np.array([5, 4, 3, 1]), np.array([7]))
    >>> ranked = RankPrecision(order, d_max=8, room=lambda width: 7)
    >>> ranked.action(PrecisionRule(width=4)).allocation.bits
    array([4, 4, 2, 2, 2], dtype=int16)
    """

    order: FrequencyOrder
    d_max: int
    room: Callable[[int], int]
    copies: int = 1

    def row_bytes(self, width: int) -> np.ndarray:
        """Of a row at every precision, (4,)."""
        return -(-width * self.copies * np.array(PRECISIONS) // 8)

    def fewest_bits(self, width: int) -> int:
        """The most bits that all rows can have at once; 0: none."""
        fitting = self.order.n * self.row_bytes(width) <= self.room(width)
        return max(
            (bits for bits, fits in zip(PRECISIONS, fitting, strict=True) if fits), default=0
        )

    @cached_property
    def widths(self) -> tuple[int, int]:
        """The narrowest and the widest rows that use the bytes; (0, 0) where not even one column of
        one bit fits.
        """
        widths = np.arange(1, self.d_max + 1)
        bits = np.array([self.fewest_bits(int(width)) for width in widths])  # falling
        if not bits[0]:
            return 0, 0
        return max(1, int((bits == PRECISIONS[-1]).sum())), int((bits > 0).sum())

    def width_at(self, mean_bits: float) -> int:
        """The widest rows that can have ``mean_bits`` on average, in whole bytes."""
        bits = self.order.n * self.copies * mean_bits  # of a column
        return self.whole_bytes(8 * self.room(self.widths[1]) / bits)

    def whole_bytes(self, width: float) -> int:
        """``width`` within ``widths``, rounded down so that the fewest bits that everybody can
        have fill whole bytes, unless that leaves nothing.
        """
        low, high = self.widths
        chosen = int(min(max(width, low), high))
        step = max(1, 8 // (self.fewest_bits(chosen) * self.copies))
        return max(low, chosen // step * step)

    def action(self, rule: PrecisionRule) -> Action:
        """The action of ``rule``: what is left of ``room`` is less than the next row's step to
        twice its bits, unless all rows have the most.
        """
        order, row_bytes = self.order, self.row_bytes(rule.width)
        sides = order.n_users, order.n - order.n_users
        places = [
            offset + max(spread, SMALLEST_SPREAD) * _quantiles(k)
            for k, spread, offset in zip(
                sides, (rule.user_spread, rule.item_spread), (rule.tilt, 0.0), strict=True
            )
        ]
        left = self.room(rule.width) - order.n * int(row_bytes[0])
        reached = _promoted(places, np.diff(row_bytes), left)  # (2, 3) rows
        by_rank = []
        for k, counts in zip(sides, reached, strict=True):
            levels = (np.arange(k) < counts[:, None]).sum(0)  # (k,)
            by_rank.append(np.array(PRECISIONS)[levels])
        bits = np.empty(order.n, dtype=np.int64)
        bits[order.entities] = np.concatenate(by_rank)
        allocation = Allocation.from_sizes(np.full(order.n, rule.width), bits)
        return Action(allocation, order.n_users, asdict(rule))

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        """``m`` actions: log-uniform widths, exponential spreads, normal tilts."""
        low, high = np.log(self.widths)
        actions = []
        for _ in range(m):
            width = self.whole_bytes(np.exp(rng.uniform(low, high)))
            users, items = rng.exponential(PRIOR_SPREAD, 2).tolist()
            rule = PrecisionRule(width, users, items, float(rng.normal(0, PRIOR_TILT)))
            actions.append(self.action(rule))
        return actions

    def mutate(self, action: Action, m: int, rng: np.random.Generator) -> list[Action]:
        """``m`` actions whose rule is near that of ``action``."""
        rule, actions = PrecisionRule.of(action), []
        for _ in range(m):
            width, users, items, tilt = rng.normal(0, rng.choice(DEVIATIONS), 4).tolist()
            near = PrecisionRule(
                self.whole_bytes(rule.width * np.exp(width)),
                abs(rule.user_spread + users),
                abs(rule.item_spread + items),
                rule.tilt + tilt,
            )
            actions.append(self.action(near))
        return actions


def _quantiles(k: int) -> np.ndarray:
    """Normal quantiles of ``k`` ranks, the most frequent first, falling: (k,)."""
    return ndtri(1 - (np.arange(k) + 0.5) / k)


def _promoted(places: Sequence[np.ndarray], costs: np.ndarray, left: int) -> np.ndarray:
    """How many rows of either side reach twice, four and eight times one bit, at ``costs`` (3,)
    bytes a row, with ``left`` bytes: (2, 3).

    A row goes to level j (from 1) where c, which rises as long as bytes are left, has come to
    j - 1/2 minus its place; ``places`` of both sides fall with the rank.
    """
    rising = [-side for side in places]

    def reached(c: float) -> np.ndarray:
        return np.array(
            [np.searchsorted(side, c - (np.arange(3) + 0.5), side="right") for side in rising]
        )

    low = min(side[0] for side in rising)
    high = max(side[-1] for side in rising) + len(costs)
    if (reached(high) @ costs).sum() <= left:
        return reached(high)
    while high - low > 1e-12 * max(1.0, abs(high)):
        middle = (low + high) / 2
        low, high = (middle, high) if (reached(middle) @ costs).sum() <= left else (low, middle)
    counts, left = reached(low), left - int((reached(low) @ costs).sum())
    # Rows whose turn comes at the same c, as far as numbers tell: one after the other.
    while True:
        turns = []
        for side, ascending in enumerate(rising):
            below = [len(ascending), *counts[side]]  # rows that have come to the level before
            turns += [
                (ascending[counts[side, level]] + level + 0.5, level, side)
                for level in range(3)
                if counts[side, level] < below[level]
            ]
        if not turns or costs[min(turns)[1]] > left:
            return counts
        _, level, side = min(turns)
        counts[side, level] += 1
        left -= int(costs[level])


def precision_features(order: FrequencyOrder, actions: Sequence[Action]) -> np.ndarray:
    """(m, 12) float64: the log2 mean width; of users, then of items, the log2 mean bits of all and
    of every quarter by frequency rank; the log2 ratio of both sides' numbers of bits.

    Two users of 4 and 2 bits and two items of 2 bits, all of eight columns:

    >>> order = FrequencyOrder(np.array([2, 1]), np.array([9, 5]))
    >>> allocation = Allocation.from_sizes(np.full(4, 8), np.array([4, 2, 2, 2]))
    >>> precision_features(order, [Action(allocation, n_users=2)]).round(2).tolist()
    [[3.0, 1.58, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.58]]
    """
    return np.stack([_of_bits(order, action) for action in actions])


def _of_bits(order: FrequencyOrder, action: Action) -> np.ndarray:
    bits = action.allocation.bits
    assert bits is not None
    by_rank = bits[order.entities].astype(np.float64)
    features, totals = [action.sizes.mean()], []
    for side in (by_rank[: order.n_users], by_rank[order.n_users :]):
        features += [side.mean(), *(quarter.mean() for quarter in quarters(side))]
        totals.append(side.sum())
    return np.log2([*features, totals[0] / totals[1]])
