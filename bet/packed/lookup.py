"""What looking things up in a file takes, whatever is stored in it."""

from collections.abc import Sequence

import numpy as np

from bet.errors import BetError


def whole_numbers(numbers: np.ndarray | Sequence[int], what: str) -> np.ndarray:
    """``numbers`` (k,) of rows or users as int64; raises BetError for anything else.

    what: what is looked up, in the plural, for the message.
    """
    try:
        numbers = np.asarray(numbers)
    except ValueError as error:
        raise BetError(f"{what} are looked up by a list of integers ({error})") from error
    if numbers.ndim != 1 or (len(numbers) and not np.issubdtype(numbers.dtype, np.integer)):
        raise BetError(
            f"{what} are looked up by a list of integers, got {numbers.dtype} of shape "
            f"{numbers.shape}"
        )
    if len(numbers) and numbers.max() > np.iinfo(np.int64).max:
        raise BetError(f"{what} are looked up by a list of integers, got {numbers.max()}")
    return numbers.astype(np.int64)


def ranges(firsts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """first, first + 1, ... of every range, one after the other.

    >>> ranges(np.array([7, 0]), np.array([2, 3]))
    array([7, 8, 0, 1, 2])
    """
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(firsts - (ends - counts), counts)


def byte_windows(content: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """``length`` bytes of ``content`` (m,) uint8 from each of ``starts`` (k,) on: (k, length).

    What lies beyond the end is zero.

    >>> byte_windows(np.array([7, 8, 9], dtype=np.uint8), np.array([2, 0]), 2)
    array([[9, 0],
           [7, 8]], dtype=uint8)
    """
    last = len(content) - length
    # A window is copied at once, which is several times faster than byte by byte.
    if last >= 0 and (not len(starts) or starts.max() <= last):
        return np.lib.stride_tricks.sliding_window_view(content, length)[starts]
    places = starts[:, None] + np.arange(length)
    inside = places < len(content)
    return np.where(inside, content[np.minimum(places, len(content) - 1)], np.uint8(0))
