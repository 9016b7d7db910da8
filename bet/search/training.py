"""The one place where the type of the settings decides how a recommender is trained."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bet.backbones import Recommender
from bet.search.context import SearchContext
from bet.training import AlsSettings, FitSettings, TrainResult, TrainSettings, train, train_als


def train_model(
    context: SearchContext,
    model: Recommender,
    settings: FitSettings | None = None,
    *,
    validate: Callable[[Recommender], float] | None = None,
    epochs: int | None = None,
    falls: Sequence[int] = (),
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainResult:
    """Train ``model`` in place on the training data of ``context``, by ``settings`` (default: the
    context's): ``bet.training.train`` or ``train_als``, which see for the rest.
    """
    chosen, seed = settings or context.settings.training, context.settings.seed_of_init
    fit: Callable[..., TrainResult]
    if isinstance(chosen, AlsSettings):
        fit = partial(train_als, model, context.data.train, chosen)
    else:
        assert isinstance(chosen, TrainSettings), "a reference is fitted by its own method"
        fit = partial(train, model, context.sampler, chosen, falls=falls)
    return fit(
        seed=seed,
        validate=validate,
        epochs=epochs,
        checkpoint=checkpoint,
        progress=progress,
    )
