"""Rows of 1 to 8 bits per number as bytes, and what every byte stands for."""

from functools import cache

import numpy as np

# Step over standard deviation of the uniform quantizer with least squared error for a normal
# variable (Max 1960, Table II; 8 bits: the same minimization).
FACTOR = {1: 1.596, 2: 0.9957, 4: 0.3352, 8: 0.0308}
SMALLEST_STEP, LARGEST_STEP = 6e-8, 65504.0  # positive numbers of float16


def pack_rows(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes (m, d) in [0, 2^bits), bits <= 8, as whole bytes per row: (m, ceil(d bits / 8)) uint8.

    The first number has the most significant bits:

    >>> [f"{byte:08b}" for byte in pack_rows(np.array([[1, 2, 3]]), 2)[0]]
    ['01101100']
    """
    codes = codes.astype(np.uint8)
    if bits == 8:
        return codes
    if bits == 1:
        return np.packbits(codes, axis=1)
    per_byte = 8 // bits
    filled = np.pad(codes, ((0, 0), (0, -codes.shape[1] % per_byte)))
    packed = filled[:, ::per_byte] << (8 - bits)
    for place in range(1, per_byte):
        packed |= filled[:, place::per_byte] << (8 - bits * (place + 1))
    return packed


def unpack_rows(packed: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of ``pack_rows``, with what fills the last byte: (m, bytes) uint8 -> (m, bytes *
    8 // bits) uint8.

    >>> unpack_rows(np.array([[0b01101100]], dtype=np.uint8), 2)
    array([[1, 2, 3, 0]], dtype=uint8)
    """
    if bits == 8:
        return packed
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return (packed[:, :, None] >> shifts & (2**bits - 1)).reshape(len(packed), -1)


def levels_of(packed: np.ndarray, bits: int) -> np.ndarray:
    """What the codes in ``packed`` (m, bytes) uint8 stand for, in steps, with what fills the last
    byte: (m, bytes * 8 // bits) float32, a new array.

    >>> levels_of(np.array([[0b01101100]], dtype=np.uint8), 2)
    array([[-0.5,  0.5,  1.5, -1.5]], dtype=float32)
    """
    if bits == 8:  # arithmetic is quicker where a byte is a single number
        levels = packed.astype(np.float32)
        levels -= np.float32(127.5)
        return levels
    return byte_levels(bits).take(packed).view(np.float32)


@cache
def byte_levels(bits: int) -> np.ndarray:
    """The levels, in steps, that the codes in each of the 256 bytes stand for: (256,) opaque items
    of 8 // bits float32 each.

    At one bit the levels are half a step below and above zero:

    >>> byte_levels(1)[0b10000000].tobytes() == np.float32([0.5] + 7 * [-0.5]).tobytes()
    True
    """
    codes = unpack_rows(np.arange(256, dtype=np.uint8)[:, None], bits).astype(np.float32)
    # Numpy takes whole items several times faster than rows of numbers.
    return (codes + np.float32(0.5 - 2 ** (bits - 1))).view(f"V{4 * 8 // bits}")[:, 0]
