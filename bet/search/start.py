"""Where the numbers of a table start from, if not at random: factors by least squares, or the
trained full table.
"""

from dataclasses import asdict, replace

import torch
from torch import Tensor

from bet.actions import Allocation
from bet.backbones import IALS, Recommender, last_copies, new_recommender
from bet.errors import BetError
from bet.files import locked
from bet.search.context import SearchContext
from bet.seeds import torch_generator
from bet.training import AlsSettings, load_state, save_state, train_als


def start_from_factors(context: SearchContext, model: Recommender, settings: AlsSettings) -> None:
    """Set the numbers of ``model`` to factors of its sizes, scaled to a root mean square of
    ``start_scale``; a table of single numbers takes them of factors with all columns.

    Raises BetError where the table cannot start from given rows.
    """
    allocation, body = model.table.allocation, model.backbone
    if allocation.mask is not None:
        allocation = Allocation.uniform(model.table.n, body.d_max)
    allocation = replace(allocation, last_copy=False)  # factors have one copy
    rows = scaled_factors(context, allocation, settings).to(model.device)
    std = context.settings.init_std
    fresh = torch.empty(rows.shape).normal_(
        0.0,
        body.init_std if std is None else std,
        generator=torch_generator(context.settings.seed_of_init, "init", "beside factors"),
    )
    model.table.take_prefixes(body.take_factors(rows, fresh.to(rows.device)))


def scaled_factors(context: SearchContext, allocation: Allocation, settings: AlsSettings) -> Tensor:
    """Factors (n, width) of the sizes ``allocation``, scaled to a root mean square of
    ``start_scale``; raises BetError where they are all zero.
    """
    rows = load_or_factorize(context, allocation, settings)
    kept = int(allocation.columns.sum(dtype="int64"))  # others are zero
    length = float((rows.double().square().sum() / max(1, kept)).sqrt())
    if not length:
        raise BetError("factors by least squares are all zero; lower l2 of [training.ials]")
    return rows * (context.settings.by_gradient.start_scale / length)


def load_or_factorize(
    context: SearchContext, allocation: Allocation, settings: AlsSettings
) -> Tensor:
    """Factors (n, width) of the training data, by implicit alternating least squares: row n has the
    columns that ``allocation`` keeps, the others are zero. Fitted once for data, sizes, settings
    and seed, and cached.

    In the context of ``SearchContext``'s example:

    >>> sizes = Allocation.from_sizes(np.array([2, 1, 2, 1, 1]))
    >>> load_or_factorize(context, sizes, AlsSettings(sweeps=2)).shape
    torch.Size([5, 2])
    """
    seed, d_max = context.settings.seed_of_init, context.budget.d_max
    folder, digest = context.workspace.cache / "factors", context.data.digest
    name = f"{digest[:12]}-{allocation.digest[:12]}-{seed}"
    path = folder / f"{name}.pt"
    key = repr((digest, allocation.digest, d_max, asdict(settings), seed, context.workspace.device))
    with locked(folder / name):
        if saved := load_state(path, key):
            return saved["rows"]
        factors = new_recommender(
            IALS,
            context.graph,
            allocation,
            n_users=context.data.n_users,
            d_max=d_max,
            generator=torch_generator(seed, "init"),
            init_std=settings.init_std,
        )
        train_als(
            factors,
            context.data.train,
            settings,
            seed=seed,
            checkpoint=folder / f"{name}.checkpoint.pt",
            progress=context.workspace.label("factors to start from"),
        )
        rows = factors.table().detach().cpu()
        save_state(path, key, {"rows": rows})
    return rows


def start_from_full(model: Recommender, full: Recommender) -> None:
    """Set all weights of ``model`` to those of ``full``, cut to what its table keeps."""
    model.backbone.take_weights(full.backbone)
    model.table.take_prefixes(last_copies(full, full.table().detach(), model.backbone))
