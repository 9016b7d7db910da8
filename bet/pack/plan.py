"""How vectors may be stored under a byte budget, and which way loses least on a sample."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bet.errors import BetError
from bet.pack.axes import Axes, maps_of
from bet.pack.encode import decode, encode
from bet.packed import BITS, IdLayout, Layout
from bet.recommend.top import top_k

# Bits of the most frequent rows, of the next and of the rest, and the shares of rows.
MIXED: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = (
    ((2, 1), (0.5, 0.5)),
    ((4, 2, 1), (0.1, 0.7, 0.2)),
    ((4, 2, 1), (0.2, 0.4, 0.4)),
    ((8, 4, 2), (0.1, 0.7, 0.2)),
    ((8, 4, 2), (0.2, 0.4, 0.4)),
)


@dataclass(frozen=True)
class Plan:
    """``columns`` numbers per row, in ``axes``; ``bits`` of the rows by frequency, and the
    ``shares`` of either side's rows that have them.
    """

    columns: int
    bits: tuple[int, ...]
    shares: tuple[float, ...]
    axes: Axes

    def counts(self, n: int) -> np.ndarray:
        """How many of a side's ``n`` rows have each of ``bits``, the most frequent first.

        >>> Plan(8, (4, 2, 1), (0.1, 0.7, 0.2), "rotated").counts(10).tolist()
        [1, 7, 2]
        """
        ends = np.round(np.cumsum(self.shares) * n).astype(np.int64)
        ends[-1] = n
        return np.diff(ends, prepend=0)

    def layout(self, n_users: int, n_items: int, ids: IdLayout = ()) -> Layout:
        """Where every byte of the file is."""
        kinds = np.array([(self.columns, bits) for bits in self.bits])
        counts = np.stack([self.counts(n_users), self.counts(n_items)])
        return Layout(kinds, counts, ids=ids, file_kind="vectors")

    @property
    def text(self) -> str:
        """What a row consists of, in words."""
        parts = [
            f"{share:.0%} of the rows in {bits}"
            for bits, share in zip(self.bits, self.shares, strict=True)
        ]
        bits = f"{self.bits[0]} bits each" if len(self.bits) == 1 else f"bits: {', '.join(parts)}"
        return f"{self.columns} numbers of {bits}; axes: {self.axes}"


@dataclass(frozen=True)
class Room:
    """What a file of ``n_users`` and ``n_items`` vectors of ``d`` numbers may take: ``limit`` bytes
    with ids laid out as ``ids``.
    """

    n_users: int
    n_items: int
    d: int
    limit: int
    ids: IdLayout = ()

    def length(self, plan: Plan) -> int:
        """Bytes of the file."""
        return plan.layout(self.n_users, self.n_items, self.ids).byte_report().total

    def check(self, budget: str) -> None:
        """Raise BetError where not even a bit per number fits; ``budget``: as it was given."""
        least = self.length(Plan(self.d, (1,), (1.0,), "given"))
        if least > self.limit:
            n, left = self.n_users + self.n_items, max(0, self.limit)
            raise BetError(
                f"a budget of {budget} leaves {left:,} bytes for vectors, less than one bit per "
                f"number takes: {n:,} vectors of {self.d} numbers, with a step of two bytes each "
                f"and a header, are {least:,} bytes; give more, pack shorter vectors, or keep ids "
                "and histories out of the file"
            )

    def widest(self, bits: tuple[int, ...], shares: tuple[float, ...]) -> int:
        """The most columns, at most ``d``, that fit; 0: none."""
        low, high = 0, self.d
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.length(Plan(middle, bits, shares, "given")) <= self.limit
            low, high = (middle, high) if fits else (low, middle - 1)
        return low


def plans(room: Room, by_frequency: bool) -> list[Plan]:
    """Every way that fits: each number of bits with as many columns as there is room for, and,
    ``by_frequency``, mixtures of bits. None where not even a bit per row fits.

    >>> room = Room(n_users=100, n_items=100, d=8, limit=1_600)
    >>> {plan.bits: plan.columns for plan in plans(room, by_frequency=False)}
    {(16,): 3, (32,): 1, (8,): 4, (4,): 8, (2,): 8, (1,): 8}
    """
    alike: list[tuple[tuple[int, ...], tuple[float, ...]]] = [
        ((bits,), (1.0,)) for bits in reversed(BITS)
    ]
    possible: list[Plan] = []
    for bits, shares in [*alike, *(MIXED if by_frequency else ())]:
        columns = room.widest(bits, shares)
        if not columns:
            continue
        if columns == room.d:
            possible.append(Plan(columns, bits, shares, "given"))
            if min(bits) >= 16:
                # Further ones would have fewer bits: nothing can be better.
                return possible
        possible.append(Plan(columns, bits, shares, "principal"))
        if max(bits) < 16:
            possible.append(Plan(columns, bits, shares, "rotated"))
    return sorted(possible, key=lambda plan: -plan.columns * plan.bits[0])


@dataclass(frozen=True)
class Sample:
    """Vectors of some users (s, d) and items (t, d), float32, and the place by frequency of each
    among its side's rows, in [0, 1).
    """

    users: np.ndarray
    items: np.ndarray
    user_ranks: np.ndarray
    item_ranks: np.ndarray


CUTOFFS = (10, 100)


def best_plan(
    candidates: Iterable[Plan], sample: Sample, principal: tuple[np.ndarray, np.ndarray]
) -> Plan:
    """The plan whose top 10 and 100 items of the sample's users share most with the float32 ones';
    the first of equal ones.
    """
    exact = _tops(sample.users @ sample.items.T)
    best, most = None, -1.0
    for plan in candidates:
        maps = maps_of(plan.axes, plan.columns, principal)
        users = rounded(sample.users, sample.user_ranks, plan, maps[0])
        items = rounded(sample.items, sample.item_ranks, plan, maps[1])
        tops = zip(exact, _tops(users @ items.T), strict=True)
        kept = float(np.mean([overlap(one, other) for one, other in tops]))
        if kept > most:
            best, most = plan, kept
    assert best is not None
    return best


def _tops(scores: np.ndarray) -> Sequence[np.ndarray]:
    best = top_k(scores, min(max(CUTOFFS), scores.shape[1])).items
    return [best[:, :k] for k in CUTOFFS]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The share of items that two lists of every user, (b, k) each, have in common; their mean.

    >>> overlap(np.array([[1, 2]]), np.array([[2, 3]]))
    0.5
    """
    both = np.sort(np.concatenate([one, other], axis=1), axis=1)
    return float((both[:, 1:] == both[:, :-1]).sum() / one.size)


def rounded(
    values: np.ndarray, ranks: np.ndarray, plan: Plan, to_axes: np.ndarray | None
) -> np.ndarray:
    """What a file gives back of rows ``values`` (m, d) at ``ranks`` (m,): (m, columns) float32."""
    values = values if to_axes is None else values @ to_axes
    kinds = np.minimum(
        np.searchsorted(np.cumsum(plan.shares), ranks, side="right"), len(plan.bits) - 1
    )
    out = np.empty((len(values), plan.columns), dtype=np.float32)
    for kind, bits in enumerate(plan.bits):
        members = np.flatnonzero(kinds == kind)
        if len(members):
            out[members] = decode(encode(values[members], bits), bits, plan.columns)
    return out
