"""User-uniform BPR triples, drawn in torch without a Python loop."""

from importlib.util import find_spec

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from bet.data import matrix_digest
from bet.errors import BetError


class BprSampler:
    """Draws (user, positive, negative) from ``train`` (|U|, |V|) binary CSR with sorted indices.

    Users are uniform, and none is drawn again in a batch before all others were; the positive is
    uniform over the user's items, the negative uniform over all other items. Users without items,
    or with all of them, are not drawn.
    """

    def __init__(self, train: csr_array, device: torch.device | str = "cpu"):
        self.digest = matrix_digest(train)  # of what is drawn from
        n_users, self.n_items = train.shape
        indptr, indices = train.indptr.astype(np.int64), train.indices.astype(np.int64)
        degrees = np.diff(indptr)
        drawable = np.flatnonzero((degrees > 0) & (degrees < self.n_items))
        if not len(drawable):
            raise BetError(
                f"no user of {n_users} has both an item and a non-item to learn from; give more "
                "interactions"
            )
        user = np.repeat(np.arange(n_users), degrees)  # (nnz,)
        # Non-items of a user in order: the r-th is r + (number of the user's items at or before
        # it). That number is a binary search over item id minus position among the user's, done for
        # all users at once by an offset per user.
        gaps = user * (self.n_items + 1) + indices - (np.arange(len(indices)) - indptr[user])
        self.users = torch.from_numpy(drawable).to(device)
        self.indptr = torch.from_numpy(indptr).to(device)
        self.degrees = torch.from_numpy(degrees).to(device)
        self.indices = torch.from_numpy(indices).to(device)
        self.gaps = torch.from_numpy(gaps).to(device)

    @property
    def n_interactions(self) -> int:
        return len(self.indices)

    def draw(
        self, batch_size: int, generator: torch.Generator, negatives: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Users and positives, (batch_size,) int64 each, and as many times ``negatives``, first one
        of each; item ids from 0; ``generator`` lives on the device.
        """
        device = self.users.device
        # Everybody as often as possible, then users without replacement.
        rounds, rest = divmod(batch_size, len(self.users))
        chosen = torch.randperm(len(self.users), generator=generator, device=device)[:rest]
        users = torch.cat([self.users.repeat(rounds), self.users[chosen]])
        start, degree = self.indptr[users], self.degrees[users]  # (batch_size,) each
        shape = 1 + negatives, batch_size
        draws = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        positives = self.indices[start + (draws[0] * degree).long()]
        r = (draws[1:] * (self.n_items - degree)).long()  # (negatives, batch_size), which non-item
        wanted = users * (self.n_items + 1) + r
        # Loading the loop pays where much is drawn.
        if negatives > 1 and device.type == "cpu" and find_spec("numba") is not None:
            from bet.training.sampling_kernels import count_up_to

            before = torch.empty_like(r)
            arrays = (x.numpy() for x in (start, degree, wanted, before))
            count_up_to(self.gaps.numpy(), *arrays)  # only among the user's, which is faster
        else:
            before = torch.searchsorted(self.gaps, wanted, right=True) - start
        return users, positives, (r + before).flatten()
