"""Straight-through estimator (Bengio et al., 2013): numbers are rounded, their gradient is not."""

from collections.abc import Callable

import torch
from torch import Tensor

Rounding = Callable[[Tensor], Tensor]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor, rounding: Rounding) -> Tensor:
        return rounding(weight)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(weight: Tensor, rounding: Rounding) -> Tensor:
    """``rounding(weight)``, of the same shape, whose gradient goes to ``weight`` unchanged."""
    return _StraightThrough.apply(weight, rounding)


def to_half(weight: Tensor) -> Tensor:
    """The nearest numbers of float16, as float32."""
    return weight.half().float()
