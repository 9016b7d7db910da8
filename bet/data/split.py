"""The random 50 / 25 / 25 split of every user's interactions."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from bet.data.interactions import Interactions, binary_matrix
from bet.errors import BetError
from bet.seeds import numpy_generator


@dataclass(frozen=True)
class Split:
    """Three disjoint (|U|, |V|) binary CSR matrices whose union is the data.

    ``data_hash``: ``Interactions.fingerprint`` of the data.
    """

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
    """Split each user's items at random from ``seed`` (BET, section 4.1, where the unit of the
    split is not said; the published code splits per user).

    A user with n >= 3 interactions gets (n + 1) // 4 of them in test, (n + 2) // 4 in validation
    and the rest in train, so all parts are non-empty; users with fewer keep everything in train and
    are not evaluated.

    >>> matrix = binary_matrix(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 0, 1]), (2, 4))
    >>> split = split_interactions(Interactions("two users", matrix), seed=0)
    >>> for part in (split.train, split.validation, split.test):
    ...     part.toarray().sum(axis=1).tolist()  # interactions of the two users
    [2, 2]
    [1, 0]
    [1, 0]
    """
    matrix = interactions.matrix
    counts = np.diff(matrix.indptr)  # (|U|,)
    users = np.repeat(np.arange(matrix.shape[0]), counts)  # (k,), of every interaction
    # Sorted by user, then by a random number: each user's interactions in random order.
    order = np.lexsort((numpy_generator(seed, "split").random(matrix.nnz), users))
    items = matrix.indices[order]
    position = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)  # within the user
    n = counts[users]
    n_test = np.where(n >= 3, (n + 1) // 4, 0)
    n_validation = np.where(n >= 3, (n + 2) // 4, 0)
    in_test = position < n_test
    in_validation = ~in_test & (position < n_test + n_validation)
    train, validation, test = (
        binary_matrix(users[chosen], items[chosen], matrix.shape)
        for chosen in (~in_test & ~in_validation, in_validation, in_test)
    )
    return Split(
        name=interactions.name,
        seed=seed,
        data_hash=interactions.fingerprint(),
        train=train,
        validation=validation,
        test=test,
    )


def evaluable_split(interactions: Interactions, seed: int) -> Split:
    """``split_interactions``; raises BetError unless somebody can be validated and tested."""
    split = split_interactions(interactions, seed)
    if not split.validation.nnz or not split.test.nnz:
        raise BetError(
            f"{interactions}: no user has three interactions, so nothing can be validated or "
            "tested; give more data"
        )
    return split
