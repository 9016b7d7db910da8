"""From a cell and a split to what a method gets to see."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from scipy.sparse import csr_array

from bet.actions import Budget, bounds_serving, parse_budget, parse_bytes
from bet.backbones import BACKBONES, NO_BACKBONE
from bet.data import Split
from bet.errors import BetError, BudgetNotMet
from bet.methods import ELEMENTWISE, IN_BYTES, METHODS
from bet.packed import float32_file_bytes
from bet.paths import cache_dir
from bet.search import RunSettings, SearchContext, TrainingData, Workspace
from bet.serving import coded_by_frequency, coded_in_order, table_room
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.training import AlsSettings


def cell_context(
    cell: Cell, split: Split, device: str = "cpu", progress: bool = False
) -> SearchContext:
    """What the cell's method gets to see: train and validation, the exact budget, the profile's
    numbers.
    """
    profile = PROFILES[cell.profile]
    budget, byte_limit = cell_budget(cell, split, profile.columns(cell.backbone))
    folder = cache_dir() / "work" / f"{cell.profile}-{cell.selection_id}"
    return SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=run_settings(cell),
        workspace=Workspace(cache_dir(), folder, device, progress),
        budget=budget,
        byte_limit=byte_limit,
    )


def run_settings(cell: Cell) -> RunSettings:
    """The cell's seeds with its profile's numbers."""
    profile = PROFILES[cell.profile]
    als = profile.training["ials"]
    assert isinstance(als, AlsSettings)
    return RunSettings(
        backbone=cell.backbone,
        training=profile.training[cell.backbone],
        search=profile.search_settings(cell),
        seed=cell.seed,
        init_seed=cell.init_seed,
        search_seed=cell.search_seed,
        als=als,
    )


def cell_budget(cell: Cell, split: Split, d_max: int) -> tuple[Budget, int | None]:
    """The cell's budget in columns and, for methods that meet a number of bytes, that number, of
    the table's file.

    Raises BetError when it cannot be read, is too small, or is one of bytes for a method that
    prunes single numbers, of bytes to serve for one that does not meet bytes.
    """
    n_users, n_items = split.train.shape
    copies = 1 if cell.backbone == NO_BACKBONE else BACKBONES[cell.backbone].copies
    n = n_users + n_items
    full = Budget(n * d_max, n, d_max, copies=copies)
    stated_bytes = parse_bytes(cell.budget, n)
    if cell.method in ELEMENTWISE and stated_bytes is not None:
        raise BetError(
            f"{cell.method} meets a number of parameters, not of bytes ({cell.budget!r}); give a "
            "sparsity or parameters"
        )
    if bounds_serving(cell.budget):
        if cell.method not in IN_BYTES:
            raise BetError(
                f"{cell.method} does not meet a number of bytes to serve ({cell.budget!r}); give a "
                f"sparsity, parameters or bytes of the table, or take {', '.join(IN_BYTES)}"
            )
        assert stated_bytes is not None
        return full, _room(cell, split, d_max, stated_bytes)
    if cell.method in IN_BYTES:
        # Other budgets are as many float32 numbers; the method knows the fewest bytes it needs.
        if stated_bytes is None:
            assert cell.budget is not None  # methods in bytes have one
            float32 = parse_budget(cell.budget, n, d_max, copies=copies, d_min=0)
            stated_bytes = 4 * float32.parameters
        return full, stated_bytes
    if cell.budget is None:
        return full, None
    file_bytes = partial(float32_file_bytes, n_users, n_items, copies, d_max)
    return parse_budget(cell.budget, n, d_max, copies=copies, file_bytes=file_bytes), None


def _room(cell: Cell, split: Split, d_max: int, limit: int) -> int:
    """Bytes that the table's file may have where all that serves it may have ``limit``."""
    served_as = METHODS[cell.method].served_as
    if served_as == "vectors":
        return limit
    interactions = fitted_interactions(cell, split)
    if served_as == "hashed":
        coded = coded_in_order(interactions, np.arange(sum(interactions.shape)))
    else:
        coded = coded_by_frequency(interactions)
    room = table_room(BACKBONES[cell.backbone], d_max, coded, limit, blended=served_as == "blend")
    if room <= 0:
        raise BetError(
            f"a budget of {limit:,} bytes to serve leaves nothing for a table: what else a server "
            f"needs takes {limit - room:,}; raise the budget"
        )
    return room


@contextmanager
def explaining_room(cell: Cell, context: SearchContext) -> Iterator[None]:
    """Add to an error about too few bytes how many of a budget to serve are left for the table."""
    try:
        yield
    except BudgetNotMet:
        raise
    except BetError as error:
        limit, room = parse_bytes(cell.budget, context.budget.n), context.byte_limit
        if not bounds_serving(cell.budget) or limit is None or room is None or limit == room:
            raise
        raise BetError(
            f"{error} (of {limit:,} bytes to serve {room:,} are left for the table; the other "
            f"{limit - room:,} are for interactions, weights and header)"
        ) from error


def fitted_interactions(cell: Cell, split: Split) -> csr_array:
    """The interactions that the cell's reported model is fitted to, and serves from."""
    return split.merged() if cell.protocol == "merged" else split.train
