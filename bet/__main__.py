"""Command line: ``python -m bet run``, ``cell``, ``grid``."""

import argparse
import logging
import sys

from bet.errors import BetError
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.run import run_cell


def main(arguments: list[str] | None = None) -> int:
    """Parse and run; 0 on success, 1 with a message on bad input."""
    parser = argparse.ArgumentParser(prog="python -m bet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one cell, given by its parts")
    for name in ("dataset", "backbone", "budget", "method"):
        run.add_argument(f"--{name}", required=True)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--protocol", default="clean")
    run.add_argument("--iterations", type=int, default=0, help="T; 0: the profile's")
    run.add_argument("--actions", type=int, default=0, help="m; 0: the profile's")
    cell = commands.add_parser("cell", help="run the cell of a profile that has this id")
    cell.add_argument("id")
    grid = commands.add_parser("grid", help="print the ids of a profile's cells")
    for command in (run, cell, grid):
        command.add_argument("--profile", choices=list(PROFILES), default="default")
    options = vars(parser.parse_args(arguments))
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    command = options.pop("command")
    try:
        if command == "grid":
            print(*(c.id for c in PROFILES[options["profile"]].cells), sep="\n")
            return 0
        record = run_cell(_find(**options) if command == "cell" else Cell(**options), progress=sys.stderr.isatty())
    except BetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    test = record["metrics"]["test"]
    print(record["cell_id"], *(f"{name} {test[name]:.4f}" for name in ("recall@20", "ndcg@20")), record["size"])
    return 0


def _find(id: str, profile: str) -> Cell:
    for cell in PROFILES[profile].cells:
        if cell.id == id:
            return cell
    raise BetError(f"profile {profile!r} has no cell {id!r}; 'python -m bet grid --profile {profile}' lists them")


if __name__ == "__main__":
    sys.exit(main())
