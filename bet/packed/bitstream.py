"""Whole numbers of any number of bits, one after the other without gaps, most significant bit
first.
"""

import numpy as np


def stream_bytes(k: int, bits: int) -> int:
    """Bytes of ``k`` numbers; only the last byte is filled up.

    >>> stream_bytes(3, 5)
    2
    """
    return -(-k * bits // 8)


def pack_stream(numbers: np.ndarray, bits: int) -> np.ndarray:
    """``numbers`` (k,) in [0, 2^bits), bits <= 16: (stream_bytes,) uint8.

    1, 2 and 3 at five bits each are 00001 00010 00011, and a zero fills the second byte:

    >>> [f"{byte:08b}" for byte in pack_stream(np.array([1, 2, 3]), 5)]
    ['00001000', '10000110']
    """
    places = np.arange(bits - 1, -1, -1, dtype=np.uint16)
    digits = numbers.astype(np.uint16)[:, None] >> places & 1  # (k, bits)
    return np.packbits(digits.astype(np.uint8))


def unpack_stream(packed: np.ndarray, bits: int, k: int) -> np.ndarray:
    """The ``k`` numbers in ``packed``, (k,) uint16; raises ValueError unless these, and zeros, are
    all it has.

    >>> unpack_stream(np.array([0b00001000, 0b10000110], dtype=np.uint8), 5, 3)
    array([1, 2, 3], dtype=uint16)
    """
    check_stream(packed, bits, k)
    digits = np.unpackbits(packed)[: k * bits].reshape(k, bits)
    return digits @ (1 << np.arange(bits - 1, -1, -1, dtype=np.uint16))


def check_stream(packed: np.ndarray, bits: int, k: int) -> None:
    """Raise ValueError unless ``packed`` has the length of ``k`` numbers and ends in zeros."""
    if len(packed) != stream_bytes(k, bits):
        raise ValueError(f"{len(packed)} bytes hold no {k} numbers of {bits} bits")
    unused = -k * bits % 8
    if unused and packed[-1] & (1 << unused) - 1:
        raise ValueError("bits behind the last number are not zero")


def take_from_stream(packed: np.ndarray, bits: int, places: np.ndarray) -> np.ndarray:
    """The numbers at ``places`` (any shape, int64) of a stream, int64 of the same shape.

    Only the bytes that hold them are read; bits <= 16.

    >>> take_from_stream(np.array([0b00001000, 0b10000110], dtype=np.uint8), 5, np.array([2, 0]))
    array([3, 1])
    """
    first = places * bits  # bit where a number starts
    window = np.zeros(places.shape, dtype=np.int64)
    for byte in range(3):  # 16 bits that start inside a byte end in the third
        # Behind the end nothing is needed, whatever stands there.
        at = np.minimum(first // 8 + byte, len(packed) - 1)
        window = window << 8 | packed[at]
    return window >> (24 - bits - first % 8) & (1 << bits) - 1
