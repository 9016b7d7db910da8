"""One quantizer for training and for files: 2^b levels, half a step off zero, a step per row.

value = (code + 1/2 - 2^(b - 1)) * step, code in [0, 2^b). The step is proportional to the row's
root mean square, by the factor that is best for a normal distribution (Max, IRE Trans. Inf. Theory
1960): nothing is learned but the rows themselves.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

# Step over standard deviation of the uniform quantizer with least squared error for a normal
# variable (Max 1960, Table II; 8 bits: the same minimization).
FACTOR = {1: 1.596, 2: 0.9957, 4: 0.3352, 8: 0.0308}
_SMALLEST, _LARGEST = 6e-8, 65504.0  # positive numbers of float16
_FACTORS = torch.tensor([FACTOR.get(bits, 0.0) for bits in range(9)])


def steps(mean_squares: Tensor, bits: int | Tensor) -> Tensor:
    """Steps, rounded as a file stores them, of rows of the given mean squares: (m,) float32.
    ``bits``: of all, or (m,) int64.
    """
    factor = FACTOR[bits] if isinstance(bits, int) else _FACTORS.to(bits.device)[bits]
    return (factor * mean_squares.sqrt()).clamp(_SMALLEST, _LARGEST).half().float()


def codes(values: Tensor, step: Tensor, bits: int | Tensor) -> Tensor:
    """Nearest levels of ``values`` (m, d) for ``step`` (m, 1): (m, d) float32 integers in
    [-2^(b-1), 2^(b-1)).

    bits: of all, or (m, 1) int64.
    """
    half = 2 ** (bits - 1)
    return (values / step).floor_().clamp_(-half, half - 1)


def rounded(values: Tensor, sizes: Tensor, bits: int | Tensor) -> Tensor:
    """``values`` (m, d) as a file would give them back, (m, d). ``bits``: of all, or (m, 1) int64.

    Rows have ``sizes`` (m, 1) numbers and zeros elsewhere; what is returned there has no meaning.
    """
    step = steps(
        values.square().sum(1) / sizes[:, 0].clamp(min=1),
        bits if isinstance(bits, int) else bits[:, 0],
    )[:, None]
    return codes(values, step, bits).add_(0.5).mul_(step)


def pack(levels: np.ndarray, bits: int) -> np.ndarray:
    """Codes (m, d) in [0, 2^bits), bits <= 8, as whole bytes per row, most significant first: (m,
    ceil(d bits / 8)) uint8.
    """
    if bits == 8:
        return levels.astype(np.uint8)
    places = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    return np.packbits(
        (levels.astype(np.uint8)[:, :, None] >> places & 1).reshape(len(levels), -1), axis=1
    )


def unpack(packed: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of ``pack``, with what fills the last byte: (m, bytes) uint8 -> (m, bytes * 8 //
    bits) uint8.
    """
    if bits == 8:
        return packed
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return (packed[:, :, None] >> shifts & (2**bits - 1)).reshape(len(packed), -1)


@cache
def levels(bits: int) -> np.ndarray:
    """What the codes of a byte stand for, in steps: (256,) of opaque items that hold 8 // bits
    float32 each.
    """
    found = unpack(np.arange(256, dtype=np.uint8)[:, None], bits).astype(np.float32)
    # Numpy takes whole items several times faster than rows of numbers.
    return (found + np.float32(0.5 - 2 ** (bits - 1))).view(f"V{4 * 8 // bits}")[:, 0]


def as_tensor(values: np.ndarray) -> Tensor:
    """``values`` as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
