"""Actions that give every entity a size and a precision, exact in bytes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bet.actions.action import Action
from bet.actions.allocation import Allocation
from bet.actions.budget import Budget
from bet.actions.sampler import sample_action
from bet.data import FrequencyOrder

PRECISIONS = (1, 2, 4, 8)  # bits per number, each a multiple of the one before
LEVELS = 16  # lengths that rows may have
NARROWEST = 8  # the smallest width c is d_max / 8


@dataclass(frozen=True)
class PrecisionSpace:
    """An action is drawn in two steps. The sampler of sizes gives every row a number of bytes. Then
    each side draws a width c, log-uniform in [d_max / 8, d_max]; a row takes the fewest bits at
    which it has at most c columns, or 8 if none do. So longer rows never have fewer bits.

    ``lengths``: the budget of the first step, in bytes. Its step is a multiple of ``copies`` bytes,
    so every row fills its bytes to the last bit: exact lengths are exact sizes and bits. Rows of 1
    and 2 bytes have two columns at 4 and at 8 bits; a row of 4 bytes has more at any:

    >>> order = FrequencyOrder(np.array([5, 1]), np.array([7, 3]))
    >>> space = PrecisionSpace(order, row_lengths(n=4, copies=1, longest=4, available=10), d_max=4)
    >>> space.bits(np.array([1, 2, 4]), most=np.array([2, 2, 2]))
    array([4, 8, 8])
    """

    order: FrequencyOrder
    lengths: Budget
    d_max: int
    copies: int = 1

    @cached_property
    def kinds(self) -> np.ndarray:
        """(size, bits) that rows may have, by bytes, then bits: (k, 2) int64."""
        kinds, step = [], self.lengths.step
        for length in range(step, self.lengths.d_max + 1, step):
            for bits in PRECISIONS:
                size = 8 * length // (bits * self.copies)
                if 1 <= size <= self.d_max:
                    kinds.append((size, bits))
        return np.array(kinds, dtype=np.int64)

    @cached_property
    def sets(self) -> np.ndarray:
        return (self.kinds / [self.d_max, PRECISIONS[-1]]).astype(np.float32)

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        return [
            self._with_precision(sample_action(self.order, self.lengths, rng), rng)
            for _ in range(m)
        ]

    def _with_precision(self, action: Action, rng: np.random.Generator) -> Action:
        low, high = np.log(self.d_max / NARROWEST), np.log(self.d_max)
        most = np.exp(rng.uniform(low, high, 2))  # c of users and of items
        lengths = action.sizes.astype(np.int64)  # (n,), what was drawn as sizes are bytes
        side = (np.arange(len(lengths)) >= action.n_users).astype(int)
        bits = self.bits(lengths, most[side])
        sizes = 8 * lengths // (bits * self.copies)
        drawn = {"user_columns": float(most[0]), "item_columns": float(most[1])}
        return Action(
            Allocation.from_sizes(sizes, bits), action.n_users, {**action.origin, **drawn}
        )

    def bits(self, lengths: np.ndarray, most: np.ndarray) -> np.ndarray:
        """The fewest bits at which rows of ``lengths`` (n,) bytes have no more than ``most`` (n,)
        columns: (n,) int64.
        """
        fewest = np.full(len(lengths), PRECISIONS[-1])
        # From many bits to few: the last that fits is the fewest.
        for bits in PRECISIONS[-2::-1]:
            fewest[8 * lengths.astype(np.int64) // (bits * self.copies) <= most] = bits
        return fewest

    def histograms(self, action: Action) -> np.ndarray:
        assert action.allocation.bits is not None
        # One number for each pair of size and bits: bits are below 64.
        code = 64 * action.sizes.astype(np.int64) + action.allocation.bits  # (n,)
        listed = 64 * self.kinds[:, 0] + self.kinds[:, 1]  # (k,)
        order = np.argsort(listed)
        row_kinds = order[np.searchsorted(listed[order], code)]  # (n,)
        sides = (row_kinds[: action.n_users], row_kinds[action.n_users :])
        counts = np.stack([np.bincount(side, minlength=len(listed)) for side in sides])
        return np.pad(counts, ((0, 0), (1, 0)))  # no row is empty


def longest_row(n: int, d_max: int, copies: int, available: int) -> int:
    """Bytes that a row may have: four times the mean, at most d_max columns at eight bits, at least
    a byte per copy.

    >>> longest_row(n=10, d_max=64, copies=1, available=80), longest_row(10, 16, 1, 80)
    (32, 16)
    """
    return max(copies, min(d_max * copies, 4 * available // n))


def row_lengths(n: int, copies: int, longest: int, available: int) -> Budget:
    """A ``Budget`` that counts bytes instead of columns: ``n`` rows share ``available`` bytes, each
    at most ``longest``, in steps that leave at most ``LEVELS`` lengths.

    Raises BetError unless every row can have the shortest.

    >>> lengths = row_lengths(n=10, copies=1, longest=32, available=101)
    >>> lengths.total, lengths.d_max, lengths.step  # rows of 2, 4, ..., 32 bytes
    (100, 32, 2)
    """
    step = copies * max(1, -(-longest // (LEVELS * copies)))
    most = max(step, min(longest, LEVELS * step) // step * step)
    total = available // step * step
    return Budget(total, n, d_max=most, d_min=step, step=step)
