"""What a file is made from and for: interactions, their split, the bytes, and what the caller
fixed.
"""

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from bet.actions import Budget
from bet.backbones import BACKBONES, NO_BACKBONE
from bet.data import Interactions, Split
from bet.errors import BetError, check_between
from bet.packed import CodedInteractions, IdLayout
from bet.release.clock import Deadline, TimedContext
from bet.search import RunSettings, SearchSettings, TrainingData, Workspace
from bet.training import AlsSettings, FitSettings, ReferenceSettings, TrainSettings

STEPS_PER_EPOCH = 40  # of BPR, where that makes batches of at least 1,024
RANKED = 2 * 10**8  # users that select, times interactions, in a minute of the whole time
LEAST_USERS = 500  # that are ranked however many interactions there are
MOST_COLUMNS = 32_767
MOST_EPOCHS = 10**6


@dataclass(frozen=True)
class Fixed:
    """Settings that the caller chose for every candidate that has them; None: swept.

    ``epochs`` at most, sweeps of least squares; ``columns`` at most.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    l2: float | None = None
    columns: int | None = None

    def __post_init__(self):
        for name, value in asdict(self).items():
            if value is not None and not 0 < value < float("inf"):
                raise BetError(f"{name} must be positive and finite, got {value}")
        for name, most in (("columns", MOST_COLUMNS), ("epochs", MOST_EPOCHS)):
            if getattr(self, name) is not None:
                check_between(name, getattr(self, name), 1, most)


@dataclass(frozen=True, eq=False)
class Task:
    """``coded``: all ``interactions``, which the file is refitted to, rows by training frequency.

    ``ids``: the layout of those in the file, empty without. ``history``: whether a file may say
    what people have seen.
    """

    interactions: Interactions
    split: Split
    data: TrainingData
    limit: int  # bytes to serve
    coded: CodedInteractions
    ids: IdLayout
    history: bool
    fixed: Fixed
    minutes: float
    seed: int
    workspace: Workspace
    deadline: Deadline = field(default_factory=Deadline)  # of everything that is trained for it

    @property
    def growth(self) -> float:
        """How many times the interactions of train the file is fitted to."""
        return self.interactions.matrix.nnz / self.data.train.nnz

    @property
    def has_non_items(self) -> bool:
        """Whether somebody lacks an item: else gradients, which compare a user's items with others,
        cannot fit the final model to all interactions.
        """
        matrix = self.interactions.matrix
        return bool((np.diff(matrix.indptr) < matrix.shape[1]).any())

    @property
    def validation_share(self) -> float:
        """Of the users: those that select. At most half; the gate needs the others. Of many
        interactions fewer, since a rule takes longer for each.
        """
        users = int((np.diff(self.data.validation.indptr) > 0).sum())
        return min(0.5, self.most_users(1) / max(1, users))

    def most_users(self, times: int) -> int:
        """That are ranked where there is time for ``times`` as many as select."""
        return max(LEAST_USERS, int(times * self.minutes * RANKED) // self.data.train.nnz)

    def first_settings(self, backbone: str) -> FitSettings:
        """What a sweep starts from."""
        share, fixed = self.validation_share, self.fixed
        if backbone == NO_BACKBONE:
            return ReferenceSettings(share)
        if BACKBONES[backbone].least_squares:
            return AlsSettings(
                sweeps=fixed.epochs or 12,
                unobserved_weight=0.1,
                l2=fixed.l2 or 0.1,
                exponent=0.75,
                evaluate_every=4,
                patience=2,
                validation_share=share,
            )
        return TrainSettings(
            batch_size=max(1024, self.data.train.nnz // STEPS_PER_EPOCH),
            learning_rate=fixed.learning_rate or 0.03,
            floor=min(1e-3, fixed.learning_rate or 1.0),
            max_epochs=fixed.epochs or 60,
            evaluate_every=2,
            patience=3,
            l2=fixed.l2 or 1e-3,
            init_std=0.1,
            validation_share=share,
        )

    def context(
        self, backbone: str, settings: FitSettings, columns: int, byte_limit: int | None
    ) -> TimedContext:
        """What a method gets to see of it: a full table of ``columns``."""
        n = self.data.n
        return TimedContext(
            data=self.data,
            settings=RunSettings(backbone, settings, SearchSettings(), self.seed),
            workspace=self.workspace,
            budget=Budget(n * columns, n, columns),
            byte_limit=byte_limit,
            deadline=self.deadline,
        )

    def of_limit(self, limit: int) -> "Task":
        """The same for another number of bytes."""
        return replace(self, limit=limit)
