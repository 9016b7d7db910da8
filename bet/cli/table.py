"""``bet table``: interactions and a number of bytes in, a file that recommends and a page about it
out.
"""

import argparse

from bet.actions import parse_bytes
from bet.cli.own_data import interactions_of
from bet.data import DATASETS, Interactions
from bet.errors import BetError
from bet.process import fixed_threads, resolve_device
from bet.release.build import build_table
from bet.release.page import page_path, write_page
from bet.release.sentences import (
    decision_sentence,
    expectations,
    history_sentence,
    left_out_sentence,
    load_lines,
    reference_sentence,
    time_sentence,
)
from bet.release.task import Fixed
from bet.release.update import Earlier, continue_file, same_bytes
from bet.text import show


def table(options: argparse.Namespace) -> None:
    """Build the file and print what was written, why, and how to recommend from it."""
    try:
        _table(options)
    except MemoryError as error:
        raise BetError(
            "the interactions do not fit into memory; docs/scale_out.md says how to train on many "
            "machines and pack the vectors with 'bet pack', or keep fewer (--k-core)"
        ) from error


def _table(options: argparse.Namespace) -> None:
    if options.budget is None and options.continue_from is None:
        options.parser.error("the following arguments are required: --budget (or --continue)")
    _check_is_bytes(options.budget)
    fixed = Fixed(options.epochs, options.learning_rate, options.l2, options.columns)
    interactions, earlier = interactions_of(options), None
    if options.continue_from is not None:
        if options.no_history:
            raise BetError("--continue reads histories; leave --no-history out")
        earlier, interactions = continue_file(options.continue_from, interactions)
    limit = _limit(options.budget, interactions, earlier)
    with fixed_threads(options.threads):
        release = build_table(
            interactions,
            limit,
            options.out,
            minutes=options.minutes,
            history=not options.no_history,
            with_ids=options.with_ids,
            fixed=fixed,
            earlier=earlier,
            seed=options.seed,
            device=resolve_device(options.device),
            progress=True,
            source=None if options.data in DATASETS else options.data,
            publish=write_page,
        )
    total = release.report.total
    lines = [
        f"{options.out}: {total:,} bytes to serve of at most {limit:,}; {release.chosen.name}",
        decision_sentence(release),
        reference_sentence(release),
        expectations(release),
        *([left_out_sentence(release)] if release.left_out else []),
        history_sentence(release),
        time_sentence(release),
        f"page {page_path(release)}",
        load_lines(release),
    ]
    show(*lines)


def _limit(budget: str | None, interactions: Interactions, earlier: Earlier | None) -> int:
    """The budget in bytes; without one, what an earlier file takes for more users and items."""
    if budget is None:
        assert earlier is not None, "one of them is given"
        return same_bytes(earlier, interactions)
    limit = parse_bytes(budget, interactions.n_users + interactions.n_items)
    assert limit is not None, "checked before the interactions were read"
    return limit


def _check_is_bytes(budget: str | None) -> None:
    """Raise BetError unless ``budget`` states bytes, or is None."""
    refused = BetError(
        f"a file needs a budget in bytes, got {budget!r}; for example '2 MB' or '25.6 B/entity'"
    )
    try:
        limit = parse_bytes(budget, 1)
    except BetError as error:  # its message offers what other commands take
        raise refused from error
    if budget is not None and limit is None:
        raise refused
