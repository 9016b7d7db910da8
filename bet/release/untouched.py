"""What a library gives without a look at its settings: ALS whose pairs all weigh the same, as in
implicit with its defaults (alpha 1, regularization 0.01), of 64 factors at most.

With equal weights the loss is that of the closest matrix of low rank, so the sweeps converge to the
truncated singular value decomposition, shrunk by the regularization; no training is needed.
"""

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds
from torch import Tensor

from bet.backbones import Ranker
from bet.tables import take_rows

FACTORS, REGULARIZATION = 64, 0.01


def untouched_factors(shape: tuple[int, int], factors: int = FACTORS) -> int:
    """How many there are of ``shape`` (|U|, |V|): ``factors``, or one less than the smaller side.

    >>> untouched_factors((1000, 900)), untouched_factors((1000, 9)), untouched_factors((1, 9))
    (64, 8, 1)
    """
    return max(1, min(factors, min(shape) - 1))


def untouched_als(train: csr_array, factors: int = FACTORS) -> Ranker:
    """Scores of the factors that ALS converges to on ``train`` (|U|, |V|) binary CSR, as many as
    ``untouched_factors``.

    >>> train = csr_array(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.uint8))
    >>> scores = untouched_als(train, factors=1)(torch.tensor([0, 2]))
    >>> rounded = scores.double().numpy().round(3) + 0.0  # no -0.0
    >>> rounded.tolist()  # one factor, of the block, whose value is 2
    [[0.995, 0.995, 0.0], [0.0, 0.0, 0.0]]
    """
    matrix, smaller = train.astype(np.float64), min(train.shape)
    if smaller == 1:  # fewer than svds takes
        left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        # The start of the iteration is stated: the same numbers in every call.
        start = np.random.default_rng(0).random(smaller)
        left, values, right = svds(matrix, k=untouched_factors(train.shape, factors), v0=start)
    shrunk = np.maximum(values - REGULARIZATION, 0)
    users = torch.from_numpy((left * shrunk).astype(np.float32))
    items = torch.from_numpy(right.astype(np.float32))  # (k, |V|)

    def rank(block: Tensor) -> Tensor:
        return (take_rows(users, block.cpu()) @ items).to(block.device)

    return rank


def float32_bytes(n: int, factors: int) -> int:
    """Bytes of the factors of ``n`` users and items.

    >>> float32_bytes(10, factors=64)
    2560
    """
    return 4 * factors * n
