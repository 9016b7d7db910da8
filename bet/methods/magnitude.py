"""Magnitude pruning (Han et al., NeurIPS 2015): train the full table, keep the B largest numbers,
train again with that mask.
"""

from functools import partial

import torch

from bet.actions import Allocation, keep_largest
from bet.search import (
    Effort,
    MethodResult,
    SearchContext,
    StageSeconds,
    Trial,
    best_trial,
    load_or_pretrain,
)

EXPONENTS = (0.0, 0.5, 0.25, 0.75, 1.0)  # the published method first


def magnitude(context: SearchContext) -> MethodResult:
    """Numbers are compared by |w| / (mean |w| of their row)^gamma; five values of gamma, the best
    on validation.

    gamma = 0 is pruning over the whole table; with gamma = 1 every row keeps about the same number.
    As published (Han et al., NeurIPS 2015) there is no knob; gamma is what the validation
    evaluations that all methods get are spent on. Retraining starts from the initial numbers
    (Frankle and Carbin, ICLR 2019). Rows may end empty.
    """
    full, trials = load_or_pretrain(context), []
    for gamma in EXPONENTS[: context.settings.search.top]:
        learn = partial(largest_numbers, gamma=gamma)
        trials.append(Trial(learn(context), {"gamma": gamma}, learn, Effort(trainings=1)))
    return best_trial(context, trials, seconds=StageSeconds(pretrain=full.result.seconds))


def largest_numbers(context: SearchContext, gamma: float) -> Allocation:
    """The mask that keeps as many numbers of the trained full table as the budget allows."""
    weight = load_or_pretrain(context).model.table().detach().cpu().abs()  # (n, copies * d_max)
    scale = weight.mean(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)  # (n, 1)
    return keep_largest((weight / scale**gamma).numpy(), context.budget.parameters)
