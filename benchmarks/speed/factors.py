"""``python -m benchmarks.speed.factors``: what each way of saving time gives, and that the results
are the same.

Before and after are measured in one run on one thread.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

import torch
from tqdm import tqdm

from benchmarks.speed import comparisons, losses
from benchmarks.speed.comparisons import Factor
from benchmarks.speed.measuring import machine, prepare
from bet.backbones import NCF, LightGCN
from bet.data import Split
from bet.process import fixed_threads

FACTORS: dict[str, Callable[[Split, int], Factor]] = {
    "freed memory is kept": comparisons.kept_memory,
    "only the columns in use": comparisons.used_columns,
    "embedding_bag for A X": comparisons.product,
    "32-bit indices": comparisons.short_indices,
    "blocks of columns": comparisons.column_blocks,
    "symmetric backward pass": comparisons.symmetric_backward,
    "rows gathered and added up": comparisons.gathered_rows,
    "large batches": comparisons.large_batches,
    "NCF ranking compiled": comparisons.ncf_ranking,
    "NCF's triples at once": losses.ncf_triples,
    "LightGCN's softmax compiled": partial(losses.softmax, LightGCN, 32),
    "NCF's softmax compiled": partial(losses.softmax, NCF, 8),
    "L2 by counts": losses.counted_norms,
    "two threads": comparisons.two_threads,
}


def table(rows: dict[str, Factor]) -> str:
    """Markdown, one line per factor."""
    lines = ["| what | before | after | factor | measured on |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        times = f"{1e3 * row.before:.1f} ms | {1e3 * row.after:.1f} ms"
        lines.append(f"| {name} | {times} | {row.before / row.after:.1f} | {row.note} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.factors", description=__doc__)
    parser.add_argument(
        "--dataset",
        default="power-law",
        help="power-law (made up, Gowalla's size), or gowalla, yelp2018",
    )
    parser.add_argument(
        "--size", type=float, default=1.0, help="of the power-law data, relative to Gowalla"
    )
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        split, rows = prepare(options.dataset, options.size), {}
        # Before anything else keeps the freed memory.
        for name, measure in tqdm(FACTORS.items(), desc="factors", disable=not sys.stderr.isatty()):
            if measure is comparisons.kept_memory:
                rows[name] = measure(split, options.repeat)
                continue
            with fixed_threads():
                rows[name] = measure(split, options.repeat)
    finally:
        torch.set_num_threads(threads)
    data = f"data: {options.dataset}, size {options.size:g}; median of {options.repeat}"
    print(f"{machine()}; {data}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
