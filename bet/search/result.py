"""What a method returns: a table, the context it was made for, and what it took."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from scipy.sparse import csr_array

from bet.actions import Action
from bet.backbones import Recommender
from bet.search.context import SearchContext
from bet.search.refit import Trained, refit


@dataclass(frozen=True)
class Evaluated:
    """A member of the population A: an action, how it was chosen, and what fine-tuning measured."""

    t: int  # iteration, from 1
    action: Action
    strategy: str
    predicted: float | None
    fitness: float  # r_a
    quality: float  # on validation, after fine-tuning
    predictor_loss: float | None
    seconds: float


@dataclass(frozen=True)
class StageSeconds:
    """Wall-clock seconds of every run that had a part in the result; None for a stage that a method
    does not have.
    """

    pretrain: float | None = None
    search: float | None = None
    retrain: float | None = None


@dataclass(frozen=True)
class Effort:
    """What was trained and looked at, the shared pre-training not counted."""

    finetunings: int = 0
    trainings: int = 0  # to the end
    evaluations: int = 0  # on validation, of models that were not trained for it
    short_trainings: int = 0  # for a part of the epochs

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Refitted:
    """A model fitted to other interactions. ``effort``: what was learned again for it, its own
    training, which every method needs, not counted.
    """

    model: Recommender
    effort: Effort = Effort()


@dataclass(frozen=True)
class MethodResult:
    """A trained table within the budget of ``context``, how it was chosen and what that took.

    ``iterations``: the population; ``retrained``: by iteration of the action; ``winners``: number
    of iterations T -> iteration of the best action after T. ``trials``: the values of a method's
    knobs that were tried, and what each led to. ``refit``: of a method that learned more than sizes
    by frequency rank; ``fit_to`` calls it.
    """

    trained: Trained
    context: SearchContext
    seconds: StageSeconds
    effort: Effort = Effort(trainings=1)
    iterations: tuple[Evaluated, ...] = ()
    retrained: Mapping[int, Trained] = field(default_factory=dict)
    winners: Mapping[int, int] = field(default_factory=dict)
    trials: tuple[Mapping[str, float], ...] = ()
    refit: Callable[[csr_array, str], Refitted] | None = None

    def fit_to(self, interactions: csr_array, what: str) -> Refitted:
        """The model fitted to other ``interactions`` (|U|, |V|); ``what`` names them in a progress
        bar. Masks, codes and the numbers of rules are learned again, sizes follow the ranks.
        """
        if self.refit is not None:
            return self.refit(interactions, what)
        return Refitted(refit(self.context, self.trained, interactions, what))
