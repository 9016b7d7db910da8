"""``python -m benchmarks.sweeps.surrogates``: which predictor ranks actions that it never saw?
Prints a table.

Random actions of the sampler are measured as a search measures them: fine-tuned, or with least
squares trained. Every predictor learns from the first 10, then from the first 25, and ranks the
others; the table holds Spearman's correlations of prediction and measured fitness, means over the
budgets and several orders of the actions. Measured fitness is kept in the cache.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.stats import spearmanr
from tqdm import tqdm

from benchmarks.speed.measuring import machine
from bet.actions import Action, sample_actions, size_features
from bet.backbones import BACKBONES
from bet.data import load_dataset, split_interactions
from bet.files import atomic_path
from bet.methods.nested import nested_full
from bet.paths import cache_dir
from bet.predictor import DeepSets, PredictorTrainer, stack_histograms
from bet.process import fixed_threads
from bet.search import (
    SearchContext,
    Trained,
    evaluate_truncated,
    fit_surrogate,
    load_or_pretrain,
    usual_score,
)
from bet.seeds import numpy_generator, torch_generator
from bet.study.cell import Cell
from bet.study.setup import cell_context
from bet.training import TrainSettings

SEEN = (10, 25)
ORDERS = 5  # of the actions
MEMBERS, STEPS = 3, 150  # of the ensemble of DeepSets, and of the training of each

Predict = Callable[[SearchContext, Sequence[Action], np.ndarray, int], np.ndarray]
"""(context, all actions, fitness of the first k, seed) -> prediction for every action."""


def as_in_bet(
    context: SearchContext, actions: Sequence[Action], fitness: np.ndarray, seed: int
) -> np.ndarray:
    """DeepSets as Algorithm 1 trains it: two updates after every action."""
    search, order = context.settings.search, context.data.order
    histograms = stack_histograms(actions, context.budget.d_max)
    generator = torch_generator(seed, "predictor")
    trainer = PredictorTrainer(DeepSets(order, context.budget.d_max, generator))
    targets = torch.from_numpy(fitness).float()
    for t in range(1, len(fitness) + 1):
        for update in range(search.predictor_updates):
            rng = numpy_generator(seed, "predictor", t, update)
            sample = torch.from_numpy(rng.permutation(t)[: search.predictor_batch])
            trainer.update(histograms[sample], targets[sample])
    with torch.no_grad():
        return trainer.predictor(histograms).numpy()


def ensemble(
    context: SearchContext, actions: Sequence[Action], fitness: np.ndarray, seed: int
) -> np.ndarray:
    """The mean of three DeepSets, each trained for 150 steps on standardized fitness."""
    order, d_max = context.data.order, context.budget.d_max
    histograms, known = stack_histograms(actions, d_max), len(fitness)
    targets = torch.from_numpy((fitness - fitness.mean()) / fitness.std()).float()
    predicted = []
    for member in range(MEMBERS):
        model = DeepSets(order, d_max, torch_generator(seed, "ensemble", member))
        optimizer = torch.optim.Adam(model.parameters(), lr=PredictorTrainer.learning_rate)
        for _ in range(STEPS):
            loss = (model(histograms[:known]) - targets).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            predicted.append(model(histograms).numpy())
    return np.mean(predicted, axis=0)


def gaussian_process(
    context: SearchContext, actions: Sequence[Action], fitness: np.ndarray, seed: int
) -> np.ndarray:
    """The surrogate of ``bet-plus``."""
    features = size_features(context.data.order, actions)
    surrogate = fit_surrogate(features[: len(fitness)], fitness, seed)
    return np.zeros(len(actions)) if surrogate is None else surrogate.predict(features)[0]


def around_cuts(
    context: SearchContext, actions: Sequence[Action], fitness: np.ndarray, seed: int
) -> np.ndarray:
    """Ridge regression on what the actions' cuts of a nested and of the pre-trained model are
    worth, and a Gaussian process of what it leaves over. With least squares, which has no nested
    model, the Gaussian process alone.
    """
    if not isinstance(context.settings.training, TrainSettings):
        return gaussian_process(context, actions, fitness, seed)
    known = len(fitness)
    cuts = np.array([_cut_qualities(context, action) for action in actions])  # (k, 2)
    cuts = (cuts - cuts.mean(0)) / cuts.std(0)
    ones = np.ones((len(cuts), 1))
    inputs = np.concatenate([ones, cuts], axis=1)  # (k, 3)
    learned, penalty = inputs[:known], np.diag([0.0, 1.0, 1.0])
    weights = np.linalg.solve(learned.T @ learned + penalty, learned.T @ fitness)
    predicted = inputs @ weights
    features = np.concatenate([size_features(context.data.order, actions), cuts], axis=1)
    left_over = fitness - predicted[:known]
    surrogate = fit_surrogate(features[:known], left_over, seed)
    return predicted if surrogate is None else predicted + surrogate.predict(features)[0]


@cache
def _models(context: SearchContext) -> tuple[Trained, Trained]:
    return nested_full(context), load_or_pretrain(context)


@cache
def _cut_qualities(context: SearchContext, action: Action) -> tuple[float, ...]:
    """On validation, of the nested and of the pre-trained model; once for every order."""
    ranked = [evaluate_truncated(context, full, action.allocation) for full in _models(context)]
    return tuple(metrics.means()["quality"] for metrics in ranked)


PREDICTORS: dict[str, Predict] = {
    "DeepSets, as in `bet`": as_in_bet,
    "DeepSets, 3 x 150 steps": ensemble,
    "Gaussian process": gaussian_process,
    "cuts and Gaussian process": around_cuts,
}


@dataclass(frozen=True)
class Row:
    """How a predictor ranks the unseen actions of a backbone under a budget."""

    backbone: str
    budget: str
    predictor: str
    seen: int
    correlation: float  # mean over the orders


def measured(cell: Cell, count: int) -> tuple[SearchContext, list[Action], np.ndarray]:
    """``count`` random actions under the budget of ``cell``, and the fitness of each (count,)."""
    context = cell_context(cell, split_interactions(load_dataset(cell.dataset), cell.seed))
    folder = cache_dir() / "surrogates"
    name = f"{cell.profile}-{cell.dataset}-{cell.backbone}-{cell.budget}-{cell.seed}"
    context = context.in_folder(folder / name)
    rng = numpy_generator(cell.seed, "surrogate benchmark", cell.backbone, cell.budget or "")
    actions = sample_actions(context.data.order, context.budget, count, rng)
    path = folder / f"{name}.json"
    known: list[float] = json.loads(path.read_text()) if path.is_file() else []
    full, score = load_or_pretrain(context), usual_score(context)
    left = tqdm(actions[len(known) :], desc=name, disable=not sys.stderr.isatty())
    for action in left:
        quality = score(context, full, action.allocation).means()["quality"]
        known.append(quality / full.result.quality)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(known))
    return context, actions, np.array(known[:count])


def correlations(cell: Cell, count: int) -> list[Row]:
    """A row for every predictor and number of seen actions."""
    context, actions, fitness = measured(cell, count)
    rows = []
    for name, predict in PREDICTORS.items():
        for seen in SEEN:
            values = []
            for seed in range(ORDERS):
                order = numpy_generator(seed, "order of actions").permutation(count)
                shuffled = [actions[i] for i in order]
                predicted = predict(context, shuffled, fitness[order][:seen], seed)
                values.append(spearmanr(predicted[seen:], fitness[order][seen:]).statistic)
            mean = float(np.mean(np.nan_to_num(values)))
            rows.append(Row(cell.backbone, cell.budget or "", name, seen, mean))
    return rows


def table(rows: list[Row]) -> str:
    """Markdown, one line per backbone and predictor."""
    budgets = list(dict.fromkeys(row.budget for row in rows))
    head = ["backbone", "predictor"]
    head += [f"{budget}, {seen} seen" for seen in SEEN for budget in budgets]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    values = {(row.backbone, row.predictor, row.seen, row.budget): row.correlation for row in rows}
    for backbone in dict.fromkeys(row.backbone for row in rows):
        for name in PREDICTORS:
            numbers = []
            for seen in SEEN:
                numbers += [f"{values[backbone, name, seen, budget]:.2f}" for budget in budgets]
            lines.append("| " + " | ".join([backbone, name, *numbers]) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.surrogates", description=__doc__
    )
    parser.add_argument("--profile", default="scratch", help="whose settings are used")
    parser.add_argument("--dataset", default="movielens-100k")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--budgets", nargs="+", default=["80%", "90%", "95%"])
    parser.add_argument("--actions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = []
    with fixed_threads():
        for backbone in options.backbones:
            for budget in options.budgets:
                setting = {"seed": options.seed, "profile": options.profile}
                cell = Cell(options.dataset, backbone, budget, "bet", **setting)
                rows += correlations(cell, options.actions)
    what = f"{options.dataset}, {options.actions} actions, seed {options.seed}"
    print(f"{machine()}; {what}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
