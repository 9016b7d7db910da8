"""The fitness predictor F: DeepSets over the sets of entities of equal size (BET, section 3.3).

Sizes follow frequency rank, so each set S_d is a block of consecutive ranks on each side. Sums of
entity encodings over a block are differences of prefix sums, and entities of equal frequency share
one encoding: scoring an action costs O(d_max) after one pass over the *distinct* frequencies.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.actions import Action, relative_sizes
from bet.data import FrequencyOrder, FrequencyRuns


class MLP(nn.Module):
    """Two linear layers with LeakyReLU between and, for encoders, after them."""

    def __init__(
        self, sizes: tuple[int, int, int], generator: torch.Generator, activate_output: bool = True
    ):
        super().__init__()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        self.activate_output = activate_output
        for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
            weight = nn.init.kaiming_uniform_(
                torch.empty(fan_out, fan_in), a=0.01, generator=generator
            )
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(fan_out)))

    def forward(self, x: Tensor) -> Tensor:
        """(..., fan_in) -> (..., fan_out)."""
        x = F.leaky_relu(F.linear(x, self.weights[0], self.biases[0]))
        x = F.linear(x, self.weights[1], self.biases[1])
        return F.leaky_relu(x) if self.activate_output else x


class _RankedSide:
    """Frequencies of one side in rank order, as runs of equal frequency."""

    def __init__(self, values: np.ndarray, counts: np.ndarray):
        scaled = values / max(values[0], 1)
        self.frequency = torch.from_numpy(scaled.astype(np.float32))[:, None]  # (runs, 1)
        self.counts = torch.from_numpy(counts.astype(np.int64))
        self.ends = torch.from_numpy(np.cumsum(counts))  # rank after each run

    def prefix_sums(self, encodings: Tensor, ranks: Tensor) -> Tensor:
        """Sum of the encodings (runs, h) of the first ``ranks`` (...) entities: (..., h) float64."""
        encodings = (
            encodings.double()
        )  # differences of long sums: float32 would lose the short blocks
        totals = torch.cat(
            [
                encodings.new_zeros(1, encodings.shape[1]),
                (encodings * self.counts[:, None]).cumsum(0),
            ]
        )
        run = torch.searchsorted(self.ends, ranks, right=True)  # complete runs before the rank
        into = ranks - F.pad(self.ends, (1, 0))[run]
        return totals[run] + into[..., None] * F.pad(encodings, (0, 0, 0, 1))[run]


class DeepSets(nn.Module):
    """r_hat = pi(h), h = mean over d of mu([mean of q_n over S_d; d / d_max]), q = rho(f / max f)
    per side (Eq. 7-10).

    The mean of an empty set is the zero vector. Float32 parameters; runs on the CPU. ``sets``:
    d_max or, for actions of another form, ``Space.sets``, what is to be seen of every set besides
    its frequencies.
    """

    def __init__(
        self,
        order: FrequencyOrder | FrequencyRuns,
        sets: int | np.ndarray,
        generator: torch.Generator,
    ):
        super().__init__()
        self.sets = _described(sets)  # (k, c)
        runs = order.runs if isinstance(order, FrequencyOrder) else order
        self.sides = (_RankedSide(*runs.users), _RankedSide(*runs.items))
        self.encode_user = MLP((1, 16, 16), generator)  # rho_U
        self.encode_item = MLP((1, 16, 16), generator)  # rho_V
        self.encode_set = MLP((16 + self.sets.shape[1], 64, 64), generator)  # mu
        self.decode = MLP((64, 64, 1), generator, activate_output=False)  # pi

    def embed(self, histograms: Tensor) -> Tensor:
        """h of actions given as (m, 2, k + 1) int64 counts per side of empty rows and of every set:
        (m, 64).
        """
        sums: Tensor | float = 0.0
        for i, encode in enumerate((self.encode_user, self.encode_item)):
            descending = histograms[:, i, 1:].flip(1)
            ends = descending.cumsum(1).flip(1)  # (m, k), ranks of size >= d
            side = self.sides[i]
            encodings = encode(side.frequency)
            starts = ends - histograms[:, i, 1:]
            sums = sums + side.prefix_sums(encodings, ends) - side.prefix_sums(encodings, starts)
        counts = histograms[:, :, 1:].sum(1)[..., None]
        means = (sums / counts.clamp(min=1)).float()  # (m, k, 16)
        described = self.sets.expand(len(histograms), -1, -1)
        return self.encode_set(torch.cat([means, described], dim=2)).mean(1)

    def forward(self, histograms: Tensor) -> Tensor:
        """Predicted fitness (m,)."""
        return self.decode(self.embed(histograms))[:, 0]


class SizesOnly(nn.Module):
    """The paper's ablation: sees how many entities of each side have which size, but no
    frequencies.

    h is the mean over entities of an encoding of d_n / d_max, one encoder per side, half of h each.
    """

    def __init__(
        self,
        order: FrequencyOrder | FrequencyRuns,
        sets: int | np.ndarray,
        generator: torch.Generator,
    ):
        super().__init__()
        described = _described(sets)
        self.sets = torch.cat(
            [torch.zeros_like(described[:1]), described]
        )  # (k + 1, c), with the empty rows
        self.encode_user = MLP((described.shape[1], 64, 32), generator)
        self.encode_item = MLP((described.shape[1], 64, 32), generator)
        self.decode = MLP((64, 64, 1), generator, activate_output=False)

    def embed(self, histograms: Tensor) -> Tensor:
        shares = histograms / histograms.sum(2, keepdim=True)  # (m, 2, k + 1)
        users, items = self.encode_user(self.sets), self.encode_item(self.sets)
        return torch.cat([shares[:, 0] @ users, shares[:, 1] @ items], dim=1)

    def forward(self, histograms: Tensor) -> Tensor:
        """Predicted fitness (m,)."""
        return self.decode(self.embed(histograms))[:, 0]


def _described(sets: int | np.ndarray) -> Tensor:
    """What a predictor sees of every set, (k, c) float32; ``sets`` may be d_max."""
    return torch.from_numpy(
        (relative_sizes(sets) if isinstance(sets, int) else sets).astype(np.float32)
    )


Predictor = DeepSets | SizesOnly


def stack_histograms(actions: Sequence[Action], d_max: int) -> Tensor:
    """Histograms of ``actions`` as one (m, 2, d_max + 1) int64 tensor; computed once per action."""
    return torch.from_numpy(np.stack([action.histograms(d_max) for action in actions]))


class PredictorTrainer:
    """Mean squared error against measured fitness; Adam, learning rate 0.01, x 0.9 per update down
    to 0.002.
    """

    learning_rate, decay, floor = 0.01, 0.9, 0.002

    def __init__(self, predictor: Predictor):
        self.predictor = predictor
        self.optimizer = torch.optim.Adam(predictor.parameters(), lr=self.learning_rate)
        self.updates = 0

    def update(self, histograms: Tensor, fitness: Tensor) -> float:
        """One gradient step on (m, 2, k + 1) histograms and (m,) fitness; returns the loss before
        the step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = max(self.floor, self.learning_rate * self.decay**self.updates)
        loss = F.mse_loss(self.predictor(histograms), fitness)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        return float(loss.detach())

    def state_dict(self) -> dict:
        return {
            "predictor": self.predictor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict) -> None:
        self.predictor.load_state_dict(state["predictor"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]
