"""``python -m benchmarks.sweeps.budgets``: what a number of bytes per entity keeps. Prints a table.

Vectors of alternating least squares, trained with rounding, of 1 to 8 bits per number; the bits are
the best on validation. *Kept* is quality on validation (the mean of Recall and NDCG at 5, 10 and
20) over that of float32 vectors; test is never looked at. Finished rows are kept in the cache.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.sweeps.settings import quality
from bet.process import fixed_threads
from bet.study.profiles import PROFILES

BUDGETS = ("6.4 B/entity", "12.8 B/entity", "25.6 B/entity", "51.2 B/entity")
BITS = (8, 4, 2, 1)
PROFILE_OF = {"movielens-100k": "full", "ml-1m": "full", "gowalla": "paper"}


@dataclass(frozen=True)
class Row:
    """The best bits for a number of bytes."""

    dataset: str
    budget: str
    bits: int
    quality: float
    kept: float


def measure(dataset: str, profile: str) -> Iterator[Row]:
    """A row for float32 and one for each of ``BUDGETS``, with the settings of ``profile``."""
    numbers = PROFILES[profile]
    settings, d_max = numbers.training["ials"], numbers.columns("ials")
    full = quality(dataset, "ials", settings, d_max, d_max)
    yield Row(dataset, f"{4 * d_max} B/entity", 32, full, 1.0)
    for budget in BUDGETS:
        reached = {
            bits: quality(dataset, "ials", settings, (f"uniform-int{bits}", budget), d_max)
            for bits in BITS
        }
        best = max(reached, key=lambda bits: reached[bits])
        yield Row(dataset, budget, best, reached[best], reached[best] / full)


def table(rows: list[Row]) -> str:
    """Markdown."""
    head = ["dataset", "bytes per entity", "bits", "quality", "kept"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        size = row.budget.removesuffix(" B/entity")
        numbers = f"{row.bits} | {row.quality:.4f} | {row.kept:.0%}"
        lines.append(f"| {row.dataset} | {size} | {numbers} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.budgets", description=__doc__
    )
    parser.add_argument("--datasets", nargs="+", default=list(PROFILE_OF))
    parser.add_argument("--profile", help="whose settings (default: one for every dataset)")
    options = parser.parse_args(arguments)
    rows = []
    with fixed_threads():
        for dataset in options.datasets:
            profile = options.profile or PROFILE_OF.get(dataset, "full")
            rows += measure(dataset, profile)
    print(f"seed 0, validation\n\n{table(rows)}")


if __name__ == "__main__":
    main()
