"""``python -m benchmarks.sweeps.rank_correlation``: does scoring actions without fine-tuning rank
them as fine-tuning does? Prints a table.

Random actions, all of them scored on validation by fine-tuning (BET), by the nested model and by
the pre-trained model, both as they are. Rank correlation is Spearman's; *chosen* is the fine-tuned
fitness of the action that a score puts first. With ``--trained`` actions are also trained from
scratch, for a quarter of the epochs and to the end; the latter is what scores are compared with.
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
from tqdm import tqdm

from benchmarks.speed.measuring import machine
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
    evaluate_trained,
    evaluate_truncated,
    load_or_pretrain,
)
from bet.search.plus import evaluate_shortly_trained, evaluate_twice
from bet.seeds import numpy_generator
from bet.study.cell import Cell
from bet.study.setup import cell_context

Scores = dict[str, tuple[Callable[[SearchContext], Trained], Score]]
SCORES: Scores = {
    "fine-tuned": (load_or_pretrain, evaluate_finetuned),
    "nested": (nested_full, evaluate_truncated),
    "pre-trained": (load_or_pretrain, evaluate_truncated),
}
TRAINED: Scores = {
    "trained": (load_or_pretrain, evaluate_trained),
    "a quarter of the epochs": (load_or_pretrain, evaluate_shortly_trained),
    "both": (load_or_pretrain, evaluate_twice),
    "fine-tuned": (load_or_pretrain, evaluate_finetuned),
    "pre-trained": (load_or_pretrain, evaluate_truncated),
}


@dataclass(frozen=True)
class Row:
    """One way to score actions of a backbone under a budget, beside the first way."""

    backbone: str
    budget: str
    score: str
    correlation: float
    best: float  # fitness of the best action, by the first way
    chosen: float  # that of the action that the score puts first
    training: float  # seconds of the full model
    seconds: float  # per action


def measure(cell: Cell, actions: int, cache: Path, scores: Scores = SCORES) -> list[Row]:
    """A row for every one of ``scores`` of so many ``actions``, under the budget and with the
    settings of ``cell``; the first is what the others are compared with. Fitness is relative to the
    pre-trained full model's validation quality.
    """
    split = split_interactions(load_dataset(cell.dataset), cell.seed)
    context = cell_context(cell, split)
    workspace = replace(context.workspace, cache=cache, folder=cache / "work")
    context = replace(context, workspace=workspace)
    drawn = sample_actions(
        context.data.order, context.budget, actions, numpy_generator(cell.seed, "nested benchmark")
    )
    whole = load_or_pretrain(context).result.quality
    fitness, taken, training = {}, {}, {}
    for name, (train, score) in scores.items():
        full = train(context)
        started = perf_counter()
        what = f"{cell.backbone} {cell.budget} {name}"
        bar = tqdm(drawn, desc=what, disable=not sys.stderr.isatty())
        quality = [score(context, full, action.allocation).means()["quality"] for action in bar]
        fitness[name] = np.array(quality) / whole
        taken[name], training[name] = (perf_counter() - started) / actions, full.result.seconds
    reference = fitness[next(iter(scores))]
    return [
        Row(
            cell.backbone,
            cell.budget,
            name,
            correlation=float(spearmanr(values, reference).statistic),
            best=float(reference.max()),
            chosen=float(reference[values.argmax()]),
            training=training[name],
            seconds=taken[name],
        )
        for name, values in fitness.items()
    ]


def table(rows: list[Row]) -> str:
    """Markdown, one line per backbone, budget and score."""
    head = ["backbone", "budget", "score", "rank correlation", "best fitness", "chosen"]
    head += ["full model", "an action"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        fitness = f"{row.correlation:.2f} | {row.best:.3f} | {row.chosen:.3f}"
        seconds = f"{row.training:.1f} s | {row.seconds:.2f} s"
        lines.append(f"| {row.backbone} | {row.budget} | {row.score} | {fitness} | {seconds} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.rank_correlation", description=__doc__
    )
    parser.add_argument("--profile", default="scratch", help="whose settings are used")
    parser.add_argument("--dataset", default="movielens-100k")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--budgets", nargs="+", default=["80%", "90%", "95%"])
    parser.add_argument("--actions", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trained", action="store_true", help="compare with training")
    options = parser.parse_args(arguments)
    rows = []
    with fixed_threads(), TemporaryDirectory() as cache:
        for backbone in options.backbones:
            for budget in options.budgets:
                setting = {"seed": options.seed, "profile": options.profile}
                cell = Cell(options.dataset, backbone, budget, "bet", **setting)
                scores = TRAINED if options.trained else SCORES
                rows += measure(cell, options.actions, Path(cache) / backbone, scores)
    what = f"{options.dataset}, {options.actions} actions, seed {options.seed}"
    print(f"{machine()}; {what}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
