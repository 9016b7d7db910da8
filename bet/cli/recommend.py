"""``bet recommend``: the best items, from a file alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bet.text import printable

if TYPE_CHECKING:
    import numpy as np

    from bet.recommend import RankedItems


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to recommend, and from which file."""
    parser.add_argument("file", type=Path, metavar="FILE", help="that 'bet table' has written")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument(
        "--user", nargs="+", action="extend", metavar="ID", help="for users, by your ids"
    )
    asked.add_argument(
        "--row",
        nargs="+",
        action="extend",
        type=int,
        metavar="N",
        help="for users, by their number in the file, from 0; items are numbers, too",
    )
    asked.add_argument(
        "--items",
        nargs="+",
        action="extend",
        metavar="ID",
        help="for somebody new who has these items",
    )
    asked.add_argument("--similar", metavar="ID", help="items that are like this one")
    parser.add_argument(
        "-k", type=int, default=10, metavar="K", help="how many items (default: %(default)s)"
    )
    parser.add_argument(
        "--keep-seen",
        action="store_true",
        help="with --user and --row: also what a user has had (default: leave it out)",
    )


def recommend(options: argparse.Namespace) -> None:
    """Print a line for every item, the best first: whose it is, its place, its id and score."""
    from bet.errors import BetError
    from bet.recommend import open_model

    if options.keep_seen and not (options.user or options.row):
        raise BetError("--keep-seen goes with --user and --row only; leave it out")
    model, k, exclude = open_model(options.file), options.k, not options.keep_seen
    if exclude and (options.user or options.row) and not model.has_histories:
        raise BetError(
            f"{options.file}: does not say which items its users have seen; keep them in the lists "
            "with --keep-seen, or write the file with its users' histories"
        )
    if options.user:
        answer = model.recommend(options.user, k, exclude_seen=exclude)
        _print_lists(options.user, answer.items, answer.scores)
    elif options.row:
        best = model.recommend_rows(options.row, k, exclude_seen=exclude)
        lists = [items[items >= 0].astype(str).tolist() for items in best.items]
        _print_lists(options.row, lists, best.scores)
    elif options.items:
        _print_lists([None], *_one(model.recommend_for(options.items, k)))
    else:
        _print_lists([None], *_one(model.similar_items(options.similar, k)))


def _one(ranked: "RankedItems") -> tuple[list[list[str]], "np.ndarray"]:
    return [ranked.items], ranked.scores[None]


def _print_lists(
    names: Sequence[object], lists: Sequence[Sequence[str]], scores: "np.ndarray"
) -> None:
    """Columns are apart by tabs, so that other programs can read them."""
    for name, items, values in zip(names, lists, scores, strict=True):
        start = [] if name is None else [printable(name)]
        for place, (item, value) in enumerate(zip(items, values, strict=False), start=1):
            print(*start, place, printable(item), f"{value:.6g}", sep="\t")
