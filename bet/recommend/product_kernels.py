"""A compiled loop that multiplies packed rows with one vector and decodes nothing into memory;
imported only where numba is installed.
"""

import numpy as np

from bet.compiled import compiled_in_any_order
from bet.packed.decode_kernels import half


def by_place(vector: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of ``vector`` (d,) by their place in a byte of rows of ``bits``: (8 / bits, bytes),
    with zeros for what fills the last byte.

    >>> by_place(np.array([1, 2, 3], dtype=np.float32), 4).tolist()
    [[1.0, 3.0], [2.0, 0.0]]
    """
    in_byte = 8 // bits
    padded = np.pad(vector, (0, -len(vector) % in_byte))
    return np.ascontiguousarray(padded.reshape(-1, in_byte).T)


@compiled_in_any_order
def products_with(placed, stored, steps, out):
    """Write the inner products with a vector to ``out`` (m,) float32; the vector ``placed``
    ``by_place``, ``stored`` (m, bytes) uint8 and ``steps`` (m,) uint16: the rows, as in the file.
    """
    if len(placed) == 1:
        _one_a_byte(placed, stored, out)
    elif len(placed) == 2:
        _two_a_byte(placed, stored, out)
    elif len(placed) == 4:
        _four_a_byte(placed, stored, out)
    else:
        _eight_a_byte(placed, stored, out)
    for i in range(len(out)):
        out[i] *= half(np.uint32(steps[i]))


@compiled_in_any_order
def _one_a_byte(placed, stored, out):
    p, level = placed[0], np.float32(127.5)
    for i in range(len(out)):
        row, total = stored[i], np.float32(0)
        for j in range(len(row)):
            total += (np.float32(row[j]) - level) * p[j]
        out[i] = total


@compiled_in_any_order
def _two_a_byte(placed, stored, out):
    p, q, level = placed[0], placed[1], np.float32(7.5)
    for i in range(len(out)):
        row, total = stored[i], np.float32(0)
        for j in range(len(row)):
            high, low = np.float32(row[j] >> 4) - level, np.float32(row[j] & 15) - level
            total += high * p[j] + low * q[j]
        out[i] = total


@compiled_in_any_order
def _four_a_byte(placed, stored, out):
    p, q, r, s, level = placed[0], placed[1], placed[2], placed[3], np.float32(1.5)
    for i in range(len(out)):
        row, total = stored[i], np.float32(0)
        for j in range(len(row)):
            x = row[j]
            total += (
                (np.float32(x >> 6) - level) * p[j]
                + (np.float32(x >> 4 & 3) - level) * q[j]
                + (np.float32(x >> 2 & 3) - level) * r[j]
                + (np.float32(x & 3) - level) * s[j]
            )
        out[i] = total


@compiled_in_any_order
def _eight_a_byte(placed, stored, out):
    # A level is its bit less one half: the halves of all numbers are subtracted once.
    halves = np.float32(0)
    for place in range(8):
        for j in range(placed.shape[1]):
            halves += np.float32(0.5) * placed[place, j]
    p, q, r, s = placed[0], placed[1], placed[2], placed[3]
    t, u, v, w = placed[4], placed[5], placed[6], placed[7]
    for i in range(len(out)):
        row, total = stored[i], np.float32(0)
        for j in range(len(row)):
            x = row[j]
            total += (
                np.float32(x >> 7) * p[j]
                + np.float32(x >> 6 & 1) * q[j]
                + np.float32(x >> 5 & 1) * r[j]
                + np.float32(x >> 4 & 1) * s[j]
                + np.float32(x >> 3 & 1) * t[j]
                + np.float32(x >> 2 & 1) * u[j]
                + np.float32(x >> 1 & 1) * v[j]
                + np.float32(x & 1) * w[j]
            )
        out[i] = total - halves
