"""``python -m benchmarks.speed.scaling``: time and memory against size, up to a billion entities;
prints a table and draws a figure.

Listed actions and the training step run on power-law data of 1, 4 and 16 times Gowalla's size, each
in a process of its own; actions drawn as histograms need no data and go on from there.
"""

import argparse
import sys
from functools import partial
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.speed.measuring import D_MAX, ITEMS, USERS, machine, seconds
from benchmarks.speed.table import in_own_process
from bet.actions import Budget, parse_budget, sample_histogram
from bet.files import atomic_path
from bet.process import fixed_threads
from bet.report.style import use_style
from bet.seeds import numpy_generator

ROWS = {
    "sampling": "sample 100 actions, listed",
    "scoring": "score 100 actions",
    "step-13": "LightGCN step, 13 columns",
}
HISTOGRAM = "sample 100 actions, as histograms"
SIZES = (1.0, 4.0, 16.0)
ENTITIES = (10**5, 10**6, 10**7, 10**8, 10**9)


def listed(sizes: tuple[float, ...], repeat: int) -> pd.DataFrame:
    """Rows of the benchmark at several sizes: columns work, entities, seconds, memory_mb."""
    tasks = list(product(ROWS, sizes))
    rows = []
    for name, size in tqdm(tasks, desc="scaling", disable=not sys.stderr.isatty()):
        result = in_own_process(name, "power-law", size, repeat)
        entities = round(size * USERS) + round(size * ITEMS)
        rows.append(
            {
                "work": ROWS[name],
                "entities": entities,
                "seconds": result["seconds"],
                "memory_mb": result["extra_mb"],
            }
        )
    return pd.DataFrame(rows)


def histograms(entities: tuple[int, ...], repeat: int) -> pd.DataFrame:
    """Draw 100 actions as histograms, a quarter of the entities users, at 90 %; budgets are
    checked.
    """
    rows = []
    for n in entities:
        budget = parse_budget("90%", n, D_MAX)
        for counts in _draw_histograms(budget):
            assert int((counts @ np.arange(D_MAX + 1)).sum()) == budget.target
        memory = sum(counts.nbytes for counts in _draw_histograms(budget)) / 1e6
        taken = seconds(partial(_draw_histograms, budget), repeat)
        rows.append({"work": HISTOGRAM, "entities": n, "seconds": taken, "memory_mb": memory})
    return pd.DataFrame(rows)


def _draw_histograms(budget: Budget) -> list[np.ndarray]:
    rng = numpy_generator(0, "histograms")
    return [sample_histogram(budget, budget.n // 4, rng) for _ in range(100)]


def table(frame: pd.DataFrame) -> str:
    """Markdown, one line per work and size."""
    lines = ["| work | entities | seconds | memory |", "|---|---|---|---|"]
    for row in frame.itertuples():
        lines.append(
            f"| {row.work} | {row.entities:,} | {row.seconds:.3f} | {row.memory_mb:,.1f} MB |"
        )
    return "\n".join(lines)


def plot(frame: pd.DataFrame) -> Figure:
    """Seconds and memory against the number of entities, all axes logarithmic."""
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.0))
    # Less than 0.1 MB is not resolved.
    columns = (("seconds", 0, "seconds, one thread"), ("memory_mb", 0.1, "memory added (MB)"))
    for axis, (column, least, label) in zip(axes, columns, strict=True):
        for (work, block), marker in zip(frame.groupby("work", sort=False), "osv^", strict=True):
            values = np.maximum(block[column], least)
            axis.plot(block["entities"], values, marker=marker, label=work)
        axis.set(xscale="log", yscale="log", xlabel="entities (users + items)", ylabel=label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scaling", description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES, help="relative to Gowalla")
    parser.add_argument(
        "--entities", type=int, nargs="+", default=ENTITIES, help="of the histograms"
    )
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many runs is shown")
    parser.add_argument("--figure", type=Path, default=Path(__file__).with_name("scaling.png"))
    options = parser.parse_args(arguments)
    use_style()
    with fixed_threads():
        drawn = histograms(tuple(options.entities), options.repeat)
    frame = pd.concat([listed(tuple(options.sizes), options.repeat), drawn])
    with atomic_path(options.figure) as temporary:
        plot(frame).savefig(temporary, metadata={"Software": None})
    print(f"{machine()}; power-law data; median of {options.repeat}\n\n{table(frame)}")


if __name__ == "__main__":
    main()
