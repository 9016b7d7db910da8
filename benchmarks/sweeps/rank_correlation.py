"""``python -m benchmarks.sweeps.rank_correlation``: does scoring actions without fine-tuning rank
them as fine-tuning does? Prints a table.

Random actions, all of them scored on validation by fine-tuning (BET), by the nested model and by
the pre-trained model, both as they are. Rank correlation is Spearman's; *found* is the fine-tuned
fitness of the action that a score puts first.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from benchmarks.__main__ import machine
from bet.actions import sample_actions
from bet.backbones import BACKBONES
from bet.data import load_dataset, split_interactions
from bet.methods.nested import nested_full
from bet.process import fixed_threads
from bet.search import (
    Score,
    SearchContext,
    Trained,
    evaluate_finetuned,
    evaluate_truncated,
    load_or_pretrain,
)
from bet.seeds import numpy_generator
from bet.study.cell import Cell
from bet.study.setup import cell_context

SCORES: dict[str, tuple[Callable[[SearchContext], Trained], Score]] = {
    "fine-tuned": (load_or_pretrain, evaluate_finetuned),
    "nested": (nested_full, evaluate_truncated),
    "pre-trained": (load_or_pretrain, evaluate_truncated),
}


@dataclass(frozen=True)
class Row:
    """One way to score ``actions`` of a backbone under a budget; ``seconds`` per action,
    ``training`` those of the full model.
    """

    backbone: str
    budget: str
    score: str
    correlation: float
    best: float
    found: float
    training: float
    seconds: float


def measure(
    profile: str, dataset: str, backbone: str, budget: str, actions: int, seed: int, cache: Path
) -> list[Row]:
    """A row for every score. Fitness is relative to the pre-trained full model's validation
    quality.
    """
    split = split_interactions(load_dataset(dataset), seed)
    context = cell_context(Cell(dataset, backbone, budget, "bet", seed, profile=profile), split)
    workspace = replace(context.workspace, cache=cache, folder=cache / "work")
    context = replace(context, workspace=workspace)
    drawn = sample_actions(
        context.data.order, context.budget, actions, numpy_generator(seed, "nested benchmark")
    )
    whole = load_or_pretrain(context).result.quality
    fitness, taken, training = {}, {}, {}
    for name, (train, score) in SCORES.items():
        full = train(context)
        started = perf_counter()
        bar = tqdm(drawn, desc=f"{backbone} {budget} {name}", disable=not sys.stderr.isatty())
        fitness[name] = (
            np.array([score(context, full, action.allocation).means()["quality"] for action in bar])
            / whole
        )
        taken[name], training[name] = (perf_counter() - started) / actions, full.result.seconds
    tuned = fitness["fine-tuned"]
    return [
        Row(
            backbone,
            budget,
            name,
            float(spearmanr(own, tuned).statistic),
            float(tuned.max()),
            float(tuned[own.argmax()]),
            training[name],
            taken[name],
        )
        for name, own in fitness.items()
    ]


def table(rows: list[Row]) -> str:
    """Markdown, one line per backbone, budget and score."""
    lines = [
        "| backbone | budget | score | rank correlation | best fitness | found | full model | an action |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = f"{row.correlation:.2f} | {row.best:.3f} | {row.found:.3f} | {row.training:.1f} s | {row.seconds:.2f} s"
        lines.append(f"| {row.backbone} | {row.budget} | {row.score} | {numbers} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.rank_correlation", description=__doc__
    )
    parser.add_argument("--profile", default="full", help="whose settings are used")
    parser.add_argument("--dataset", default="movielens-100k")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--budgets", nargs="+", default=["80%", "90%", "95%"])
    parser.add_argument("--actions", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = []
    with fixed_threads(), TemporaryDirectory() as cache:
        for backbone in options.backbones:
            for budget in options.budgets:
                rows += measure(
                    options.profile,
                    options.dataset,
                    backbone,
                    budget,
                    options.actions,
                    options.seed,
                    Path(cache) / backbone,
                )
    print(
        f"{machine()}; {options.dataset}, {options.actions} actions, seed {options.seed}\n\n{table(rows)}"
    )


if __name__ == "__main__":
    main()
