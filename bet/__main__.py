"""Command line: ``python -m bet run``, ``cell``, ``grid``, ``report``, ``restore``; each has ``--help``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from bet.data import DATASETS, load_dataset
from bet.errors import BetError
from bet.methods import METHODS
from bet.paths import results_dir
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import read_record, record_path
from bet.study.run import run_cell


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run; 0 on success, 1 with a message on bad input, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        options.run(options)
    except BetError as error:
        print(f"error: {error}", file=sys.stderr)
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
    run.add_argument("--dataset", default="movielens-100k", help=f"{', '.join(DATASETS)}, or a file of your own")
    run.add_argument("--backbone", default="lightgcn", help="lightgcn, ngcf or ncf")
    run.add_argument("--budget", default="90%", help="sparsity (0.9, 90%%), parameters (85000), bytes (1.8 MB), or none")
    run.add_argument("--method", default="bet", help=f"{', '.join(METHODS)}; full takes --budget none")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--protocol", default="clean", help="clean, or merged: refit on train and validation before the test")
    run.add_argument("--iterations", type=int, default=0, help="T; 0: the profile's")
    run.add_argument("--actions", type=int, default=0, help="m; 0: the profile's")
    own = run.add_argument_group("a file of your own (csv, tsv, parquet, RecBole .inter, LightGCN .txt)")
    for column in ("user", "item", "rating", "timestamp"):
        own.add_argument(f"--{column}-column", default=column, metavar="NAME")
    own.add_argument("--minimum-rating", type=float, default=None, help="drop interactions rated lower")
    own.add_argument("--k-core", type=int, default=0, help="drop users and items with fewer interactions")
    run.add_argument("--table", type=Path, default=None, metavar="FILE", help="save the trained table here")

    cell = commands.add_parser("cell", help="run the cell of a profile that has this id")
    cell.set_defaults(run=_cell)
    cell.add_argument("id")
    grid = commands.add_parser("grid", help="print the ids of a profile's cells; python -m bet.study.grid runs them all")
    grid.set_defaults(run=lambda options: print(*(c.id for c in PROFILES[options.profile].cells), sep="\n"))
    report = commands.add_parser("report", help="tables, figures and report.html of a profile's records")
    report.set_defaults(run=_report)
    restore = commands.add_parser("restore", help="continue a profile from its committed records: put them back into results/")
    restore.set_defaults(run=_restore)

    for command in (run, cell):
        command.add_argument("--notebook", action="store_true", help="run notebooks/cell.ipynb and keep the executed copy")
        command.add_argument("--threads", type=int, default=1, help="CPU threads; more for a cell that runs alone")
        command.add_argument("--device", default="auto", help="cpu, cuda, ...; auto takes a GPU when there is one")
    for command in (run, cell, grid, report, restore):
        command.add_argument("--profile", choices=list(PROFILES), default="default", help="whose settings and results folder")
    return parser


def _run(options: argparse.Namespace) -> None:
    names = ("dataset", "backbone", "budget", "method", "seed", "protocol", "profile", "iterations", "actions")
    cell = Cell(**{name: getattr(options, name) for name in names})
    interactions = None
    columns = {name: getattr(options, f"{name}_column") for name in ("user", "item", "rating", "timestamp")}
    filters = {"minimum_rating": options.minimum_rating, "k_core": options.k_core}
    if cell.dataset in DATASETS:
        if any(name != column for name, column in columns.items()) or any(filters.values()):
            raise BetError(f"{cell.dataset} is a named dataset: columns, minimum rating and k-core are for a file of your own")
    else:
        interactions = load_dataset(cell.dataset, **columns, **filters)
        if options.notebook:
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
        record = run_cell(cell, device=options.device, progress=sys.stderr.isatty(), threads=options.threads, **details)
    size, test = record["size"], record["metrics"]["test"]
    print(f"{cell.id}: {size['parameters']:,} parameters, {size['bytes']:,} bytes; limit {size['limit']} parameters")
    print("  test  " + "  ".join(f"{name} {value:.4f}" for name, value in test.items()))
    print(f"  record {record_path(cell)}")


def _report(options: argparse.Namespace) -> None:
    from bet.report.build import build

    print(build(options.profile))


def _restore(options: argparse.Namespace) -> None:
    from bet.report.build import report_dir
    from bet.report.frames import restore

    count = restore(options.profile, report_dir(options.profile), results_dir() / options.profile)
    print(f"{count} records put back into {results_dir() / options.profile}")


if __name__ == "__main__":
    sys.exit(main())
