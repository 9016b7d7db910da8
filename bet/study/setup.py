"""From a cell and a split to what a method gets to see."""

from functools import partial

from bet.actions import Budget, parse_budget, parse_bytes
from bet.backbones import BACKBONES
from bet.data import Split
from bet.errors import BetError
from bet.methods import ELEMENTWISE, IN_BYTES
from bet.packed import float32_file_bytes
from bet.paths import cache_dir
from bet.search import RunSettings, SearchContext, TrainingData, Workspace
from bet.study.cell import Cell
from bet.study.profiles import PROFILES


def cell_context(
    cell: Cell, split: Split, device: str = "cpu", progress: bool = False
) -> SearchContext:
    """What the cell's method gets to see: train and validation, the exact budget, the profile's
    numbers.
    """
    profile = PROFILES[cell.profile]
    budget, byte_limit = cell_budget(cell, split.train.shape, profile.columns(cell.backbone))
    folder = cache_dir() / "work" / f"{cell.profile}-{cell.selection_id}"
    return SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings(
            backbone=cell.backbone,
            training=profile.training[cell.backbone],
            search=profile.search_settings(cell),
            seed=cell.seed,
        ),
        workspace=Workspace(cache_dir(), folder, device, progress),
        budget=budget,
        byte_limit=byte_limit,
    )


def cell_budget(cell: Cell, shape: tuple[int, int], d_max: int) -> tuple[Budget, int | None]:
    """The cell's budget in columns for ``shape``, users and items, and, for methods that meet a
    number of bytes, that number.

    Raises BetError when it cannot be read, is too small, or is one of bytes for a method that
    prunes single numbers.
    """
    (n_users, n_items), copies = shape, BACKBONES[cell.backbone].copies
    n = n_users + n_items
    full = Budget(n * d_max, n, d_max, copies=copies)
    stated_bytes = parse_bytes(cell.budget, n)
    if cell.method in ELEMENTWISE and stated_bytes is not None:
        raise BetError(
            f"{cell.method} meets a number of parameters, not of bytes ({cell.budget!r}); give a "
            "sparsity or parameters"
        )
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
