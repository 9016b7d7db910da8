"""Magnitude pruning (Han et al., NeurIPS 2015): train the full table, keep the B largest numbers,
train again with that mask.
"""

import torch

from bet.actions import keep_largest
from bet.search import (
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
    full = load_or_pretrain(context)
    weight = full.model.table().detach().cpu().abs()  # (n, copies * d_max)
    scale = weight.mean(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)  # (n, 1)
    trials = []
    for gamma in EXPONENTS[: context.settings.search.top]:
        scores = weight / scale**gamma
        allocation = keep_largest(scores.numpy(), context.budget.parameters)
        trials.append(Trial(allocation, {"gamma": gamma}))
    return best_trial(context, trials, seconds=StageSeconds(pretrain=full.result.seconds))
