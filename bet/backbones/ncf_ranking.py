"""sum_h a_h relu(x_uh + y_vh) for all pairs of rows: the MLP branch of NCF's full ranking, without
a (b, |V|, H) array.

Three ways to the same numbers up to rounding: a compiled loop on CPUs where numba is installed,
torch's L1 distances where it is not, which are several times slower (benchmarks/README.md), and
blocks of the whole sum on GPUs, where those distances take a thread block for each pair.
"""

from collections.abc import Callable
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

PairScorer = Callable[[Tensor], Tensor]
"""(b, H) float32 -> (b, |V|) float32."""
BLOCK = 2**28  # hidden units of pairs on a GPU at a time: 1 GiB


def pairwise_relu_sum(y: Tensor, a: Tensor) -> PairScorer:
    """A function that takes rows x (b, H) to sum_h a_h relu(x_uh + y_vh), (b, |V|); ``y`` (|V|, H),
    ``a`` (H,), float32.

    >>> scores = pairwise_relu_sum(torch.tensor([[1.0, -1.0], [0.0, 2.0]]), torch.tensor([1.0, 10]))
    >>> scores(torch.tensor([[1.0, 0.0]])).tolist()  # relu(2) + 10 relu(-1), relu(1) + 10 relu(2)
    [[2.0, 21.0]]
    """
    if y.is_cuda:
        return in_blocks(y, a)
    return by_distances(y, a) if find_spec("numba") is None else compiled(y, a)


def in_blocks(y: Tensor, a: Tensor, size: int = BLOCK) -> PairScorer:
    """The sum as it is written, ``size`` hidden units of pairs (at least a row of x) at a time."""
    rows = max(1, size // y.numel())

    def scores(x: Tensor) -> Tensor:
        blocks = [(block[:, None] + y).relu_() @ a for block in x.split(rows)]  # (rows, |V|) each
        return torch.cat(blocks)

    return scores


def by_distances(y: Tensor, a: Tensor) -> PairScorer:
    """With relu(z) = (z + |z|) / 2 the sum is a linear term plus L1 distances, one for each sign of
    a.
    """
    negated = -y * a.abs()  # (|V|, H): |a_h (x + y)| is the distance of |a_h| x from it
    parts = [
        (sign, units, negated[:, units].contiguous())
        for sign, units in ((+1, a >= 0), (-1, a < 0))
        if bool(units.any())
    ]
    linear = y @ a  # (|V|,)

    def scores(x: Tensor) -> Tensor:
        total = (x @ a)[:, None] + linear  # (b, |V|)
        scaled = x * a.abs()  # (b, H)
        for sign, units, targets in parts:
            total.add_(torch.cdist(scaled[:, units], targets, p=1), alpha=sign)
        return total.mul_(0.5)

    return scores


def compiled(y: Tensor, a: Tensor) -> PairScorer:
    """The sum as it is written, in a numba loop, which takes two rows and four columns at a time:
    both sides are padded.
    """
    from bet.backbones.ncf_kernels import fill

    n = len(y)
    columns = F.pad(y.detach(), (0, 0, 0, -n % 4)).contiguous().numpy()
    weights = a.detach().contiguous().numpy()

    def scores(x: Tensor) -> Tensor:
        padded = F.pad(x.detach(), (0, 0, 0, len(x) % 2)).contiguous().numpy()
        out = torch.empty(len(padded), len(columns))
        fill(padded, columns, weights, out.numpy())
        return out[: len(x), :n]

    return scores
