"""From a cell and a split to what a method gets to see."""

from bet.actions import Budget, parse_budget, parse_bytes
from bet.backbones import BACKBONES
from bet.data import Split
from bet.errors import BetError
from bet.methods import ELEMENTWISE, IN_BYTES
from bet.paths import cache_dir
from bet.search import RunSettings, SearchContext, TrainingData, Workspace
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.tables import masked_table_bytes


def cell_context(
    cell: Cell, split: Split, device: str = "cpu", progress: bool = False
) -> SearchContext:
    """What the cell's method gets to see: train and validation, the exact budget, the profile's
    numbers.
    """
    profile = PROFILES[cell.profile]
    budget, byte_limit = cell_budget(cell, sum(split.train.shape), profile.d_max)
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


def cell_budget(cell: Cell, n: int, d_max: int) -> tuple[Budget, int | None]:
    """The cell's budget in columns for ``n`` entities and, for methods that meet a number of bytes,
    that number.

    Raises BetError when it cannot be read, is too small, or is one of bytes for a method that
    prunes single numbers.
    """
    copies = BACKBONES[cell.backbone].copies
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
            numbers = parse_budget(cell.budget, n, d_max, copies=copies, d_min=0).parameters
            stated_bytes = 4 * numbers
        return full, stated_bytes
    if cell.budget in (None, "none"):
        return full, None

    def file_bytes(parameters: int) -> int:
        return masked_table_bytes(n, parameters, d_max)

    return parse_budget(cell.budget, n, d_max, copies=copies, file_bytes=file_bytes), None
