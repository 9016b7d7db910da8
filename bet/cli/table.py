"""``bet table``: interactions and a number of bytes in, a table file and a page about it out."""

import argparse

from bet.actions import bounds_serving, parse_bytes
from bet.cli.own_data import interactions_of
from bet.data import DATASETS
from bet.errors import BetError
from bet.process import fixed_threads, resolve_device
from bet.release.build import build_table
from bet.release.page import decision_sentence, load_lines, serving_sentence, write_page
from bet.study.profiles import use_profile


def table(options: argparse.Namespace) -> None:
    """Build the table and print what was written and why."""
    profile = use_profile(options.profile)
    interactions = interactions_of(options)
    limit = parse_bytes(options.budget, interactions.n_users + interactions.n_items)
    if bounds_serving(options.budget):
        raise BetError(
            f"bet table bounds the table's file, not all that serves it, got {options.budget!r}; "
            "leave 'to serve' out (the page then says what serving takes), or take 'bet run'"
        )
    if limit is None:
        raise BetError(
            f"a table file needs a budget in bytes, got {options.budget!r}; for example '2 MB' or "
            "'25.6 B/entity'"
        )
    with fixed_threads(options.threads):
        release = build_table(
            interactions,
            limit,
            options.out,
            backbone=options.backbone,
            profile=profile,
            seed=options.seed,
            device=resolve_device(options.device),
            progress=True,
            source=None if options.data in DATASETS else options.data,
            with_ids=options.with_ids,
        )
    print(
        f"{options.out}: {release.report.total:,} bytes of at most {limit:,}; {release.chosen.name}"
    )
    print(serving_sentence(release))
    print(decision_sentence(release))
    print(f"page {write_page(release)}", load_lines(release), sep="\n")
