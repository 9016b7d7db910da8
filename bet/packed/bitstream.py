"""Whole numbers of any number of bits, one after the other without gaps, most significant bit
first.
"""

import numpy as np

MOST_BITS = 56  # of a number: with the bits before it in its first byte they fill 64


def stream_bytes(k: int, bits: int) -> int:
    """Bytes of ``k`` numbers; only the last byte is filled up.

    >>> stream_bytes(3, 5)
    2
    """
    return -(-k * bits // 8)


def pack_stream(numbers: np.ndarray, bits: int) -> np.ndarray:
    """``numbers`` (k,) in [0, 2^bits), bits <= 56: (stream_bytes,) uint8.

    1, 2 and 3 at five bits each are 00001 00010 00011, and a zero fills the second byte:

    >>> [f"{byte:08b}" for byte in pack_stream(np.array([1, 2, 3]), 5)]
    ['00001000', '10000110']
    """
    return pack_numbers(numbers, np.full(len(numbers), bits))


def pack_numbers(numbers: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """``numbers`` (k,), each of its number of ``bits`` (k,) <= 56: (ceil(bits.sum() / 8),) uint8.

    1 at three bits and 2 at two are 001 10, and zeros fill the byte:

    >>> [f"{byte:08b}" for byte in pack_numbers(np.array([1, 2]), np.array([3, 2]))]
    ['00110000']
    """
    ends = np.cumsum(bits, dtype=np.int64)
    digits = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    for place in range(int(bits.max(initial=0))):  # from the least significant digit on
        longer = np.flatnonzero(bits > place)
        digits[ends[longer] - 1 - place] = numbers[longer] >> place & 1
    return np.packbits(digits)


def check_stream(packed: np.ndarray, bits: int) -> None:
    """Raise ValueError unless ``packed`` has the length of so many ``bits``, of all its numbers
    together, and ends in zeros.
    """
    if len(packed) != stream_bytes(1, bits):
        raise ValueError(f"{len(packed)} bytes do not hold {bits} bits")
    unused = -bits % 8
    if unused and packed[-1] & (1 << unused) - 1:
        raise ValueError("bits behind the last number are not zero")


def take_from_stream(packed: np.ndarray, bits: int, places: np.ndarray) -> np.ndarray:
    """The numbers at ``places`` (any shape, int64) of a stream, int64 of the same shape.

    Only the bytes that hold them are read; bits <= 56.

    >>> take_from_stream(np.array([0b00001000, 0b10000110], dtype=np.uint8), 5, np.array([2, 0]))
    array([3, 1])
    """
    return take_numbers(packed, places * bits, bits)


def take_numbers(packed: np.ndarray, firsts: np.ndarray, bits: np.ndarray | int) -> np.ndarray:
    """The numbers that start at the bits ``firsts`` (any shape, int64) and have ``bits`` each, of
    the same shape or one for all, <= 56: int64 of the same shape.

    >>> packed = np.array([0b00110000], dtype=np.uint8)
    >>> take_numbers(packed, np.array([0, 3]), np.array([3, 2]))
    array([1, 2])
    """
    most = int(np.max(bits, initial=0))
    if not most:
        return np.zeros(firsts.shape, dtype=np.int64)
    n_bytes = (most + 14) // 8  # a number that starts at the last bit of a byte ends in this one
    window = np.zeros(firsts.shape, dtype=np.uint64)
    for byte in range(n_bytes):
        # Behind the end nothing is needed, whatever stands there.
        at = np.minimum(firsts // 8 + byte, len(packed) - 1)
        window = window << np.uint64(8) | packed[at]
    behind = 8 * n_bytes - bits - firsts % 8
    return (window >> behind.astype(np.uint64)).astype(np.int64) & (np.int64(1) << bits) - 1
