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
        "--out", type=Path, required=True, metavar="FOLDER", help="of the files and the page"
    )
    parser.add_argument(
        "--method",
        default="stream-powerlaw",
        help="stream-uniform, stream-powerlaw, scall, scall-bayes, dess-like-capped or "
        "stream-bet-plus (default: %(default)s)",
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
    from bet.actions import PER_ENTITY, parse_bytes
    from bet.process import fixed_threads, resolve_device
    from bet.release.stream import build_stream, segment_table
    from bet.stream import STREAM_METHODS, StreamSettings

    capped = [name for name, method in STREAM_METHODS.items() if method.capped]
    if options.method not in capped:
        raise BetError(
            f"no method {quoted(options.method)} with a cap; known are {', '.join(capped)}"
        )
    cap = None if PER_ENTITY in options.budget else parse_bytes(options.budget, 1)
    if cap is None:
        raise BetError(
            f"a table that must not grow has a cap in bytes, got {quoted(options.budget)}; for "
            "example '2 MB'"
        )
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
        f"page {release.page}",
        f"serve from {release.files[-1]}",
    )


def _events(options: argparse.Namespace) -> "tuple[Events, Path | None]":
    """The events that ``--data`` names, and the file that they are in, None for a name."""
    from bet.cli.parser import COLUMNS
    from bet.data.columns import Columns
    from bet.stream import STREAMS, load_events, read_events

    if options.k_core is not None:
        raise BetError("--k-core looks at all events, also later ones; leave it out of a stream")
    if options.data in STREAMS:
        return load_events(options.data), None
    columns = Columns(**{name: getattr(options, f"{name}_column") for name in COLUMNS})
    path = Path(options.data)
    return read_events(path, columns=columns, minimum_rating=options.minimum_rating), path
