"""Every user's items, as sorted lists in few bits: Golomb-Rice codes of the gaps between them.

A gap is the number of items that are left out between two of a list, so 0 for neighbors; the first
is counted from the start. It is coded as a quotient by 2^w, in unary (so many zeros, then a one),
and a remainder of w bits (Rice, JPL Publication 79-22, 1979; Golomb 1966). Quotients and remainders
of all users stand one after the other in two streams.

Items are numbered by frequency, so a list is dense at its start and sparse at its end. Therefore w
depends on the place in the list: a list of ``d`` items is cut into ``SEGMENTS`` equal segments, and
w is stored for each of them and each number of binary digits that ``d`` has. So w follows from
``d`` alone, and where a user's remainders are follows from the sizes of the lists before. Where its
quotients are is counted once, when a file is opened. Any other numbering comes back as well, from
more bytes.

``python -m benchmarks.sweeps.interactions`` compares the size with others and with the entropy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bet.errors import BetError
from bet.packed.bitstream import pack_numbers, pack_stream
from bet.packed.safetensors_io import DTYPES, Shapes, dtype_up_to, shapes_of, tensor_bytes

SEGMENTS = 8  # of a list, each with its width of remainders
MOST_ITEMS = 2**31 - 1
MOST_BITS = 31  # of a remainder
PARTS = ("degrees", "widths", "quotients", "remainders")  # tensors


@dataclass(frozen=True)
class InteractionLayout:
    """Shapes of coded interactions of ``n_users`` and ``n_items``: name -> (dtype, shape)."""

    n_users: int
    n_items: int
    shapes: Shapes

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors."""
        return tensor_bytes(self.shapes, *self.shapes)


@dataclass(frozen=True)
class CodedInteractions:
    """Coded item lists.

    ``degrees``: (2, runs) distinct numbers of items, the largest first, and how many users have
    each; where that is longer or users stand in another order, (bytes,) uint8, a number per user,
    of as many bits as the largest needs. ``widths``: (bits of the largest degree, SEGMENTS) uint8.
    ``quotients`` and ``remainders``: (bytes,) uint8. An empty user has a one among the quotients,
    so that no short file can announce many users.
    """

    n_users: int
    n_items: int
    tensors: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def layout(self) -> InteractionLayout:
        """The shapes of its tensors."""
        return InteractionLayout(self.n_users, self.n_items, shapes_of(self.tensors))


def code_interactions(indptr: np.ndarray, indices: np.ndarray, n_items: int) -> CodedInteractions:
    """Code the binary matrix of ``indptr`` (n_users + 1,) and ``indices`` (k,) in [0, n_items), CSR
    whose rows may be in any order.

    Shortest where users and items are numbered by frequency. Raises BetError where an item is
    repeated in a row or out of range.

    User 0 has the gaps 0, 0 and 1, user 1 has 5, user 2 is empty. 5 is coded with w = 1, as 001
    (two zeros, a one) and 1; the others with w = 0, as 1, 1 and 01:

    >>> coded = code_interactions(np.array([0, 3, 4, 4]), np.array([3, 0, 1, 5]), n_items=8)
    >>> [f"{byte:08b}" for byte in coded.tensors["degrees"]]  # 11, 01 and 00
    ['11010000']
    >>> [f"{byte:08b}" for byte in coded.tensors["quotients"]]  # the last one is user 2's
    ['11010011']
    >>> [f"{byte:08b}" for byte in coded.tensors["remainders"]]
    ['10000000']
    >>> coded.layout.n_bytes  # 2 * 8 widths and a byte of each of the others
    19
    """
    degrees, items = _sorted_lists(indptr, indices, n_items)
    n_users, k = len(degrees), len(items)
    starts = np.cumsum(degrees) - degrees
    gaps = np.diff(items, prepend=-1) - 1
    is_first = starts[degrees > 0]
    gaps[is_first] = items[is_first]
    classes = int(degrees.max(initial=0)).bit_length()
    groups = groups_of(degrees, classes)
    widths = _best_widths(gaps, groups, classes)
    bits = widths[groups]  # (k,)
    # Where the one of every gap, and of every empty user, stands.
    ends = np.ones(k + int((degrees == 0).sum()), dtype=np.int64)
    is_gap = np.repeat(degrees > 0, np.maximum(degrees, 1))
    ends[is_gap] += gaps >> bits
    ends = np.cumsum(ends)
    ones = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    ones[ends - 1] = 1
    tensors = {
        "degrees": _pack_degrees(degrees, classes),
        "widths": widths.reshape(classes, SEGMENTS).astype(np.uint8),
        "quotients": np.packbits(ones),
        "remainders": pack_numbers(gaps & (1 << bits) - 1, bits),
    }
    return CodedInteractions(n_users, n_items, tensors)


