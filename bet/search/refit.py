"""Training within the budget: the full table first, what a method retrains, and what is refitted at
the end.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from scipy.sparse import csr_array

from bet.actions import Allocation
from bet.backbones import BACKBONES, Recommender, new_recommender, rotate_recommender
from bet.errors import BetError
from bet.files import locked
from bet.search.context import SearchContext
from bet.search.start import start_from_factors, start_from_full
from bet.search.training import train_model
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
    """A recommender with a table that keeps ``allocation``, untrained unless the settings start
    from the trained full one; raises BetError above the budget.

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
    model = _random_recommender(context, allocation, table)
    _set_start(context, model)
    return model


def _random_recommender(
    context: SearchContext, allocation: Allocation, table: Callable[..., Table] | None = None
) -> Recommender:
    """As ``initialize_recommender``, but at random whatever the settings start from."""
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
        generator=context.init_generator(),
        init_std=context.settings.init_std,
        table=table,
    )
    check_bytes(context, model.table)
    return model


def _set_start(context: SearchContext, model: Recommender) -> None:
    """Set the numbers of ``model`` to the context's rows, or to what the settings start from,
    unless that is chance.
    """
    if context.start_rows is not None:
        model.table.take_prefixes(context.start_rows.to(model.device))
    elif context.settings.warm_start:
        start_from_full(model, load_or_pretrain(context).model)
    elif context.settings.start is not None:
        start_from_factors(context, model, context.settings.start)


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


def load_or_pretrain(context: SearchContext) -> Trained:
    """The backbone with its full table, trained to convergence once per data set, settings and
    seed, and cached: the denominator of Eq. 12 (line 2 of Algorithm 1). With a warm start it is
    rotated to its principal axes.

    Of runs that start together the first trains it and the others wait; a damaged or foreign cache
    file is made anew. In the context of a refit: trained on its interactions, for the epochs that
    were best before; rotations, masks and codes are learned from it again. Raises BetError, before
    any work, where it cannot be rotated.
    """
    settings, full = context.settings, _of_full_table(context)
    if settings.warm_start:
        BACKBONES[settings.backbone].check_rotates()
    before = None if context.before is None else load_or_pretrain(context.before).result
    name = f"{settings.backbone}-{full.key}"
    with locked(full.workspace.folder / name):
        trained = train_from_scratch(full, full.full_allocation, name, before)
    if settings.warm_start:
        trained = replace(trained, model=rotate_recommender(trained.model))
    return trained


def _of_full_table(context: SearchContext) -> SearchContext:
    """The context that the full table itself is trained in."""
    full = context.without_budget().in_folder(context.workspace.cache / "backbones")
    # The same cached model for contexts that allow empty rows: the full table has none.
    full = replace(full, budget=replace(full.budget, d_min=1))
    settings = full.settings
    if not settings.warm_start:
        return full
    cold = replace(settings.by_gradient, warm_start=False)
    return replace(full, settings=replace(settings, training=cold))


def train_from_scratch(
    context: SearchContext, allocation: Allocation, name: str, before: TrainResult | None = None
) -> Trained:
    """Train a table that keeps ``allocation``, from where the settings say that tables start, until
    validation stops improving or, without a look at validation, for the epochs that were best in
    the training ``before`` and with its rates; what the workspace has of an earlier run is not
    trained again.

    ``name`` labels its files and its bar; a file that is damaged, or of other data, sizes or
    settings, is not used. Raises BetError above the budget.
    """
    folder = context.workspace.folder
    path = folder / f"{name}.pt"
    key = repr((context.key, asdict(context.budget), allocation.digest, context.table_spec))
    if before is not None:
        key += repr((before.epoch, before.falls))
    saved = load_state(path, key)
    model = _random_recommender(context, allocation)
    if saved is not None:  # a start would be overwritten
        model.load_state_dict(saved["model"])
        return Trained(model, TrainResult.from_saved(saved["result"]))
    _set_start(context, model)
    ranked: dict[float, RankingMetrics] = {}  # by quality

    def validate(model: Recommender) -> float:
        metrics = context.rank(model)
        quality = metrics.means()["quality"]
        ranked.setdefault(quality, metrics)  # the first among equals is the one that is kept
        return quality

    result = train_model(
        context,
        model,
        validate=validate if before is None else None,
        epochs=None if before is None else max(1, before.epoch),
        falls=() if before is None else before.falls,
        checkpoint=folder / f"{name}.checkpoint.pt",
        progress=context.workspace.label(name),
    )
    model.table.allocation.check(context.budget)
    save_state(path, key, {"model": model.state_dict(), "result": asdict(result)})
    return Trained(model, result, ranked.get(result.quality))


def refit(
    context: SearchContext,
    trained: Trained,
    train_on: csr_array,
    what: str,
    *,
    by_rank: bool = True,
) -> Recommender:
    """Train a fresh model with the allocation of ``trained`` on ``train_on`` (|U|, |V|), for the
    epochs that were best before and with the rates of then. ``what`` names the data in the progress
    bar.

    ``by_rank``: sizes are an action by frequency rank, so the k-th most frequent of a side in
    ``train_on`` gets what the k-th of the training data had; else every entity keeps its own.
    """
    fitted, allocation = context.fitted_to(train_on), trained.model.table.allocation
    if by_rank:
        allocation = allocation.reranked(context.data.order.entities, fitted.data.order.entities)
    return train_from_scratch(fitted, allocation, f"refit on {what}", trained.result).model
