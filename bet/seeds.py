"""Every stream of random numbers is derived from one of a cell's seeds and a name.

Because a stream depends on its name only, not on what ran before it, interrupted work resumes
without saving generator states.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called ``names`` under ``seed``."""
    digest = hashlib.sha256(repr((seed, names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A fresh numpy generator for the stream called ``names``."""
    return np.random.default_rng(derive(seed, *names))


def torch_generator(
    seed: int, *names: str | int, device: "str | torch.device" = "cpu"
) -> "torch.Generator":
    """A fresh torch generator on ``device`` for the stream called ``names``."""
    import torch  # here, so that data and actions need no torch

    return torch.Generator(device=device).manual_seed(derive(seed, *names))
