"""``python -m benchmarks.sweeps.interactions``: the bits of an interaction in a file, beside its
entropy and Elias-Fano codes. Prints a table.

*Entropy* is that of sets of so many items as every user has, drawn by the items' frequencies.
*Coded* is what a file holds, everything counted. *One width* are the same codes without segments,
a width of remainders for every number of digits that a list's length has; *Elias-Fano* (Elias, J.
ACM 1974) takes the best number of low bits for every list. Neither counts the lengths of the lists.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import gammaln

from bet.data import FrequencyOrder, load_dataset, split_interactions
from bet.packed import ItemLists, code_interactions
from bet.packed.interactions import class_of

PROTOCOLS = ("clean", "merged")


@dataclass(frozen=True)
class Row:
    """Bits per interaction of one matrix."""

    dataset: str
    protocol: str
    interactions: int
    entropy: float
    coded: float
    one_width: float
    elias_fano: float


def by_frequency(matrix: csr_array) -> csr_array:
    """``matrix`` with users and items numbered by frequency, most frequent first."""
    order = FrequencyOrder.of(matrix)
    ordered = csr_array(matrix[order.users][:, order.items])
    ordered.sort_indices()
    return ordered


def entropy(matrix: csr_array) -> float:
    """Bits per interaction: log2 of the items' frequencies, less the order of every list."""
    k, frequency = matrix.nnz, np.bincount(matrix.indices)
    drawn = -(frequency * np.log2(np.maximum(frequency, 1) / k)).sum()
    return float(drawn - gammaln(np.diff(matrix.indptr) + 1).sum() / np.log(2)) / k


def one_width(matrix: csr_array) -> float:
    """Bits per interaction of Rice codes with one width for every class of lists."""
    degrees = np.diff(matrix.indptr)
    gaps = np.diff(matrix.indices, prepend=-1) - 1
    firsts = matrix.indptr[:-1][degrees > 0]
    gaps[firsts] = matrix.indices[firsts]
    classes = np.repeat(class_of(degrees, int(degrees.max()).bit_length()), degrees)
    bits = [np.bincount(classes, (gaps >> width) + 1.0 + width) for width in range(32)]
    return float(np.min(bits, axis=0).sum() / matrix.nnz)


def elias_fano(matrix: csr_array) -> float:
    """Bits per interaction of Elias-Fano codes of the lists, of the items that occur."""
    degrees, n_items = np.diff(matrix.indptr), int(matrix.indices.max()) + 1
    bits = [degrees * (low + 1) + ((n_items - 1) >> low) for low in range(32)]
    return float(np.where(degrees, np.min(bits, axis=0), 0).sum() / matrix.nnz)


def measure(dataset: str, seed: int) -> list[Row]:
    """A row for the train part of ``dataset`` and one for train and validation together; raises
    AssertionError unless what was coded comes back.
    """
    split, rows = split_interactions(load_dataset(dataset), seed), []
    for protocol, part in zip(PROTOCOLS, (split.train, split.merged()), strict=True):
        matrix = by_frequency(part)
        coded = code_interactions(matrix.indptr, matrix.indices, matrix.shape[1])
        indptr, items = ItemLists(coded).all()
        np.testing.assert_array_equal(indptr, matrix.indptr)
        np.testing.assert_array_equal(items, matrix.indices)
        bits = 8 * coded.layout.n_bytes / matrix.nnz
        others = one_width(matrix), elias_fano(matrix)
        rows.append(Row(dataset, protocol, matrix.nnz, entropy(matrix), bits, *others))
    return rows


def table(rows: list[Row]) -> str:
    """Markdown, one line per matrix."""
    head = ["dataset", "protocol", "interactions", "entropy", "coded", "above entropy"]
    head += ["one width", "Elias-Fano"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        bits = f"{row.entropy:.2f} | {row.coded:.2f} | {row.coded / row.entropy - 1:+.1%}"
        others = f"{row.one_width:.2f} | {row.elias_fano:.2f}"
        what = f"{row.dataset} | {row.protocol} | {row.interactions:,}"
        lines.append(f"| {what} | {bits} | {others} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.interactions", description=__doc__
    )
    parser.add_argument("--datasets", nargs="+", default=["movielens-100k", "gowalla"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = []
    for dataset in options.datasets:
        rows += measure(dataset, options.seed)
    print(f"bits per interaction, seed {options.seed}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
