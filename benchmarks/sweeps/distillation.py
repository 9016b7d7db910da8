"""``python -m benchmarks.sweeps.distillation``: does a term that copies the full table help a
narrow one? Prints a table of validation quality; test data is never looked at.

The term is ``weight`` times the cross-entropy of the probabilities that a user prefers the positive
of a triple to its negative, as the full table and the narrow one give them (Hinton et al., 2015),
on the triples that are trained on anyway; the full table's vectors are computed once. No setting
of a study has the term: NCF gains by it, LightGCN does not; the tables are in benchmarks/README.md.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.measuring import machine
from bet.backbones import Recommender
from bet.data import evaluable_split, load_dataset
from bet.methods.fixed import uniform_action
from bet.process import fixed_threads
from bet.search import load_or_pretrain, train_from_scratch
from bet.study.cell import Cell
from bet.study.setup import cell_context
from bet.training import trainer

WEIGHTS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Row:
    """Equal rows within ``budget``: the mean ``qualities`` over seeds, by weight of the term."""

    backbone: str
    budget: str
    qualities: dict[float, list[float]]


@contextmanager
def distilled(teacher: Recommender, weight: float) -> Iterator[None]:
    """Trainings copy ``teacher`` in addition to their loss."""
    with torch.no_grad():
        vectors = teacher.represent(teacher.table())  # (n, D)
    plain = trainer.bpr_loss

    def loss(
        model: Recommender,
        triples: tuple[Tensor, Tensor, Tensor],
        l2: float,
        dropout: torch.Generator | None,
    ) -> Tensor:
        users, positives, negatives = triples
        rows = torch.cat([users, positives + model.n_users, negatives + model.n_users])
        with torch.no_grad():
            scores = teacher.backbone.triple_scores(vectors[rows], len(users))
            target = torch.sigmoid(scores[0] - scores[1])  # (B,)
        ours = model.backbone.triple_scores(
            model.represent(model.table(), dropout)[rows], len(users)
        )
        copied = F.binary_cross_entropy_with_logits(ours[0] - ours[1], target)
        return plain(model, triples, l2, dropout) + weight * copied

    with mock.patch.object(trainer, "bpr_loss", loss if weight else plain):
        yield


def measure(cell: Cell, seeds: list[int], cache: Path) -> Row:
    """Train the equal rows of ``cell`` with every weight and seed; each seed has its own split and
    full table.
    """
    qualities: dict[float, list[float]] = {weight: [] for weight in WEIGHTS}
    for cell in [replace(cell, seed=seed) for seed in seeds]:
        context = cell_context(cell, evaluable_split(load_dataset(cell.dataset), cell.seed))
        workspace = replace(context.workspace, cache=cache, folder=cache / "work")
        context = replace(context, workspace=workspace)
        full, allocation = load_or_pretrain(context).model, uniform_action(context).allocation
        for weight in WEIGHTS:
            with distilled(full, weight):
                name = f"{cell.id}-{weight}"
                trained = train_from_scratch(context, allocation, name)
            qualities[weight].append(trained.result.quality)
    assert cell.budget is not None
    return Row(cell.backbone, cell.budget, qualities)


def table(rows: list[Row]) -> str:
    """Markdown: mean quality without the term, and the gain in percent with its standard error."""
    lines = ["| backbone | budget | without | " + " | ".join(f"{w:g}" for w in WEIGHTS[1:]) + " |"]
    lines.append("|" + "---|" * (2 + len(WEIGHTS)))
    for row in rows:
        without = np.array(row.qualities[0.0])
        gains = []
        for weight in WEIGHTS[1:]:
            gain = 100 * (np.array(row.qualities[weight]) / without - 1)
            error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
            gains.append(f"{gain.mean():+.1f} % ± {error:.1f}")
        start = f"| {row.backbone} | {row.budget} | {without.mean():.4f} | "
        lines.append(start + " | ".join(gains) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.distillation", description=__doc__
    )
    parser.add_argument("--profile", default="scratch", help="whose settings are used")
    parser.add_argument("--backbones", nargs="+", default=["lightgcn", "ncf"])
    parser.add_argument("--budgets", nargs="+", default=["90%", "95%"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args(arguments)
    with fixed_threads(), TemporaryDirectory() as cache:
        rows = [
            measure(
                Cell("movielens-100k", backbone, budget, "su", profile=options.profile),
                options.seeds,
                Path(cache),
            )
            for backbone in options.backbones
            for budget in options.budgets
        ]
    print(f"{machine()}; validation quality, {len(options.seeds)} seeds\n\n{table(rows)}")


if __name__ == "__main__":
    main()
