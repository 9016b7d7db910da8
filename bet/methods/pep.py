"""PEP (Liu et al., ICLR 2021): a threshold for every number of the table, learned by gradient
descent.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.actions import Allocation, keep_largest
from bet.backbones import Recommender
from bet.errors import BudgetNotMet
from bet.search import (
    Effort,
    MethodResult,
    SearchContext,
    StageSeconds,
    Trial,
    best_trial,
    cached,
    initialize_learner,
    train_whole_schedule,
    whole_schedule,
)
from bet.tables import LearnedTable

START = -15.0  # of s: thresholds sigmoid(s) of nearly zero
DECAY = 1e-5  # L2 of s: raises the thresholds, against the task once they are large enough
# Of the drift of s while it feels the decay only: speed 1 takes it from START to 0 in the whole
# training. The last is a reserve.
SPEEDS = (2.0, 1.5, 3.0, 4.0, 1.25, 6.0)


class ThresholdTable(LearnedTable):
    """V_hat = sign(V) relu(|V| - g), g = max|V| sigmoid(s), an s per number; training ends when
    ``limit`` numbers are left.
    """

    def __init__(self, allocation: Allocation, *, limit: int, rate: float, **options):
        super().__init__(allocation, **options)
        self.limit, self.rate = limit, rate
        self.s = nn.Parameter(torch.full_like(self.weight, START))  # (n, copies * d_max)

    def forward(self) -> Tensor:
        return self.weight.sign() * F.relu(self.weight.abs() - self._thresholds())

    def _thresholds(self) -> Tensor:
        """g, (n, copies * d_max)."""
        # Relative to the largest number: s is pulled to 0 at most, and sigmoid(0) alone would not
        # reach numbers above 1/2.
        return self.weight.detach().abs().max() * self.s.sigmoid()

    def margins(self) -> Tensor:
        """|V| - g, (n, copies * d_max); positive where a number is left."""
        return (self.weight.abs() - self._thresholds()).detach()

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [([self.weight], 1.0), ([self.s], self.rate)]

    def penalty(self) -> Tensor:
        return DECAY / 2 * self.s.square().sum()

    def before_step(self, step: int, steps: int) -> bool:
        return int((self.margins() > 0).sum()) <= self.limit

    def n_parameters(self) -> int:
        return int((self.margins() > 0).sum())


def pep(context: SearchContext) -> MethodResult:
    """Train the table and its thresholds jointly until the budget is met, rewind to the initial
    numbers, train with the mask (Liu et al., ICLR 2021).

    Changed: BPR for log-loss; s has a separate learning rate, stated as the speed of its
    drift, which is tuned on validation (a speed that does not come down to the budget is replaced
    by another); thresholds are relative to the largest number; the first step at which no more than
    B numbers are left ends the run and the B largest margins are kept, so the budget is met
    exactly; retraining stops early on validation, not on test as the published code does. Users and
    items, and NCF's two tables, share one budget. Rows may end empty. Raises BudgetNotMet when no
    speed comes down to the budget.
    """
    limit, trials, reached, seconds = context.budget.parameters, [], [], 0.0
    for speed in SPEEDS:
        state = _margins(context, speed)
        seconds += state["seconds"]
        reached.append(state["left"])
        if state["left"] <= limit:
            facts = {"speed": speed, "left": state["left"], "pruning_epochs": state["epochs"]}
            allocation = keep_largest(state["margins"].numpy(), limit)
            learn = partial(_prune_again, speed=speed)
            trials.append(Trial(allocation, facts, learn, Effort(trainings=1)))
        if len(trials) == context.settings.search.top:
            break
    if not trials:
        raise BudgetNotMet(
            "numbers",
            limit,
            min(reached),
            "the thresholds did not rise far enough in all epochs",
        )
    return best_trial(
        context, trials, seconds=StageSeconds(search=seconds), effort=Effort(trainings=len(reached))
    )


def _margins(context: SearchContext, speed: float) -> dict:
    return cached(context, f"pep-{speed:g}", _prune, speed, settings=(START, DECAY))


def _prune_again(fitted: SearchContext, speed: float) -> Allocation:
    """The mask on other interactions: of the largest margins also where more numbers are left."""
    return keep_largest(_margins(fitted, speed)["margins"].numpy(), fitted.budget.parameters)


def _prune(context: SearchContext, speed: float) -> dict:
    model = pruning_recommender(context, speed)
    result = train_whole_schedule(context, model, f"prune-{speed:g}")
    table = model.table
    assert isinstance(table, ThresholdTable)
    facts = {"left": table.n_parameters(), "epochs": result.epoch, "seconds": result.seconds}
    return {"margins": table.margins().cpu()} | facts


def pruning_recommender(context: SearchContext, speed: float) -> Recommender:
    """A fresh recommender whose thresholds drift at ``speed``."""
    # Adam moves s by about its learning rate in every step.
    traveled = sum(whole_schedule(context).rates)
    table = partial(ThresholdTable, limit=context.budget.parameters, rate=speed * -START / traveled)
    return initialize_learner(context, table)
