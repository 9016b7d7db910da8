"""``python -m benchmarks.sweeps.settings --sweep default --backbone ncf``: the sweep behind a
profile's training settings.

Trains two uniform tables, usually the full one and one of a tenth of its columns, seed 0, and
prints validation quality; test data is never looked at. Chosen: a large mean of both at little
cost. Finished rows are kept in the cache and not run again.
"""

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass, replace

import numpy as np
from tqdm import tqdm

from bet.actions import Allocation, Budget
from bet.backbones import BACKBONES
from bet.data import load_dataset, split_interactions
from bet.files import atomic_path
from bet.paths import cache_dir
from bet.process import fixed_threads
from bet.search import (
    RunSettings,
    SearchContext,
    SearchSettings,
    TrainingData,
    Workspace,
    train_from_scratch,
)
from bet.study.profiles import PROFILES
from bet.training import TrainSettings


@dataclass(frozen=True)
class Sweep:
    """What is varied, by backbone, from the settings of which profile, on which data, and the
    columns of the two tables.
    """

    profile: str
    dataset: str
    widths: tuple[int, int]
    grid: dict[str, dict[str, tuple]]


SWEEPS = {
    "default": Sweep(
        "default",
        "movielens-100k",
        (64, 6),
        {
            "lightgcn": {
                "learning_rate": (0.03, 0.1),
                "l2": (3e-4, 1e-3, 3e-3),
                "init_std": (0.01, 0.1),
            },
            "ncf": {
                "learning_rate": (0.03, 0.1),
                "l2": (5e-3, 1e-2, 2e-2),
                "backbone_rate": (0.03, 0.1, 1.0),
            },
            "ngcf": {
                "learning_rate": (0.02, 0.04, 0.06),
                "l2": (3e-3, 8e-3, 2e-2),
                "backbone_rate": (0.03, 0.3),
            },
        },
    ),
    "paper": Sweep(
        "paper",
        "gowalla",
        (128, 13),
        {
            "lightgcn": {
                "batch_size": (29_000, 87_000),
                "learning_rate": (0.03, 0.05, 0.1),
                "l2": (1e-5, 1e-4, 1e-3),
            },
            "ncf": {
                "l2": (2e-3, 4e-3, 1e-2),
                "backbone_rate": (0.005, 0.03),
                "learning_rate": (0.03, 0.05),
            },
        },
    ),
    # How much longer training would gain, at the sizes of su at 90 and 95 %.
    "length": Sweep("paper", "gowalla", (13, 6), {"lightgcn": {"max_epochs": (60, 120, 240, 480)}}),
}


def candidates(name: str, backbone: str, base: TrainSettings) -> list[TrainSettings]:
    """Every combination of the grid, as settings."""
    varied, values = zip(*SWEEPS[name].grid[backbone].items(), strict=True)
    return [
        replace(base, **dict(zip(varied, combination, strict=True)))
        for combination in itertools.product(*values)
    ]


def quality(dataset: str, backbone: str, settings: TrainSettings, width: int, d_max: int) -> float:
    """Validation quality of a uniform table of ``width`` columns, trained from scratch; kept in the
    cache.
    """
    numbers = "-".join(map(str, asdict(settings).values()))
    path = cache_dir() / "sweep" / f"{dataset}-{backbone}-{width}-{numbers}.json"
    if path.is_file():
        return json.loads(path.read_text())
    split = split_interactions(load_dataset(dataset), seed=0)
    n = sum(split.train.shape)
    budget = Budget(n * width, n, d_max, copies=BACKBONES[backbone].copies)
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings(backbone, settings, SearchSettings()),
        workspace=Workspace(cache_dir(), cache_dir() / "sweep"),
        budget=budget,
    )
    trained = train_from_scratch(context, Allocation.uniform(n, width), path.stem)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(trained.result.quality))
    return trained.result.quality


def sweep(name: str, dataset: str, backbone: str, grid: list[TrainSettings]) -> str:
    """A Markdown table, best mean first."""
    varied, widths = list(SWEEPS[name].grid[backbone]), SWEEPS[name].widths
    d_max, rows = PROFILES[SWEEPS[name].profile].d_max, []
    for settings in tqdm(grid, desc=f"sweep {backbone}", disable=not sys.stderr.isatty()):
        reached = [quality(dataset, backbone, settings, width, d_max) for width in widths]
        values = [f"{getattr(settings, knob):g}" for knob in varied]
        mean = float(np.mean(reached))
        rows.append((mean, [*values, *(f"{value:.4f}" for value in reached), f"{mean:.4f}"]))
    rows.sort(key=lambda row: -row[0])
    head = [*varied, *(f"{width} columns" for width in widths), "mean"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(texts) + " |" for _, texts in rows]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.settings", description=__doc__
    )
    parser.add_argument("--sweep", choices=list(SWEEPS), default="default")
    parser.add_argument("--backbone", choices=list(BACKBONES), required=True)
    options = parser.parse_args(arguments)
    name, backbone, chosen = options.sweep, options.backbone, SWEEPS[options.sweep]
    if backbone not in chosen.grid:
        parser.error(f"sweep {name} has no {backbone}, only {', '.join(chosen.grid)}")
    with fixed_threads():
        grid = candidates(name, backbone, PROFILES[chosen.profile].training[backbone])
        print(sweep(name, chosen.dataset, backbone, grid))


if __name__ == "__main__":
    main()
