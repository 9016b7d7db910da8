"""``python -m benchmarks.sweeps.settings --sweep scratch --backbone ncf``: the sweep behind a
profile's training settings.

Trains two uniform tables, usually the full one and one of a tenth of its columns, or, with least
squares, some of few bits, seed 0, and prints validation quality; test data is never looked at.
Chosen: a large mean of all at little cost. Finished rows are kept in the cache and not run again.
"""

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass, replace

import numpy as np
from tqdm import tqdm

from bet.actions import Allocation, Budget, parse_bytes
from bet.backbones import BACKBONES
from bet.data import load_dataset, split_interactions
from bet.files import atomic_path
from bet.methods import METHODS
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
from bet.training import AlsSettings, TrainSettings

Table = int | tuple[str, str]


@dataclass(frozen=True)
class Sweep:
    """What is varied, by backbone, from the settings of which profile, on which data, and the
    tables: the columns of a uniform one, or a method and its budget in bytes.
    """

    profile: str
    dataset: str
    tables: tuple[Table, ...]
    grid: dict[str, dict[str, tuple]]


SWEEPS = {
    "scratch": Sweep(
        "scratch",
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
    "ials": Sweep(
        "full",
        "movielens-100k",
        (64, 6, ("uniform-int2", "12.8 B/entity"), ("uniform-int1", "6.4 B/entity")),
        {
            "ials": {
                "unobserved_weight": (0.05, 0.1, 0.2),
                "l2": (0.3, 0.5, 0.7),
                "round_from": (1 / 3, 0.6),
            }
        },
    ),
    "ials-paper": Sweep(
        "paper",
        "gowalla",
        (256, ("uniform-int1", "25.6 B/entity"), ("uniform-int1", "12.8 B/entity")),
        {
            "ials": {
                "unobserved_weight": (0.01, 0.016),
                "l2": (0.015, 0.02, 0.03),
                "round_from": (1 / 3, 0.6),
            }
        },
    ),
    # How much longer training would gain, at the sizes of su at 90 and 95 %.
    "length": Sweep("paper", "gowalla", (13, 6), {"lightgcn": {"max_epochs": (60, 120, 240, 480)}}),
}


Settings = TrainSettings | AlsSettings


def candidates(name: str, backbone: str, base: Settings) -> list[Settings]:
    """Every combination of the grid, as settings."""
    varied, values = zip(*SWEEPS[name].grid[backbone].items(), strict=True)
    return [
        replace(base, **dict(zip(varied, combination, strict=True)))
        for combination in itertools.product(*values)
    ]


def label(table: Table) -> str:
    """ "13 columns", "uniform-int1 at 12.8 B/entity"."""
    return f"{table} columns" if isinstance(table, int) else " at ".join(table)


def quality(dataset: str, backbone: str, settings: Settings, table: Table, d_max: int) -> float:
    """Validation quality of a uniform table, trained from scratch; kept in the cache."""
    numbers = "-".join(map(str, asdict(settings).values()))
    kind = label(table).removesuffix(" columns").replace(" ", "").replace("/", "-")
    path = cache_dir() / "sweep" / f"{dataset}-{backbone}-{kind}-{numbers}.json"
    if path.is_file():
        return json.loads(path.read_text())
    split = split_interactions(load_dataset(dataset), seed=0)
    n = sum(split.train.shape)
    width = table if isinstance(table, int) else d_max
    budget = Budget(n * width, n, d_max, copies=BACKBONES[backbone].copies)
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings(backbone, settings, SearchSettings()),
        workspace=Workspace(cache_dir(), cache_dir() / "sweep"),
        budget=budget,
        byte_limit=None if isinstance(table, int) else parse_bytes(table[1], n),
    )
    if isinstance(table, int):
        trained = train_from_scratch(context, Allocation.uniform(n, width), path.stem)
    else:
        trained = METHODS[table[0]](context.in_folder(path.with_suffix(""))).trained
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(trained.result.quality))
    return trained.result.quality


def sweep(name: str, dataset: str, backbone: str, grid: list[Settings]) -> str:
    """A Markdown table, best mean first."""
    varied, tables = list(SWEEPS[name].grid[backbone]), SWEEPS[name].tables
    d_max, rows = PROFILES[SWEEPS[name].profile].columns(backbone), []
    for settings in tqdm(grid, desc=f"sweep {backbone}", disable=not sys.stderr.isatty()):
        reached = [quality(dataset, backbone, settings, table, d_max) for table in tables]
        values = [f"{getattr(settings, knob):g}" for knob in varied]
        mean = float(np.mean(reached))
        rows.append((mean, [*values, *(f"{value:.4f}" for value in reached), f"{mean:.4f}"]))
    rows.sort(key=lambda row: -row[0])
    head = [*varied, *map(label, tables), "mean"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(texts) + " |" for _, texts in rows]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.settings", description=__doc__
    )
    parser.add_argument("--sweep", choices=list(SWEEPS), default="scratch")
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
