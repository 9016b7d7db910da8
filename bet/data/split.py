"""Per-user random 50 / 25 / 25 split and the two protocols."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from bet.data.interactions import Interactions, binary_matrix
from bet.errors import BetError
from bet.seeds import numpy_generator


@dataclass(frozen=True)
class Split:
    """Three disjoint (|U|, |V|) binary CSR matrices whose union is the data."""

    name: str
    seed: int
    data_hash: str
    train: csr_array
    validation: csr_array
    test: csr_array

    def merged(self) -> csr_array:
        """Train and validation together: what protocol ``merged`` refits on."""
        return csr_array((self.train + self.validation).astype(np.uint8))


def split_interactions(interactions: Interactions, seed: int) -> Split:
    """Split each user's items at random from ``seed``.

    A user with n >= 3 interactions gets (n + 1) // 4 of them in test, (n + 2) // 4 in validation
    and the rest in train, so all parts are non-empty; users with fewer keep everything in train and
    are not evaluated.
    """
    matrix = interactions.matrix
    counts = np.diff(matrix.indptr)
    users = np.repeat(np.arange(matrix.shape[0]), counts)
    order = np.lexsort((numpy_generator(seed, "split").random(matrix.nnz), users))
    position = np.arange(matrix.nnz) - np.repeat(
        matrix.indptr[:-1], counts
    )  # within the user, in random order
    n = counts[users]
    n_test = np.where(n >= 3, (n + 1) // 4, 0)
    n_validation = np.where(n >= 3, (n + 2) // 4, 0)
    items = matrix.indices[order]
    part = np.where(position < n_test, 2, np.where(position < n_test + n_validation, 1, 0))
    train, validation, test = (
        binary_matrix(users[part == i], items[part == i], matrix.shape) for i in range(3)
    )
    return Split(interactions.name, seed, interactions.fingerprint(), train, validation, test)


def evaluable_split(interactions: Interactions, seed: int) -> Split:
    """``split_interactions``; raises BetError unless somebody can be validated and tested."""
    split = split_interactions(interactions, seed)
    if not split.validation.nnz or not split.test.nnz:
        raise BetError(
            f"{interactions}: no user has three interactions, so nothing can be validated or tested; give more data"
        )
    return split
