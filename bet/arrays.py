"""Checks of arrays that come from files, part by part: no array is copied as a whole, and sums are
Python's integers, which have no limit. What is wrong is a ValueError, for the reader of the file to
name the file in.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

PART = 2**18  # numbers that are looked at together: few MB, whatever is made of them


def parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """``array`` (k, ...) cut into consecutive views of at most ``PART`` of its k.

    >>> [len(part) for part in parts(np.zeros(PART + 1, dtype=np.uint8))]
    [262144, 1]
    """
    return (array[first : first + PART] for first in range(0, len(array), PART))


def check_form(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """``array``, of whole numbers without a sign; raises ValueError unless it is, and has this
    ``shape``, -1 where any length will do.
    """
    fits = len(array.shape) == len(shape) and all(
        expected in (-1, length) for expected, length in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind != "u":
        raise ValueError(f"{array.dtype} of shape {array.shape}, expected is {tuple(shape)}")
    return array


def exact_sum(array: np.ndarray) -> int:
    """The sum of whole numbers of at most 32 bits.

    >>> exact_sum(np.full(3, 2**32 - 1, dtype=np.uint32)) == 3 * (2**32 - 1)
    True
    """
    return sum(int(part.sum(dtype=np.uint64)) for part in parts(array))


def count_values(array: np.ndarray, n: int) -> np.ndarray:
    """How often each of 0 to n - 1 stands in ``array`` (k,), (n,) int64; raises ValueError where
    another number does.

    >>> count_values(np.array([2, 0, 2], dtype=np.uint8), 3).tolist()
    [1, 0, 2]
    """
    check_within(parts(check_form(array, (-1,))), n)
    counts = np.zeros(n, dtype=np.int64)
    for part in parts(array):
        counts += np.bincount(part, minlength=n)
    return counts


def check_within(numbers: Iterable[np.ndarray], end: int) -> None:
    """Raise ValueError unless all ``numbers``, whole and part by part, lie from 0 to end - 1."""
    for part in numbers:
        if len(part) and not 0 <= int(part.min()) <= int(part.max()) < end:
            raise ValueError(f"a number of {int(part.min())} to {int(part.max())}, below {end}")


def check_rising(numbers: Iterable[np.ndarray], last: int) -> None:
    """Raise ValueError unless ``numbers``, whole and part by part, begin with 0, never fall, and
    end with ``last``.

    >>> check_rising([np.array([0, 2]), np.array([2, 3])], 3)
    """
    before, is_first = 0, True
    for part in numbers:
        if not len(part):
            continue
        fits = int(part[0]) == 0 if is_first else int(part[0]) >= before
        if not fits or (part[1:] < part[:-1]).any():
            raise ValueError("starts of rows that do not rise from 0")
        before, is_first = int(part[-1]), False
    if is_first or before != last:
        raise ValueError(f"starts of rows that end at {before}, not at {last}")
