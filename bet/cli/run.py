"""``bet run``: one cell, given by its parts."""

import argparse
from pathlib import Path

from bet.backbones import NO_BACKBONE
from bet.cli.own_data import interactions_of
from bet.data import DATASETS
from bet.errors import BetError
from bet.methods import REFERENCES
from bet.packed import RecommenderFile, load
from bet.study.cell import Cell
from bet.study.job import run_and_describe
from bet.study.profiles import use_profile
from bet.text import show


def run(options: argparse.Namespace) -> None:
    """Run the cell and print what came out; what is wrong is said before any work."""
    is_reference = options.method in REFERENCES
    cell = Cell(
        dataset=options.data,
        backbone=options.backbone or (NO_BACKBONE if is_reference else "lightgcn"),
        budget=options.budget or ("none" if is_reference else "90%"),
        method=options.method,
        seed=options.seed,
        protocol=options.protocol,
        profile=use_profile(options.profile),
        iterations=options.iterations,
        actions=options.actions,
        init_seed=options.init_seed,
        search_seed=options.search_seed,
    )
    if cell.is_stream:
        raise BetError(f"{cell.method} runs on streams: take 'bet stream', or a study of streams")
    interactions = interactions_of(options)
    if not options.notebook:
        if options.with_seen and options.out is None:
            raise BetError("--with-seen goes with --out only; leave it out")
        run_and_describe(
            cell,
            device=options.device,
            threads=options.threads,
            interactions=interactions,
            file=options.out,
            with_seen=options.with_seen,
        )
        if options.out is not None:
            show(_file_line(options.out))
        return
    if options.data not in DATASETS:
        raise BetError("--notebook runs named datasets only; leave it out for a file of your own")
    if options.out is not None or options.with_seen or options.threads != 1:
        raise BetError("--out, --with-seen and --threads do not go with --notebook; leave it out")
    return run_and_describe(cell, device=options.device, notebook=True)


def _file_line(path: Path) -> str:
    """How long the file is, and whether it says what people have had."""
    file = load(path, check=False)
    has_histories = isinstance(file, RecommenderFile) and file.seen is not None
    holds = "; it holds people's histories" if has_histories else ""
    return f"  file {path}: {path.stat().st_size:,} bytes{holds}"
