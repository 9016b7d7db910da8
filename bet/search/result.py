"""What a method returns: a table, the context it was made for, and what it took."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scipy.sparse import csr_array

from bet.actions import Action
from bet.backbones import Recommender
from bet.search.context import SearchContext
from bet.search.refit import Trained


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
    trainings: int = 0  # from scratch
    evaluations: int = 0  # on validation, of models that were not trained for it
    short_trainings: int = 0  # from scratch, for a part of the epochs


@dataclass(frozen=True)
class MethodResult:
    """A trained table within the budget of ``context``, how it was chosen and what that took.

    ``iterations``: the population; ``retrained``: by iteration of the action; ``winners``: number
    of iterations T -> iteration of the best action after T. ``trials``: the values of a method's
    knobs that were tried, and what each led to. ``refit`` fits the same model to other interactions
    (|U|, |V|); its second argument names them in a progress bar. None: the allocation is trained
    again.
    """

    trained: Trained
    context: SearchContext
    seconds: StageSeconds
    effort: Effort = Effort(trainings=1)
    iterations: tuple[Evaluated, ...] = ()
    retrained: Mapping[int, Trained] = field(default_factory=dict)
    winners: Mapping[int, int] = field(default_factory=dict)
    trials: tuple[Mapping[str, float], ...] = ()
    refit: Callable[[csr_array, str], Recommender] | None = None
