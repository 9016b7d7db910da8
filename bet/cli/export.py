"""``bet export``: the vectors of a file for other tools."""

import argparse
from pathlib import Path

from bet.text import show

FORMS = ("faiss", "faiss-sq8", "faiss-sq4", "npy", "npy16", "torch")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which file, for which tool."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="that 'bet table' or 'bet pack' has written"
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=FORMS,
        help="a FAISS index by inner product (exact, or rounded once more to 8 or 4 bits), "
        "matrices in float32 or float16, or rows for torch's quantized embedding bags",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to (default: FILE-TO, beside the file)"
    )


def export(options: argparse.Namespace) -> None:
    """Write the files and name them."""
    from bet.export import export as export_file

    folder = options.out or options.file.with_name(f"{options.file.stem}-{options.to}")
    show(*export_file(options.file, options.to, folder))
