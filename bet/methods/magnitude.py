"""Magnitude pruning (Han et al., NeurIPS 2015): train the full table, keep the B largest numbers,
train again with that mask.
"""

from functools import partial

import torch
from torch import Tensor

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
    weight = load_or_pretrain(context).model.table().detach().cpu()  # (n, copies * d_max)
    return keep_largest(magnitudes(weight, gamma).numpy(), context.budget.parameters)


def magnitudes(weight: Tensor, gamma: float) -> Tensor:
    """|w| / (mean |w| of the row)^gamma of ``weight`` (n, k).

    >>> magnitudes(torch.tensor([[3.0, -1.0], [0.0, 8.0]]), gamma=1.0)
    tensor([[1.5000, 0.5000],
            [0.0000, 2.0000]])
    """
    size = weight.abs()
    scale = size.mean(1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)  # (n, 1)
    return size / scale**gamma
