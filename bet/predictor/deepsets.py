"""The fitness predictor F: DeepSets over the sets of entities of equal size (BET, section 3.3).

Sizes follow frequency rank, so each set S_d is a block of consecutive ranks on each side. Sums of
entity encodings over a block are differences of prefix sums, and entities of equal frequency share
an encoding: scoring an action costs O(d_max) after one pass over the *distinct* frequencies.

Letters in comments: m actions, k sets (d_max for actions that only choose sizes), c features of a
set besides its frequencies, r runs of equal frequency on one side, h numbers of an encoding.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.actions import Action, relative_sizes
from bet.adam import Adam
from bet.data import FrequencyOrder, FrequencyRuns


class MLP(nn.Module):
    """Two linear layers with LeakyReLU between and, for encoders, after them.

    With all weights 1 both hidden units are 3 - 1 = 2, and the output is 2 + 2:

    >>> mlp = MLP((2, 2, 1), torch.Generator().manual_seed(0))
    >>> for weight in mlp.weights:
    ...     _ = nn.init.ones_(weight)
    >>> mlp(torch.tensor([[3.0, -1.0]])).tolist()
    [[4.0]]
    """

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
    """Frequencies of one side in rank order, as r runs of equal frequency."""

    def __init__(self, frequencies: np.ndarray, counts: np.ndarray):
        scaled = frequencies / max(frequencies[0], 1)  # f / max f, the argument of Eq. 7
        self.frequency = torch.from_numpy(scaled.astype(np.float32))[:, None]  # (r, 1)
        self.counts = torch.from_numpy(counts.astype(np.int64))  # (r,)
        self.ends = torch.from_numpy(np.cumsum(counts))  # (r,), rank after each run

    def prefix_sums(self, encodings: Tensor, ranks: Tensor) -> Tensor:
        """Sum of the encodings (r, h) of the first ``ranks`` (...) entities: (..., h) float64.

        An entity of frequency 3, encoded as 10, then two of frequency 1, encoded as 1:

        >>> side = _RankedSide(np.array([3, 1]), np.array([1, 2]))
        >>> sums = side.prefix_sums(torch.tensor([[10.0], [1.0]]), torch.tensor([0, 1, 2, 3]))
        >>> sums[:, 0].tolist()
        [0.0, 10.0, 11.0, 12.0]
        """
        # Differences of long sums follow: float32 would lose the short blocks.
        encodings = encodings.double()
        by_run = (encodings * self.counts[:, None]).cumsum(0)  # (r, h)
        totals = torch.cat([encodings.new_zeros(1, encodings.shape[1]), by_run])  # (r + 1, h)
        run = torch.searchsorted(self.ends, ranks, right=True)  # (...), complete runs before a rank
        into = ranks - F.pad(self.ends, (1, 0))[run]  # (...), entities of the incomplete run
        return totals[run] + into[..., None] * F.pad(encodings, (0, 0, 0, 1))[run]


class DeepSets(nn.Module):
    """Predicted fitness of actions, from the frequencies of the entities of every size (Eq. 7-10).

    ``sets``: d_max or, for other types of action, the features of every set, ``Space.sets`` (k, c).
    The mean of an empty set is the zero vector (the paper leaves it open). Float32 parameters; runs
    on the CPU.

    Two columns for the more frequent of two users, or for the other one: the predictor sees which.

    >>> order = FrequencyOrder(np.array([3, 1]), np.array([4]))
    >>> predictor = DeepSets(order, 2, torch.Generator().manual_seed(0))
    >>> one_of_two = torch.tensor([[[0, 1, 1], [0, 1, 0]]])  # users and items by size
    >>> alike = DeepSets(FrequencyOrder(np.array([1, 1]), np.array([4])), 2, torch.Generator())
    >>> _ = alike.load_state_dict(predictor.state_dict())
    >>> bool(predictor(one_of_two) == alike(one_of_two))
    False
    """

    def __init__(
        self,
        order: FrequencyOrder | FrequencyRuns,
        sets: int | np.ndarray,
        generator: torch.Generator,
    ):
        super().__init__()
        self.sets = _set_features(sets)  # (k, c)
        runs = order.runs if isinstance(order, FrequencyOrder) else order
        self.sides = (_RankedSide(*runs.users), _RankedSide(*runs.items))
        self.encode_user = MLP((1, 16, 16), generator)  # rho_U
        self.encode_item = MLP((1, 16, 16), generator)  # rho_V
        self.encode_set = MLP((16 + self.sets.shape[1], 64, 64), generator)  # mu
        self.decode = MLP((64, 64, 1), generator, activate_output=False)  # pi

    def embed(self, histograms: Tensor) -> Tensor:
        """The embedding h_a of m actions (m, 64), from (m, 2, k + 1) int64: how many users and how
        many items have no row at all and how many are in each set.
        """
        sums: Tensor | float = 0.0
        for i, encode in enumerate((self.encode_user, self.encode_item)):
            side, sizes = self.sides[i], histograms[:, i, 1:]  # (m, k)
            q = encode(side.frequency)  # Eq. 7: (r, 16)
            ends = sizes.flip(1).cumsum(1).flip(1)  # (m, k), entities of size >= d
            starts = ends - sizes  # (m, k), entities of size > d: the larger stand before
            sums = sums + side.prefix_sums(q, ends) - side.prefix_sums(q, starts)  # (m, k, 16)
        counts = histograms[:, :, 1:].sum(1)[..., None]  # (m, k, 1)
        means = (sums / counts.clamp(min=1)).float()  # (m, k, 16); an empty set is zero
        features = self.sets.expand(len(histograms), -1, -1)  # (m, k, c): d / d_max
        s = self.encode_set(torch.cat([means, features], dim=2))  # Eq. 8: (m, k, 64)
        return s.mean(1)  # Eq. 9

    def forward(self, histograms: Tensor) -> Tensor:
        """Predicted fitness (m,) of (m, 2, k + 1) int64 histograms."""
        return self.decode(self.embed(histograms))[:, 0]  # Eq. 10


class SizesOnly(nn.Module):
    """The paper's ablation: sees how many entities of each side have which size, but no
    frequencies.

    Each side's half of h_a is the mean over its entities of an encoding of d_n / d_max. ``order``
    is ignored; it is there so that the class is called like ``DeepSets``.

    >>> histograms = torch.tensor([[[0, 1, 1], [0, 1, 0]]])  # users and items by size
    >>> predicted = []
    >>> for frequencies in ([3, 1], [1, 1]):  # of the users; the predictor does not see them
    ...     order = FrequencyOrder(np.array(frequencies), np.array([4]))
    ...     predictor = SizesOnly(order, 2, torch.Generator().manual_seed(0))
    ...     predicted.append(predictor(histograms).tolist())
    >>> predicted[0] == predicted[1]
    True
    """

    def __init__(
        self,
        order: FrequencyOrder | FrequencyRuns,
        sets: int | np.ndarray,
        generator: torch.Generator,
    ):
        super().__init__()
        features = _set_features(sets)  # (k, c)
        no_row = torch.zeros_like(features[:1])
        self.sets = torch.cat([no_row, features])  # (k + 1, c)
        self.encode_user = MLP((features.shape[1], 64, 32), generator)
        self.encode_item = MLP((features.shape[1], 64, 32), generator)
        self.decode = MLP((64, 64, 1), generator, activate_output=False)

    def embed(self, histograms: Tensor) -> Tensor:
        """(m, 2, k + 1) int64 -> (m, 64)."""
        shares = histograms / histograms.sum(2, keepdim=True)  # (m, 2, k + 1)
        users, items = self.encode_user(self.sets), self.encode_item(self.sets)  # (k + 1, 32)
        return torch.cat([shares[:, 0] @ users, shares[:, 1] @ items], dim=1)

    def forward(self, histograms: Tensor) -> Tensor:
        """Predicted fitness (m,) of (m, 2, k + 1) int64 histograms."""
        return self.decode(self.embed(histograms))[:, 0]


def _set_features(sets: int | np.ndarray) -> Tensor:
    """Features of every set, (k, c) float32; ``sets`` may be d_max."""
    features = relative_sizes(sets) if isinstance(sets, int) else sets
    return torch.from_numpy(features.astype(np.float32))


Predictor = DeepSets | SizesOnly


def stack_histograms(actions: Sequence[Action], d_max: int) -> Tensor:
    """How many users and items have every size: (m, 2, d_max + 1) int64.

    Two users, the first met three times in training, and one item; the more frequent user keeps two
    columns, the other user one, the item two:

    >>> order = FrequencyOrder(np.array([3, 1]), np.array([4]))
    >>> action = Action.from_ranked(order, np.array([2, 1]), np.array([2]))
    >>> stack_histograms([action], d_max=2).tolist()
    [[[0, 1, 1], [0, 0, 1]]]
    """
    return torch.from_numpy(np.stack([action.histograms(d_max) for action in actions]))


class PredictorTrainer:
    """Mean squared error against measured fitness; Adam, learning rate 0.01, x 0.9 per update down
    to 0.002 (the published code; the paper names no optimizer).

    The loss of one action whose fitness is half above the prediction is 0.5^2:

    >>> order = FrequencyOrder(np.array([3, 1]), np.array([4]))
    >>> predictor = DeepSets(order, 2, torch.Generator().manual_seed(0))
    >>> histograms = torch.tensor([[[0, 1, 1], [0, 0, 1]]])
    >>> fitness = predictor(histograms).detach() + 0.5
    >>> trainer = PredictorTrainer(predictor)
    >>> losses = [trainer.update(histograms, fitness) for _ in range(20)]
    >>> round(losses[0], 6), losses[-1] < losses[0]
    (0.25, True)
    """

    learning_rate, decay, floor = 0.01, 0.9, 0.002

    def __init__(self, predictor: Predictor):
        self.predictor = predictor
        self.optimizer = Adam(predictor.parameters(), lr=self.learning_rate)
        self.updates = 0

    def update(self, histograms: Tensor, fitness: Tensor) -> float:
        """One gradient step on (m, 2, k + 1) int64 histograms and (m,) float32 fitness; returns the
        loss before the step.
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
        """All that an interrupted search needs to go on."""
        return {
            "predictor": self.predictor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict) -> None:
        """Take over what ``state_dict`` gave."""
        self.predictor.load_state_dict(state["predictor"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]
