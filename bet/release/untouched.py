"""What a library gives without a look at its settings: ALS of 64 factors whose pairs all weigh the
same, as in implicit with its defaults (alpha 1, regularization 0.01).

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


def untouched_als(train: csr_array, factors: int = FACTORS) -> Ranker:
    """Scores of the factors that ALS converges to on ``train`` (|U|, |V|) binary CSR; fewer than
    ``factors`` where the smaller side is no larger.

    >>> train = csr_array(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.uint8))
    >>> scores = untouched_als(train, factors=1)(torch.tensor([0, 2]))
    >>> scores.double().numpy().round(3).tolist()  # one factor, of the block, whose value is 2
    [[0.995, 0.995, 0.0], [0.0, 0.0, 0.0]]
    """
    smaller = min(train.shape)
    k = max(1, min(factors, smaller - 1))
    # The start of the iteration is stated: the same numbers in every call.
    start = np.random.default_rng(0).random(smaller)
    left, values, right = svds(train.astype(np.float64), k=k, v0=start)
    shrunk = np.maximum(values - REGULARIZATION, 0)
    users = torch.from_numpy((left * shrunk).astype(np.float32))
    items = torch.from_numpy(right.astype(np.float32))  # (k, |V|)

    def rank(block: Tensor) -> Tensor:
        return (take_rows(users, block.cpu()) @ items).to(block.device)

    return rank


def float32_bytes(n: int, factors: int = FACTORS) -> int:
    """Bytes of the factors of ``n`` users and items.

    >>> float32_bytes(10)
    2560
    """
    return 4 * factors * n
