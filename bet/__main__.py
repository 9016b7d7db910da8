"""Command line: ``python -m bet table``, ``run``, ``cell``, ``grid``, ``report``, ``restore``; each
has ``--help``.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bet.actions import parse_bytes
from bet.data import DATASETS, Interactions, load_dataset
from bet.errors import BetError
from bet.methods import METHODS
from bet.paths import results_dir
from bet.process import fixed_threads
from bet.release.build import build_table
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import read_record, record_path
from bet.study.run import resolve_device, run_cell

COLUMNS = ("user", "item", "rating", "timestamp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run; 0 on success, 1 with a message on bad input, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        options.run(options)
    except BetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"error: {error}; check the disk and the folder's permissions, then run the same command again",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bet", description=__doc__)
    commands = parser.add_subparsers(required=True)

    shown = argparse.ArgumentDefaultsHelpFormatter
    run = commands.add_parser("run", help="run one cell, given by its parts", formatter_class=shown)
    run.set_defaults(run=_run)
    run.add_argument(
        "--dataset", default="movielens-100k", help=f"{', '.join(DATASETS)}, or a file of your own"
    )
    run.add_argument("--backbone", default="lightgcn", help="lightgcn, ngcf or ncf")
    run.add_argument(
        "--budget",
        default="90%",
        help="sparsity (0.9, 90%%), parameters (85000), bytes (1.8 MB), or none",
    )
    run.add_argument(
        "--method", default="bet", help=f"{', '.join(METHODS)}; full takes --budget none"
    )
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--protocol",
        default="clean",
        help="clean, or merged: refit on train and validation before the test",
    )
    run.add_argument("--iterations", type=int, default=0, help="T; 0: the profile's")
    run.add_argument("--actions", type=int, default=0, help="m; 0: the profile's")
    _own_file(run)
    run.add_argument(
        "--table", type=Path, default=None, metavar="FILE", help="save the trained table here"
    )

    table = commands.add_parser(
        "table",
        help="your interactions and a number of bytes in, a table file out",
        formatter_class=shown,
    )
    table.set_defaults(run=_table)
    table.add_argument(
        "--data", default="movielens-100k", help=f"{', '.join(DATASETS)}, or a file of your own"
    )
    table.add_argument(
        "--budget", required=True, help="bytes of the file: '2 MB', '512 KiB', '25.6 B/entity'"
    )
    table.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the table; a page about it goes to FILE.html",
    )
    table.add_argument(
        "--with-ids", action="store_true", help="keep your ids in the file, too; they count"
    )
    table.add_argument("--backbone", default="lightgcn", help="lightgcn, ngcf or ncf")
    table.add_argument("--seed", type=int, default=0)
    table.add_argument(
        "--device", default="auto", help="cpu, cuda, ...; auto takes a GPU when there is one"
    )
    _own_file(table)

    cell = commands.add_parser("cell", help="run the cell of a profile that has this id")
    cell.set_defaults(run=_cell)
    cell.add_argument("id")
    grid = commands.add_parser(
        "grid", help="print the ids of a profile's cells; python -m bet.study.grid runs them all"
    )
    grid.set_defaults(
        run=lambda options: print(*(c.id for c in PROFILES[options.profile].cells), sep="\n")
    )
    report = commands.add_parser(
        "report", help="tables, figures and report.html of a profile's records"
    )
    report.set_defaults(run=_report)
    restore = commands.add_parser(
        "restore", help="continue a profile from its committed records: put them back into results/"
    )
    restore.set_defaults(run=_restore)

    for command in (run, cell):
        command.add_argument(
            "--notebook",
            action="store_true",
            help="run notebooks/cell.ipynb and keep the executed copy",
        )
        command.add_argument(
            "--threads", type=int, default=1, help="CPU threads; more for a cell that runs alone"
        )
        command.add_argument(
            "--device", default="auto", help="cpu, cuda, ...; auto takes a GPU when there is one"
        )
    for command in (run, table, cell, grid, report, restore):
        command.add_argument(
            "--profile",
            choices=list(PROFILES),
            default="default",
            help="whose settings and results folder",
        )
    return parser


def _own_file(parser: argparse.ArgumentParser) -> None:
    own = parser.add_argument_group(
        "a file of your own (csv, tsv, parquet, RecBole .inter, LightGCN .txt)"
    )
    for column in COLUMNS:
        own.add_argument(f"--{column}-column", default=column, metavar="NAME")
    own.add_argument(
        "--minimum-rating", type=float, default=None, help="drop interactions rated lower"
    )
    own.add_argument(
        "--k-core", type=int, default=0, help="drop users and items with fewer interactions"
    )


def _own_interactions(dataset: str, options: argparse.Namespace) -> Interactions | None:
    """What the file of your own holds; None for a named dataset, which takes no columns or filters."""
    columns = {name: getattr(options, f"{name}_column") for name in COLUMNS}
    filters = {"minimum_rating": options.minimum_rating, "k_core": options.k_core}
    if dataset not in DATASETS:
        return load_dataset(dataset, **columns, **filters)
    if (
        any(name != column for name, column in columns.items())
        or options.minimum_rating is not None
        or options.k_core
    ):
        raise BetError(
            f"{dataset} is a named dataset: columns, minimum rating and k-core are for a file of your own"
        )
    return None


def _table(options: argparse.Namespace) -> None:
    from bet.release.page import decision_sentence, load_lines, write_page

    interactions = _own_interactions(options.data, options) or load_dataset(options.data)
    limit = parse_bytes(options.budget, interactions.n_users + interactions.n_items)
    if limit is None:
        raise BetError(
            f"a table file needs a budget in bytes, got {options.budget!r}; for example '2 MB' or '25.6 B/entity'"
        )
    given = {name: getattr(options, name) for name in ("backbone", "profile", "seed", "with_ids")}
    source = None if options.data in DATASETS else options.data
    with fixed_threads(1):
        device = resolve_device(options.device)
        release = build_table(
            interactions,
            limit,
            options.out,
            device=device,
            progress=sys.stderr.isatty(),
            source=source,
            **given,
        )
    print(f"{options.out}: {release.report.total:,} bytes of at most {limit:,}; {release.shipped}")
    print(decision_sentence(release))
    print(f"page {write_page(release)}", load_lines(release), sep="\n")


def _run(options: argparse.Namespace) -> None:
    names = (
        "dataset",
        "backbone",
        "budget",
        "method",
        "seed",
        "protocol",
        "profile",
        "iterations",
        "actions",
    )
    cell = Cell(**{name: getattr(options, name) for name in names})
    interactions = _own_interactions(cell.dataset, options)
    if interactions is not None and options.notebook:
        raise BetError("--notebook runs named datasets only; leave it out for a file of your own")
    _finish(cell, options, interactions=interactions, table=options.table)


def _cell(options: argparse.Namespace) -> None:
    for cell in PROFILES[options.profile].cells:
        if cell.id == options.id:
            return _finish(cell, options)
    raise BetError(
        f"profile {options.profile!r} has no cell {options.id!r}; 'python -m bet grid --profile {options.profile}' lists them"
    )


def _finish(cell: Cell, options: argparse.Namespace, **details) -> None:
    if options.notebook:
        from bet.study.notebook import run_cell_notebook

        if details.get("table") or options.threads != 1:
            raise BetError("--table and --threads need a plain call; leave out --notebook")
        print(f"  notebook {run_cell_notebook(cell, options.device)}")
        record = read_record(cell)
    else:
        record = run_cell(
            cell,
            device=options.device,
            progress=sys.stderr.isatty(),
            threads=options.threads,
            **details,
        )
    size, test = record.size, record.metrics.test
    print(
        f"{cell.id}: {size.parameters:,} parameters, {size.bytes:,} bytes; limit {size.limit} parameters"
    )
    scores = msgspec.to_builtins(test)
    print("  test  " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    print(f"  record {record_path(cell)}")


def _report(options: argparse.Namespace) -> None:
    from bet.report.build import build

    print(build(options.profile))


def _restore(options: argparse.Namespace) -> None:
    from bet.paths import report_dir
    from bet.study.bundle import restore

    count = restore(options.profile, report_dir(options.profile), results_dir() / options.profile)
    print(f"{count} records put back into {results_dir() / options.profile}")


if __name__ == "__main__":
    sys.exit(main())
