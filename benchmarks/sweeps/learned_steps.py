"""``python -m benchmarks.sweeps.learned_steps``: is a learned step per row better than one that
follows from the row's numbers?

Learned step size quantization (LSQ; Esser et al., ICLR 2020): the step of a row is a parameter,
trained with the gradient that passes the rounding. Beside it "scaled": the row's usual step times a
learned factor. Both for rounded ego embeddings (``uniform-intN``) and for rounded final vectors
(``vectors-intN``), on LightGCN, at equal width and so in files of equal length. Printed is quality
on validation, never that on test.
"""

import argparse
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation, Budget
from bet.data import load_dataset, split_interactions
from bet.packed.quantizer import FACTOR, fake_quantize
from bet.paths import cache_dir
from bet.process import fixed_threads
from bet.search import (
    RunSettings,
    SearchContext,
    SearchSettings,
    TrainingData,
    Workspace,
    initialize_recommender,
)
from bet.study.profiles import PROFILES
from bet.tables import MaskedTable
from bet.tables.straight_through import straight_through, to_half
from bet.training import TrainSettings, train

WHAT = ("vectors", "table")
STEPS = ("rms", "learned", "scaled")  # "rms": as in the package


class _LearnedRounding(torch.autograd.Function):
    """The nearest levels to ``values`` (n, d) for ``step`` (n, 1), with LSQ's gradients."""

    @staticmethod
    def forward(ctx, values: Tensor, step: Tensor, bits: int) -> Tensor:
        half, scaled = 2 ** (bits - 1), values / step
        levels = scaled.floor().clamp_(-half, half - 1).add_(0.5)
        inside = scaled.abs() <= half
        ctx.save_for_backward(inside, levels - torch.where(inside, scaled, 0.0))
        return levels * step

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        inside, by_step = ctx.saved_tensors
        return gradient * inside, (gradient * by_step).sum(1, keepdim=True), None


@dataclass(frozen=True)
class Rounding:
    """What is rounded, one of ``WHAT``, at how many bits, with which of ``STEPS``;
    ``rate``: learning rate of the steps, relative to the embeddings'.
    """

    what: str
    bits: int
    step: str = "rms"
    rate: float = 0.0

    def table(self, allocation: Allocation, **options) -> "RoundedTable":
        """A table of this description."""
        return RoundedTable(allocation, rounding=self, **options)


class RoundedTable(MaskedTable):
    """Rounds ego embeddings or final vectors as ``rounding`` tells; steps are logarithms."""

    def __init__(self, allocation: Allocation, *, rounding: Rounding, **options):
        super().__init__(allocation, **options)
        self.rounding = rounding
        self.log_step = nn.Parameter(torch.zeros(self.n, 1))

    def _rms_step(self, values: Tensor) -> Tensor:
        rms = values.detach().square().mean(1, keepdim=True).sqrt()
        return FACTOR[self.rounding.bits] * rms.clamp(min=1e-6)  # (n, 1)

    def start_from(self, values: Tensor) -> None:
        """Begin with the steps that ``values`` (n, d) have without learning."""
        if self.rounding.step == "learned":
            self.log_step.data.copy_(self._rms_step(values).log())

    def _rounded(self, values: Tensor) -> Tensor:
        if self.rounding.step == "rms":
            sizes = torch.full((self.n, 1), float(values.shape[1]))
            return straight_through(
                values, partial(fake_quantize, sizes=sizes, bits=self.rounding.bits)
            )
        step = self.log_step.exp()
        if self.rounding.step == "scaled":
            step = step * self._rms_step(values)
        return _LearnedRounding.apply(values, straight_through(step, to_half), self.rounding.bits)

    def forward(self) -> Tensor:
        ego = super().forward()
        return self._rounded(ego) if self.rounding.what == "table" else ego

    def as_stored(self, vectors: Tensor) -> Tensor:
        return self._rounded(vectors) if self.rounding.what == "vectors" else vectors

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [([self.weight], 1.0), ([self.log_step], self.rounding.rate)]


def quality(
    dataset: str, settings: TrainSettings, rounding: Rounding, seed: int, width: int
) -> float:
    """Validation quality of LightGCN of ``width`` columns, trained with ``rounding``."""
    split = split_interactions(load_dataset(dataset), seed)
    n = sum(split.train.shape)
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings("lightgcn", settings, SearchSettings(), seed),
        workspace=Workspace(cache_dir(), cache_dir() / "sweep"),
        budget=Budget(n * width, n, width),
    )
    make = partial(rounding.table, n_users=split.train.shape[0])
    model = initialize_recommender(context, Allocation.uniform(n, width), make)
    with torch.no_grad():
        ego = MaskedTable.forward(model.table)
        vectors = rounding.what == "vectors"
        model.table.start_from(model.backbone.represent(ego) if vectors else ego)
    trained = train(model, context.sampler, settings, seed=seed, validate=context.quality)
    return trained.quality


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.learned_steps", description=__doc__
    )
    parser.add_argument("--dataset", default="movielens-100k")
    parser.add_argument("--profile", choices=list(PROFILES), default="full", help="whose settings")
    parser.add_argument("--epochs", type=int, help="default: the profile's")
    parser.add_argument("--width", type=int, default=64, help="columns")
    parser.add_argument("--what", choices=WHAT, nargs="+", default=WHAT, help="what is rounded")
    parser.add_argument("--steps", choices=STEPS, nargs="+", default=STEPS)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.03, 0.3], help="of the steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    settings = replace(PROFILES[options.profile].training["lightgcn"], validation_share=1.0)
    if options.epochs:
        settings = replace(settings, max_epochs=options.epochs)
    steps: list[tuple[str, float]] = []
    for step in options.steps:
        steps += [("rms", 0.0)] if step == "rms" else [(step, rate) for rate in options.rates]
    print("| rounded | bits | step | rate | quality by seed | mean |\n" + "|---" * 6 + "|")
    for what in options.what:
        for bits in options.bits:
            for step, rate in steps:
                rounding = Rounding(what, bits, step, rate)
                with fixed_threads():
                    reached = [
                        quality(options.dataset, settings, rounding, seed, options.width)
                        for seed in options.seeds
                    ]
                each = " ".join(f"{value:.4f}" for value in reached)
                row = f"{what} | {bits} | {step} | {rate or '-'} | {each} | {np.mean(reached):.4f}"
                print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
