"""A backbone together with its embedding table: what is trained and ranks."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.backbones.base import Backbone, Ranker
from bet.backbones.graph import Graph
from bet.errors import BetError
from bet.tables import MaskedTable, PrunedTable, Table, VectorTable


class Recommender(nn.Module):
    """Holds ``table`` and ``backbone``; entities are users 0..|U|-1, then items."""

    def __init__(self, backbone: Backbone, table: Table):
        super().__init__()
        self.backbone, self.table = backbone, table

    @property
    def n_users(self) -> int:
        return self.backbone.n_users

    @property
    def name(self) -> str:
        """What a file calls it."""
        return self.backbone.name

    @property
    def facts(self) -> Mapping[str, float]:
        """The few numbers that ranking needs besides table, interactions and weights."""
        return self.backbone.facts

    def represent(self, ego: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Rows of the table ``ego`` (n, copies * width) -> final representations (n, D), as pairs
        are scored with them.
        """
        return self.table.as_stored(self.backbone.represent(ego, dropout))

    @torch.no_grad()
    def ranker(self) -> Ranker:
        """The full-ranking scorer of the current weights, without dropout."""
        return self.backbone.ranker(self.represent(self.table()))

    @torch.no_grad()
    def save_table(self, path: Path) -> None:
        """Write the file whose length is ``table.n_bytes()``: rows of the table or, of a
        ``VectorTable``, final vectors.
        """
        table = self.table
        if isinstance(table, VectorTable):
            table.save_vectors(path, self.backbone.represent(table()))
        else:
            table.save(path)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def snapshot(self) -> dict[str, Tensor]:
        """A detached copy of all weights."""
        return {name: weight.detach().clone() for name, weight in self.state_dict().items()}


def new_recommender(
    backbone: type[Backbone],
    graph: Graph,
    allocation: Allocation,
    *,
    n_users: int,
    d_max: int,
    generator: torch.Generator,
    init_std: float | None = None,
    table: Callable[..., Table] | None = None,
) -> Recommender:
    """A recommender with fresh weights from ``generator`` (CPU) on the graph's device.

    init_std: rows start as N(0, init_std^2); None takes the backbone's default. table: makes the
    table; None takes a float32 table, of prefixes or of single numbers as ``allocation`` asks.
    Where it keeps last copies only, the backbone is what ``backbone`` leaves of it then.
    """
    body = _kept_of(backbone, allocation)(graph, n_users, d_max, generator)
    std = body.init_std if init_std is None else init_std
    if table is None:
        table = partial(MaskedTable if allocation.mask is None else PrunedTable, n_users=n_users)
    made = table(allocation, d_max=d_max, copies=body.copies, std=std, generator=generator)
    return Recommender(body, made).to(graph.values.device)


@torch.no_grad()
def rotate_recommender(full: Recommender) -> Recommender:
    """A copy of ``full`` (with the whole table) that scores the same, up to rounding, and of whose
    columns the first say most; raises BetError for a backbone that mixes columns.
    """
    full.backbone.check_rotates()
    turned = truncate_recommender(full, full.table.allocation)
    turned.table.take_prefixes(turned.backbone.rotate(turned.table().detach()))
    return turned


def truncate_recommender(
    full: Recommender, allocation: Allocation, table: Callable[..., Table] | None = None
) -> Recommender:
    """A copy of ``full`` (trained with the whole table) whose table is truncated to
    the prefixes that ``allocation`` keeps. ``table`` makes it; None: a float32 table.
    """
    kept = _kept_of(type(full.backbone), allocation)
    body = kept(full.backbone.graph, full.n_users, full.backbone.d_max, torch.Generator())
    body.take_weights(full.backbone)
    assert isinstance(full.table, MaskedTable)
    make = table or partial(MaskedTable, n_users=full.n_users)
    truncated = make(allocation, d_max=body.d_max, copies=body.copies)
    assert isinstance(truncated, MaskedTable)
    truncated.take_prefixes(last_copies(full, full.table.weight.detach().cpu(), body))
    return Recommender(body, truncated).to(full.device)


def last_copies(full: Recommender, rows: Tensor, kept: Backbone) -> Tensor:
    """Of ``rows`` (n, copies * width) of ``full`` the last copies, those that ``kept`` reads."""
    width = rows.shape[1] // full.backbone.copies
    return rows[:, -kept.copies * width :]


def _kept_of(backbone: type[Backbone], allocation: Allocation) -> type[Backbone]:
    """The backbone that reads a table of ``allocation``; raises BetError where there is none."""
    if not allocation.last_copy:
        return backbone
    if backbone.of_last_copy is None:
        raise BetError(f"{backbone.name} needs all of an entity's tables; keep rows in all")
    return backbone.of_last_copy
