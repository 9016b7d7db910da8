"""Training from scratch within the budget: what a method retrains, and what is refitted at the
end.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from scipy.sparse import csr_array

from bet.actions import Allocation
from bet.backbones import BACKBONES, Recommender, new_recommender
from bet.errors import BetError
from bet.search.context import SearchContext, TrainingData
from bet.search.training import train_model
from bet.seeds import torch_generator
from bet.tables import RankedVectorSpec, Table
from bet.training import RankingMetrics, TrainResult, load_state, save_state


@dataclass(frozen=True)
class Trained:
    """A recommender trained to convergence, how that went, and, unless it was trained earlier, what
    it gave users on validation.
    """

    model: Recommender
    result: TrainResult
    ranked: RankingMetrics | None = None


def initialize_recommender(
    context: SearchContext, allocation: Allocation, table: Callable[..., Table] | None = None
) -> Recommender:
    """An untrained recommender with a table that keeps ``allocation``; raises BetError above the
    budget.

    A mask starts from the numbers that the full table of the same seed starts from. ``table`` makes
    the table (default: what the context's ``table_spec`` or the allocation asks for).

    In the context of ``SearchContext``'s example, ten columns over five entities:

    >>> model = initialize_recommender(context, Allocation.from_sizes(np.array([4, 2, 1, 2, 1])))
    >>> model.table.n_parameters(), model.table().shape
    (10, torch.Size([5, 4]))
    >>> initialize_recommender(context, Allocation.uniform(5, 3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bet.errors.BetError: sizes of 5 entities in [3, 3] sum to 15; allowed are ...
    """
    allocation.check(context.budget)
    if table is None and allocation.mask is None:
        table = context.make_table
    # Layers between embeddings and final vectors are as wide as the embeddings.
    narrow = isinstance(context.table_spec, RankedVectorSpec)
    model = new_recommender(
        BACKBONES[context.settings.backbone],
        context.graph,
        allocation,
        n_users=context.data.n_users,
        d_max=int(allocation.columns.max()) if narrow else context.budget.d_max,
        generator=torch_generator(context.settings.seed, "init"),
        init_std=context.settings.init_std,
        table=table,
    )
    check_bytes(context, model.table)
    return model


def check_bytes(context: SearchContext, table: Table) -> None:
    """Raise BetError if the context has a limit in bytes for packed tables and the file of
    ``table`` exceeds it.
    """
    limit = context.byte_limit
    if context.table_spec and limit is not None and table.n_bytes() > limit:
        raise BetError(f"a table of {table.n_bytes():,} bytes exceeds the limit of {limit:,}")


def check_table(context: SearchContext, table: Table) -> None:
    """Raise BetError unless ``table`` obeys the budget: its sizes or mask and, if it is packed, the
    bytes of its file.
    """
    table.allocation.check(context.with_empty_rows().budget)
    check_bytes(context, table)


def train_from_scratch(context: SearchContext, allocation: Allocation, name: str) -> Trained:
    """Train a table that keeps ``allocation`` until validation stops improving; what the workspace
    has of an earlier run is not trained again.

    ``name`` labels its files and its bar; a file that is damaged, or of other data, sizes or
    settings, is not used. Raises BetError above the budget.
    """
    folder = context.workspace.folder
    path = folder / f"{name}.pt"
    key = repr((context.key, asdict(context.budget), allocation.digest, context.table_spec))
    saved = load_state(path, key)
    model = initialize_recommender(context, allocation)
    if saved is not None:
        model.load_state_dict(saved["model"])
        return Trained(model, TrainResult.from_saved(saved["result"]))
    ranked: dict[float, RankingMetrics] = {}  # by quality

    def validate(model: Recommender) -> float:
        metrics = context.rank(model)
        quality = metrics.means()["quality"]
        ranked.setdefault(quality, metrics)  # the first among equals is the one that is kept
        return quality

    result = train_model(
        context,
        model,
        validate=validate,
        checkpoint=folder / f"{name}.checkpoint.pt",
        progress=context.workspace.label(name),
    )
    model.table.allocation.check(context.budget)
    save_state(path, key, {"model": model.state_dict(), "result": asdict(result)})
    return Trained(model, result, ranked.get(result.quality))


def refit(context: SearchContext, trained: Trained, train_on: csr_array, what: str) -> Recommender:
    """Train a fresh model with the allocation of ``trained`` on ``train_on`` (|U|, |V|), for the
    epochs that were best before. ``what`` names the data in the progress bar.
    """
    data = TrainingData(train_on, context.data.validation)
    # The allocation may have empty rows where its method removed entities.
    merged = replace(context.with_empty_rows(), data=data)
    model = initialize_recommender(merged, trained.model.table.allocation)
    train_model(
        merged,
        model,
        epochs=max(1, trained.result.epoch),
        checkpoint=merged.workspace.folder / "merged.checkpoint.pt",
        progress=merged.workspace.label(f"refit on {what}"),
    )
    return model
