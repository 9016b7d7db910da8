"""From the table of one segment to the start of the next one's: rows stay with their entities."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bet.actions import Action, Allocation, Budget, ranked_action
from bet.backbones import Recommender
from bet.data import FrequencyOrder
from bet.search import SearchContext
from bet.seeds import derive, torch_generator

GROWTH_STD = 0.01  # of the small noise in new columns and rows


@dataclass(frozen=True, eq=False)
class Inherited:
    """A trained table: ``allocation`` and ``rows`` (n, width) float32 by entity id, ``n_users``
    users first.
    """

    allocation: Allocation
    rows: Tensor
    n_users: int

    @classmethod
    def of(cls, model: Recommender) -> "Inherited":
        """The table of ``model``."""
        table = model.table
        return cls(table.allocation, table().detach().cpu(), model.n_users)

    @property
    def n_items(self) -> int:
        return len(self.allocation) - self.n_users


def carry_rows(
    before: Inherited, n_users: int, n_items: int, *, d_max: int, std: float, seed: int
) -> Tensor:
    """Rows (n, d_max) that the next table starts from: the columns that an entity had, and
    N(0, std^2), small noise, in those it did not have and in rows of new entities.

    A table that keeps fewer columns of a row cuts it, one that keeps more grows it:

    >>> before = Inherited(Allocation.from_sizes(np.array([2, 1])), torch.ones(2, 2), n_users=1)
    >>> carry_rows(before, 2, 1, d_max=3, std=1e-9, seed=0).round(decimals=3).abs().tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    generator = torch_generator(seed, "grown rows")
    rows = torch.empty(n_users + n_items, d_max).normal_(0.0, std, generator=generator)
    sizes = torch.from_numpy(before.allocation.columns.astype(np.int64))
    old, new = np.arange(len(sizes)), np.arange(len(sizes))
    new[before.n_users :] += n_users - before.n_users  # more users stand before the items
    width = before.rows.shape[1]
    had = torch.arange(width) < sizes[:, None]  # (n before, width)
    rows[new, :width] = torch.where(had, before.rows[old], rows[new, :width])
    return rows


def starting_from(context: SearchContext, before: Inherited) -> SearchContext:
    """The same, with tables that start from the rows ``before``."""
    n_users = context.data.n_users
    rows = carry_rows(
        before,
        n_users,
        context.data.n - n_users,
        d_max=context.budget.d_max,
        std=GROWTH_STD,
        seed=derive(context.settings.seed_of_init, context.data.digest),
    )
    return replace(context, start_rows=rows)


def carry_sizes(before: Inherited, order: FrequencyOrder, budget: Budget) -> Action:
    """The allocation of ``before`` by relative frequency rank, in a new budget: who is as far up
    now as somebody was then gets as much, scaled so that all of the budget is used.

    >>> sizes = np.array([4, 2, 2])  # one user, two items
    >>> before = Inherited(Allocation.from_sizes(sizes), torch.zeros(3, 4), n_users=1)
    >>> order = FrequencyOrder(np.array([3, 9]), np.array([1, 5, 2]))
    >>> carry_sizes(before, order, Budget(total=7, n=5, d_max=4)).sizes
    array([2, 2, 1, 1, 1], dtype=int16)
    """
    sizes = before.allocation.columns.astype(np.float64)
    sides = sizes[: before.n_users], sizes[before.n_users :]
    counts = order.n_users, order.n - order.n_users
    users, items = (_stretched(side, n) for side, n in zip(sides, counts, strict=True))
    share = float(users.sum() / max(users.sum() + items.sum(), 1e-12))
    return ranked_action(order, budget, users, items, share, rule="as before")


def _stretched(sizes: np.ndarray, n: int) -> np.ndarray:
    """``sizes`` (k,), the largest first, as a curve over relative ranks, read at ``n`` ranks."""
    at = (np.arange(n) + 0.5) / n
    known = (np.arange(len(sizes)) + 0.5) / len(sizes)
    return np.interp(at, known, -np.sort(-sizes))
