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
    in_byte = len(placed)
    for i in range(len(out)):
        row = stored[i]
        total = np.float32(0)
        if in_byte == 1:
            level = np.float32(127.5)
            for j in range(len(row)):
                total += (np.float32(row[j]) - level) * placed[0, j]
        elif in_byte == 2:
            level = np.float32(7.5)
            for j in range(len(row)):
                x = row[j]
                total += (np.float32(x >> 4) - level) * placed[0, j]
                total += (np.float32(x & 15) - level) * placed[1, j]
        elif in_byte == 4:
            level = np.float32(1.5)
            for j in range(len(row)):
                x = row[j]
                total += (np.float32(x >> 6) - level) * placed[0, j]
                total += (np.float32(x >> 4 & 3) - level) * placed[1, j]
                total += (np.float32(x >> 2 & 3) - level) * placed[2, j]
                total += (np.float32(x & 3) - level) * placed[3, j]
        else:
            level = np.float32(0.5)
            for j in range(len(row)):
                x = row[j]
                for place in range(8):
                    total += (np.float32(x >> (7 - place) & 1) - level) * placed[place, j]
        out[i] = total * half(np.uint32(steps[i]))
