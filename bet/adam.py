"""torch's Adam without what only torch's compiler needs."""

from inspect import unwrap

import torch
from torch.optim import Optimizer


class Adam(torch.optim.Adam):
    """The same numbers; but its first step does not import ``torch._dynamo``, which is slow. These
    methods are torch's, without the wrapper that keeps the compiler out of them: nothing here is
    compiled by torch.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Adam([weight], lr=0.5)
    >>> weight.square().sum().backward()
    >>> optimizer.step()  # the first step is as long as the rate, against the gradient
    >>> [round(number, 4) for number in weight.tolist()]
    [0.5, -1.5]
    """

    add_param_group = unwrap(Optimizer.add_param_group)
    zero_grad = unwrap(Optimizer.zero_grad)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
