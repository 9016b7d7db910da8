"""One quantizer for training and for files: 2^b levels, half a step off zero, a step per row.

value = (code + 1/2) * step, code in [-2^(b-1), 2^(b-1)). The step is proportional to the row's root
mean square, by the factor that is best for a normal distribution (Max, IRE Trans. Inf. Theory
1960): nothing is learned but the rows themselves. Needs torch, which reading a file does not.
"""

import numpy as np
import torch
from torch import Tensor

from bet.packed.levels import FACTOR, LARGEST_STEP, SMALLEST_STEP

_FACTORS = torch.tensor([FACTOR.get(bits, 0.0) for bits in range(9)])


def step_sizes(mean_squares: Tensor, bits: int | Tensor) -> Tensor:
    """Steps, rounded as a file stores them, of rows of the given mean squares: (m,) float32.

    bits: of all, or (m,) int64. At one bit a row of root mean square 2 has the step 1.596 * 2:

    >>> step_sizes(torch.tensor([4.0]), 1)
    tensor([3.1914])
    """
    factor = FACTOR[bits] if isinstance(bits, int) else _FACTORS.to(bits.device)[bits]
    return (factor * mean_squares.sqrt()).clamp(SMALLEST_STEP, LARGEST_STEP).half().float()


def quantize(values: Tensor, step: Tensor, bits: int | Tensor) -> Tensor:
    """Codes of the nearest levels to ``values`` (m, d) for ``step`` (m, 1): (m, d) float32 integers
    in [-2^(b-1), 2^(b-1)).

    bits: of all, or (m, 1) int64. At two bits and step 1 the levels are -1.5, -0.5, 0.5 and 1.5:

    >>> quantize(torch.tensor([[-9.0, -0.1, 0.2, 1.7]]), torch.tensor([[1.0]]), 2)
    tensor([[-2., -1.,  0.,  1.]])
    """
    half = 2 ** (bits - 1)
    return (values / step).floor_().clamp_(-half, half - 1)


def fake_quantize(values: Tensor, sizes: Tensor, bits: int | Tensor) -> Tensor:
    """``values`` (m, d) as a file would give them back, (m, d). ``bits``: of all, or (m, 1) int64.

    Rows have ``sizes`` (m, 1) numbers and zeros elsewhere; what is returned there has no
    meaning. At one bit only the sign of a number is left; here the step is 3.19, as above:

    >>> fake_quantize(torch.tensor([[-2.0, 2.0]]), torch.tensor([[2]]), 1)
    tensor([[-1.5957,  1.5957]])
    """
    row_bits = bits if isinstance(bits, int) else bits[:, 0]
    mean_squares = values.square().sum(1) / sizes[:, 0].clamp(min=1)  # (m,)
    step = step_sizes(mean_squares, row_bits)[:, None]  # (m, 1)
    return quantize(values, step, bits).add_(0.5).mul_(step)


def as_tensor(values: np.ndarray) -> Tensor:
    """``values`` as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
