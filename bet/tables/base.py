"""What every embedding table is: ego embeddings, an exact size, and a file.

A table is separate from the backbone that reads it. Some backbones keep several embeddings per
entity (NCF: one for its MLP, one for its GMF branch); such *copies* share one size per entity and
stand side by side in the columns of the ego matrix.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.actions import Allocation


class Table(nn.Module):
    """What a backbone, the trainer and the accounting need of a table; quantized or hashed tables
    fit here too.

    A table that learns in training what to keep overrides the last three methods, one whose file
    holds final vectors ``as_stored``.
    """

    n: int
    copies: int

    @property
    def sizes(self) -> np.ndarray:
        """Numbers per entity and copy, (n,)."""
        raise NotImplementedError

    @property
    def allocation(self) -> Allocation:
        """What the table keeps of the full one; the same table can be made from it again."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """Text of all that determines how its numbers are used, besides ``allocation``; an
        interrupted training continues only with a table of the same description.
        """
        return type(self).__name__

    def forward(self) -> Tensor:
        """Ego embeddings (n, copies * width) float32; columns from ``width`` up to d_max are zero
        and left out.
        """
        raise NotImplementedError

    def as_stored(self, vectors: Tensor) -> Tensor:
        """The backbone's final ``vectors`` (n, D) as pairs are scored with them: unchanged, unless
        the file holds them, rounded, instead of ego embeddings.
        """
        return vectors
    def ego_rows(self, part: slice) -> Tensor:
        """The ego embeddings of the entities in ``part``, (m, copies * width), as ``forward`` has
        them, without a gradient.
        """
        return self().detach()[part]

    def n_parameters(self) -> int:
        """Numbers kept, over all copies."""
        raise NotImplementedError

    def n_bytes(self) -> int:
        """Exact length in bytes of the file that ``save`` writes."""
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Write the table to a file that ``bet.load`` opens, whole or not at all."""
        raise NotImplementedError

    @property
    def fixed_order(self) -> np.ndarray | None:
        """Entity id of every row of the file, (n,), where the order is part of how rows are coded;
        None where rows may stand in any order.
        """
        return None

    @property
    def file_order(self) -> np.ndarray:
        """Entity id of every row of the file that ``save`` writes, (n,)."""
        return np.arange(self.n) if self.fixed_order is None else self.fixed_order

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters and their learning rate relative to the embeddings'."""
        return [(list(self.parameters()), 1.0)]

    def penalty(self) -> Tensor | float:
        """A term of the training loss."""
        return 0.0

    def before_step(self, step: int, steps: int) -> bool:
        """Called before training step ``step`` (from 0) of at most ``steps``; True ends the
        training.
        """
        return False


class TableSpec(Protocol):
    """The description of a packed, hashed or codebook table: what is needed to make one, and to
    know its file.
    """

    @property
    def bits(self) -> int | None:
        """Per number in the file; None: rows differ."""
        ...

    def table(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Table:
        """A table of this description. Its numbers start as N(0, std^2) unless the description has
        others.
        """
        ...


class LearnedTable(Table):
    """Base of tables that learn in training what to keep: all numbers are there, and start as those
    of a full table.

    A subclass yields what is kept for now in its ``forward``; it is thrown away once its choice is
    known.
    """

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int,
        std: float,
        generator: torch.Generator,
    ):
        """``allocation``: d_max columns for everybody."""
        super().__init__()
        self.n, self.copies, self.d_max = len(allocation), copies, d_max
        self.weight = nn.Parameter(
            torch.empty(self.n, copies * d_max).normal_(0.0, std, generator=generator)
        )

    @property
    def allocation(self) -> Allocation:
        return Allocation.uniform(self.n, self.d_max)


class _TakeRows(torch.autograd.Function):
    """x[indices]; on CPUs adding rows up is several times faster than the backward pass of an
    embedding.
    """

    @staticmethod
    def forward(ctx, x: Tensor, indices: Tensor) -> Tensor:
        ctx.n = len(x)
        ctx.save_for_backward(indices)
        return x.index_select(0, indices)  # (k, d)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (indices,) = ctx.saved_tensors
        zeros = gradient.new_zeros(ctx.n, gradient.shape[1])  # (n, d)
        return zeros.index_add_(0, indices, gradient), None


def take_rows(x: Tensor, indices: Tensor) -> Tensor:
    """Rows ``indices`` (k,) int64 of ``x`` (n, d), differentiable in ``x``: (k, d)."""
    # On a GPU the order of index_add_ varies from run to run; the embedding's backward pass is
    # deterministic.
    return F.embedding(indices, x) if x.is_cuda else _TakeRows.apply(x, indices)
