"""The softmax of a positive and several negatives: on CPUs where numba is installed a compiled loop
gives the loss and its gradient, without the rows of all pairs in memory.
"""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def has_loops(representations: Tensor) -> bool:
    """Whether compiled loops can take them: float32, on a CPU, numba installed."""
    on_cpu = representations.device.type == "cpu"
    return on_cpu and representations.dtype == torch.float32 and find_spec("numba") is not None


def compiled_loss(
    loop: Callable, users: Tensor, items: Tensor, inputs: tuple[Tensor, ...]
) -> Tensor:
    """What ``loop``, of ``softmax_kernels``, returns for ``users`` (B,) and ``items`` (B, 1 + K),
    differentiable in ``inputs``, float32.
    """
    return _CompiledLoss.apply(loop, users, items, *inputs)


class _CompiledLoss(torch.autograd.Function):
    """The gradient is known as soon as the loss is."""

    @staticmethod
    def forward(ctx, loop: Callable, users: Tensor, items: Tensor, *inputs: Tensor) -> Tensor:
        gradients = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in inputs]
        arrays = [x.detach().contiguous().numpy() for x in inputs]
        places = users.numpy(), items.contiguous().numpy()
        loss = loop(*arrays, *places, *(gradient.numpy() for gradient in gradients))
        ctx.save_for_backward(*gradients)
        return inputs[0].new_tensor(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        return None, None, None, *(part * gradient for part in ctx.saved_tensors)
