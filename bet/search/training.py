"""The one place where the type of the settings decides how a recommender is trained."""

from collections.abc import Callable
from pathlib import Path

from bet.backbones import Recommender
from bet.search.context import SearchContext
from bet.training import AlsSettings, TrainResult, TrainSettings, train, train_als


def train_model(
    context: SearchContext,
    model: Recommender,
    settings: TrainSettings | AlsSettings | None = None,
    *,
    validate: Callable[[Recommender], float] | None = None,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainResult:
    """Train ``model`` in place on the training data of ``context``, by ``settings`` (default: the
    context's): ``bet.training.train`` or ``train_als``, which see for the rest.
    """
    settings, seed = settings or context.settings.training, context.settings.seed
    if isinstance(settings, AlsSettings):
        return train_als(
            model,
            context.data.train,
            settings,
            seed=seed,
            validate=validate,
            epochs=epochs,
            checkpoint=checkpoint,
            progress=progress,
        )
    return train(
        model,
        context.sampler,
        settings,
        seed=seed,
        validate=validate,
        epochs=epochs,
        checkpoint=checkpoint,
        progress=progress,
    )
