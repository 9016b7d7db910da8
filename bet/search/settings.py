"""How a run trains and searches, and the seeds that it draws from."""

import math
from dataclasses import dataclass, replace

from bet.errors import BetError
from bet.training import AlsSettings, FitSettings, ReferenceSettings, TrainSettings

QUARTER = 0.25  # of a training's epochs: how long a short one takes


@dataclass(frozen=True)
class SearchSettings:
    """Numbers of Algorithm 1."""

    iterations: int = 10  # T
    actions: int = 100  # m, sampled per iteration
    finetune_epochs: int = 10  # h
    finetune_schedule: str = "step"  # or "cosine"; the learning rate is the training's
    finetune_decay: float = 0.98
    predictor_updates: int = 2  # N
    predictor_batch: int = 16  # actions of A per update, or all of A while it is smaller
    top: int = 5  # trained to the end
    # Further iteration counts whose best action is retrained and reported (Fig. 5).
    curve: tuple[int, ...] = ()

    def __post_init__(self):
        for name in (
            "iterations",
            "actions",
            "finetune_epochs",
            "predictor_updates",
            "predictor_batch",
            "top",
        ):
            if getattr(self, name) < 1:
                raise BetError(f"{name} must be at least 1, got {getattr(self, name)}")

    def trains_all(self, training: FitSettings) -> bool:
        """Whether a search in rungs trains every action to the end: always by least squares; by
        gradients where T trainings take no more epochs than T fine-tunings, T short trainings and
        the ``top`` that would be retrained. The largest number of epochs counts, and T also where
        anchors make a search longer.

        >>> SearchSettings(iterations=10, finetune_epochs=3, top=5).trains_all(
        ...     TrainSettings(max_epochs=10))  # 10 * 10 <= 10 * (3 + 3) + 5 * 10
        True
        >>> SearchSettings(iterations=10, finetune_epochs=3, top=5).trains_all(
        ...     TrainSettings(max_epochs=20))  # 10 * 20 > 10 * (3 + 5) + 5 * 20
        False
        """
        if not isinstance(training, TrainSettings):
            return True
        epochs = training.max_epochs
        rungs = self.finetune_epochs + math.ceil(QUARTER * epochs)
        return self.iterations * epochs <= self.iterations * rungs + self.top * epochs


@dataclass(frozen=True)
class RunSettings:
    """How to train and to search. All randomness comes from three seeds: ``seed`` decides the split
    and the validation users, ``init_seed`` the first weights and the order of training triples,
    ``search_seed`` what a search draws; None: ``seed``. ``als``: of the factors that tables start
    from where ``training.start`` is "ials".

    >>> settings = RunSettings("lightgcn", TrainSettings(), SearchSettings(), 1, search_seed=2)
    >>> settings.seed, settings.seed_of_init, settings.seed_of_search
    (1, 1, 2)
    """

    backbone: str
    training: FitSettings
    search: SearchSettings
    seed: int = 0
    init_seed: int | None = None
    search_seed: int | None = None
    als: AlsSettings | None = None

    @property
    def seed_of_init(self) -> int:
        """The seed of first weights and training triples."""
        return self.seed if self.init_seed is None else self.init_seed

    @property
    def seed_of_search(self) -> int:
        """The seed of what a search draws."""
        return self.seed if self.search_seed is None else self.search_seed

    @property
    def init_std(self) -> float | None:
        """Of the rows at first; None: the backbone's default."""
        return None if isinstance(self.training, ReferenceSettings) else self.training.init_std

    @property
    def by_gradient(self) -> TrainSettings:
        """``training`` where it takes gradient steps; raises BetError for other trainings."""
        if not isinstance(self.training, TrainSettings):
            raise BetError(
                f"backbone {self.backbone!r} is not trained by gradients; take another backbone, "
                "or a method that needs none"
            )
        return self.training

    @property
    def start(self) -> AlsSettings | None:
        """Of the factors that tables start from; None: they start at random. Raises BetError where
        ``als`` is missing.
        """
        if not isinstance(self.training, TrainSettings) or self.training.start != "ials":
            return None
        if self.als is None:
            raise BetError('start = "ials" needs the settings of least squares; give als')
        return self.als

    @property
    def warm_start(self) -> bool:
        """Whether tables start from the trained full one."""
        return isinstance(self.training, TrainSettings) and self.training.warm_start

    @property
    def finetuning(self) -> TrainSettings:
        """Fine-tuning differs from training in its schedule and learning-rate decay (BET, 4.3).

        >>> RunSettings("lightgcn", TrainSettings(), SearchSettings()).finetuning.decay
        0.98
        """
        search = self.search
        return replace(
            self.by_gradient, schedule=search.finetune_schedule, decay=search.finetune_decay
        )