def _sorted_lists(
    indptr: np.ndarray, indices: np.ndarray, n_items: int
) -> tuple[np.ndarray, np.ndarray]:
    """Degrees (n_users,) and items (k,) sorted within every user, int64."""
    degrees, items = np.diff(indptr).astype(np.int64), indices.astype(np.int64)
    if not len(indptr) or indptr[0] or (degrees < 0).any() or indptr[-1] != len(items):
        raise BetError("indptr must rise from 0 to the number of indices; give a CSR matrix")
    if not 0 <= n_items <= MOST_ITEMS:
        raise BetError(f"{n_items:,} items; at most {MOST_ITEMS:,} can be coded, leave some out")
    outside = items[(items < 0) | (items >= n_items)]
    if len(outside):
        raise BetError(f"item {outside[0]} of {n_items:,}; number them from 0")
    users = np.repeat(np.arange(len(degrees)), degrees)
    items = items[np.lexsort((items, users))]
    if ((np.diff(items) == 0) & (np.diff(users) == 0)).any():
        raise BetError("a user has an item twice; give a binary matrix, each pair once")
    return degrees, items


def _pack_degrees(degrees: np.ndarray, bits: int) -> np.ndarray:
    """The shorter form of ``degrees`` (n_users,), as above."""
    packed = pack_stream(degrees, bits)
    if (np.diff(degrees) > 0).any():
        return packed
    values, counts = np.unique(degrees, return_counts=True)
    runs = np.stack([values, counts])[:, ::-1]
    runs = runs.astype(DTYPES[dtype_up_to(int(runs.max(initial=0)))])
    return np.ascontiguousarray(runs) if runs.nbytes < packed.nbytes else packed


def groups_of(degrees: np.ndarray, classes: int) -> np.ndarray:
    """Which width every gap of lists of ``degrees`` has, (k,) int64: that of its list's class, one
    of ``classes``, and of its segment.

    Lists of two items and of one; nine items would be of class 3:

    >>> groups_of(np.array([2, 1]), classes=2)
    array([ 8, 12,  0])
    """
    each = np.repeat(degrees, degrees)
    places = np.arange(len(each)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    return class_of(each, classes) * SEGMENTS + places * SEGMENTS // each


def class_of(degrees: np.ndarray, classes: int) -> np.ndarray:
    """Binary digits of ``degrees``, minus one; 0 for an empty list.

    >>> class_of(np.array([0, 1, 2, 3, 4]), classes=3)
    array([0, 0, 1, 1, 2])
    """
    return np.searchsorted(2 ** np.arange(1, max(1, classes)), degrees, side="right")


def _best_widths(gaps: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """The width that codes every group in the fewest bits, the smallest of several, int64."""
    n_groups = classes * SEGMENTS
    best, fewest = np.zeros(n_groups, dtype=np.int64), np.full(n_groups, np.inf)
    for width in range(min(MOST_BITS, int(gaps.max(initial=0)).bit_length()) + 1):
        bits = np.bincount(groups, (gaps >> width) + (1 + width), minlength=n_groups)
        better = bits < fewest
        best[better], fewest[better] = width, bits[better]
    return best
