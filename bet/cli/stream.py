"""``bet stream``: events and a cap in bytes in, a file for every segment within it out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bet.errors import BetError
from bet.text import quoted, show

if TYPE_CHECKING:
    from bet.stream import Events


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which events, into how many bytes, cut how."""
    parser.add_argument(
        "--data",
        required=True,
        help="a file of your own with a column of times, or a stream's name",
    )
    parser.add_argument(
        "--budget", required=True, help="bytes that each file may have: '2 MB', '512 KiB'"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="of the files and the page; in the end they replace the segment-*.safetensors, "
        "now.safetensors and index.html that are there",
    )
    parser.add_argument(
        "--method",
        default="stream-powerlaw",
        help="stream-uniform, stream-powerlaw, scall, scall-bayes, dess-like-capped, "
        "dess-like-frequency or stream-bet-plus (default: %(default)s)",
    )
    cut = parser.add_mutually_exclusive_group()
    cut.add_argument(
        "--segments", type=int, default=6, metavar="N", help="of equally many events (default: 6)"
    )
    cut.add_argument(
        "--new-entities",
        type=int,
        metavar="N",
        help="a segment ends when so many users and items have appeared, instead",
    )


def stream(options: argparse.Namespace) -> None:
    """Write the files and say what each holds."""
    from bet.actions import PER_ENTITY
    from bet.process import fixed_threads, resolve_device
    from bet.release.stream import build_stream
    from bet.release.stream_page import cut_sentences, segment_table
    from bet.stream import STREAM_METHODS, StreamSettings
    from bet.stream.budgets import parse_cap

    capped = [name for name, method in STREAM_METHODS.items() if method.capped]
    if options.method not in capped:
        raise BetError(
            f"no method {quoted(options.method)} with a cap; known are {', '.join(capped)}"
        )
    if PER_ENTITY in options.budget.lower():
        raise BetError(
            f"a cap of {quoted(options.budget)} grows with users and items; give bytes of the "
            "whole file, for example '2 MB'"
        )
    cap = parse_cap(options.budget, n=1)
    settings = StreamSettings(options.segments, options.new_entities)
    events, source = _events(options)
    with fixed_threads(options.threads):
        release = build_stream(
            events,
            cap,
            options.out,
            method=options.method,
            settings=settings,
            seed=options.seed,
            device=resolve_device(options.device),
            progress=True,
            source=source,
        )
    show(
        segment_table(release).to_string(index=False),
        *cut_sentences(release),
        f"page {release.page}",
        f"serve from {release.now}",
    )


def _events(options: argparse.Namespace) -> "tuple[Events, Path | None]":
    """The events that ``--data`` names, and the file that they are in, None for a name."""
    from bet.cli.parser import COLUMNS
    from bet.data.columns import Columns
    from bet.stream import STREAMS, load_events, read_events

    if options.data in STREAMS:
        return load_events(options.data), None
    columns = Columns(**{name: getattr(options, f"{name}_column") for name in COLUMNS})
    path = Path(options.data)
    return read_events(path, columns=columns, minimum_rating=options.minimum_rating), path
