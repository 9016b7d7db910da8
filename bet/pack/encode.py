"""Rows of numbers as the bytes that a file holds, each row with the step that fits it best."""

from dataclasses import dataclass

import numpy as np

from bet.packed.levels import FACTOR, LARGEST_STEP, SMALLEST_STEP, levels_of, pack_rows

_ROUNDS = 2  # of Lloyd's iteration; further ones change little at up to two bits


@dataclass(frozen=True)
class Encoded:
    """``content`` (m, bytes) uint8 and, at eight bits and less, ``steps`` (m,) float32, each a
    number of float16.
    """

    content: np.ndarray
    steps: np.ndarray | None


def encode(values: np.ndarray, bits: int) -> Encoded:
    """Round rows ``values`` (m, d) float32 to ``bits`` of 1, 2, 4, 8, 16 or 32.

    The step starts from the row's root mean square, as in training, or at eight bits from its
    largest number, and is then the one of least squared error for the levels that it gave, twice
    (Lloyd, IEEE Trans. Inf. Theory 1982). What is too large for 16 bits becomes infinite.

    At one bit the step of least error is twice the mean of the absolute numbers:

    >>> encoded = encode(np.array([[1.0, -3.0, 2.0, -2.0]], dtype=np.float32), 1)
    >>> encoded.steps.tolist(), [f"{byte:08b}" for byte in encoded.content[0]]
    ([4.0], ['10100000'])
    """
    if bits > 8:
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(values, dtype="<f4" if bits == 32 else "<f2")
        return Encoded(numbers.view(np.uint8).reshape(len(values), -1), None)
    half = np.float32(2 ** (bits - 1))
    steps = FACTOR[bits] * np.sqrt(np.square(values).mean(1))
    if bits == 8:  # levels are fine enough to spare no number
        steps = np.maximum(steps, np.abs(values).max(1) / half)
    steps = _as_stored(steps)
    for _ in range(_ROUNDS):
        levels = _levels(values, steps, half)
        products = np.einsum("md,md->m", values, levels)
        steps = _as_stored(products / np.einsum("md,md->m", levels, levels))
    codes = _levels(values, steps, half) + (half - np.float32(0.5))
    return Encoded(pack_rows(codes, bits), steps)


def decode(encoded: Encoded, bits: int, columns: int) -> np.ndarray:
    """What the file will give back of rows of ``columns`` numbers: (m, columns) float32.

    >>> decode(encode(np.array([[1.0, -3.0]], dtype=np.float32), 1), 1, columns=2).tolist()
    [[2.0, -2.0]]
    """
    if encoded.steps is None:
        return encoded.content.view("<f4" if bits == 32 else "<f2").astype(np.float32)
    return levels_of(encoded.content, bits)[:, :columns] * encoded.steps[:, None]


def _levels(values: np.ndarray, steps: np.ndarray, half: np.float32) -> np.ndarray:
    """The nearest level to every number, in steps: (m, d) float32, half a step off zero."""
    levels = values / steps[:, None]
    np.floor(levels, out=levels)
    np.clip(levels, -half, half - 1, out=levels)
    levels += np.float32(0.5)
    return levels


def _as_stored(steps: np.ndarray) -> np.ndarray:
    """``steps`` (m,) as float16 holds them, float32."""
    clipped = np.clip(steps, SMALLEST_STEP, LARGEST_STEP)
    return clipped.astype(np.float16).astype(np.float32)
