"""Options of every command. Nothing heavy is imported before a command runs."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import bet
from bet.cli.export import add_options as add_export_options
from bet.cli.pack import add_options as add_pack_options
from bet.cli.recommend import add_options as add_recommend_options
from bet.cli.stream import add_options as add_stream_options

COLUMNS = ("user", "item", "rating", "timestamp")
_DATA = "a name that 'bet datasets' lists, or a file of your own"
_PROFILE = "smoke, default, full, paper, stream, ..., or a study file (study.toml)"


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``options.run`` names the module and the function to call."""
    parser = argparse.ArgumentParser(
        prog="bet",
        description="Embedding tables of recommenders under a budget. 'bet COMMAND --help' "
        "explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"bet {bet.__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, run: tuple[str, str], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False
        )
        added.set_defaults(run=run, parser=added)  # whose usage an error shows
        return added

    _add_lists(command)
    _add_run(command("run", ("run", "run"), "run one method once and write its record"))
    _add_study(command("study", ("study", "study"), "run all unfinished cells of a study"))
    for name, about in (
        ("report", "make tables, figures and report.html from a study's records"),
        ("verify", "compare a study's records with the committed ones"),
        ("restore", "put a study's committed records back into results/, to continue from them"),
    ):
        _add_study_name(added := command(name, ("study", name), about))
        if name == "report":
            about = "instead print the result tables in at most so many tokens, for an assistant"
            added.add_argument("--pack", type=int, metavar="TOKENS", help=about)
    about = "make the best file that recommends within a number of bytes"
    _add_table(command("table", ("table", "table"), about))
    about = "recommend items to users, from a file alone"
    add_recommend_options(command("recommend", ("recommend", "recommend"), about))
    pack = command("pack", ("pack", "pack"), "put vectors that you have into a number of bytes")
    add_pack_options(pack)
    _add_file_options(pack)
    about = "make files of a stream that stay within a number of bytes, one for each segment"
    stream = command("stream", ("stream", "stream"), about)
    add_stream_options(stream)
    _add_seed(stream, "of first weights, of what is replayed and of searches")
    _add_machine(stream)
    _add_file_options(stream, timed=True)
    about = "write the vectors of a file for FAISS, numpy or torch"
    add_export_options(command("export", ("export", "export"), about))
    return parser


Add = Callable[[str, tuple[str, str], str], argparse.ArgumentParser]


def _add_lists(command: Add) -> None:
    command("datasets", ("lists", "datasets"), "list the datasets that have a name")
    command("methods", ("lists", "methods"), "list the methods and the papers they are from")
    inspect = command(
        "inspect", ("lists", "inspect"), "say what a table file holds and what its bytes are for"
    )
    inspect.add_argument("file", type=Path, metavar="FILE", help="a table file of any kind")


def _add_run(run: argparse.ArgumentParser) -> None:
    about = f"{_DATA} (default: %(default)s)"
    run.add_argument("--data", default="movielens-100k", help=about)
    _add_backbone_and_seed(run)
    for part, what in (("init", "of first weights and triples"), ("search", "of a search's draws")):
        about = f"{what} (default: that of the split)"
        run.add_argument(f"--{part}-seed", type=int, metavar="N", help=about)
    run.add_argument(
        "--budget",
        help="sparsity (0.9, 90%%), parameters (85000), bytes of the table (1.8 MB, 25.6 B/entity) "
        "or of all that a server needs (25.6 B/entity to serve), or none (default: 90%%; none for "
        "references)",
    )
    run.add_argument(
        "--method",
        default="bet",
        help="a name that 'bet methods' lists (default: %(default)s); full takes --budget none",
    )
    run.add_argument(
        "--protocol",
        default="clean",
        choices=("clean", "merged"),
        help="merged: refit on train and validation before the test (default: %(default)s)",
    )
    _add_count(run, "--iterations", "search iterations")
    _add_count(run, "--actions", "actions sampled in every iteration")
    about = f"whose settings: {_PROFILE} (default: %(default)s)"
    run.add_argument("--profile", default="default", help=about)
    _add_machine(run)
    run.add_argument(
        "--notebook",
        action="store_true",
        help="run notebooks/cell.ipynb for it and keep the executed copy",
    )
    run.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="also write the file that recommends, with all that its model needs (default: no)",
    )
    run.add_argument(
        "--with-seen",
        action="store_true",
        help="with --out: it also says what users have had, in further bytes, where its model does "
        "not need that anyway (default: no)",
    )
    _add_file_options(run)


def _add_table(table: argparse.ArgumentParser) -> None:
    table.add_argument("--data", required=True, help=_DATA)
    table.add_argument(
        "--budget",
        help="bytes that all that serves may have: '2 MB', '512 KiB', '25.6 B/entity' (with "
        "--continue: as many as the earlier file has per user and item)",
    )
    table.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the file that recommends; a page about it goes to FILE.html",
    )
    table.add_argument(
        "--continue",
        dest="continue_from",
        type=Path,
        metavar="FILE",
        help="refit the model in FILE to its interactions and those of --data",
    )
    table.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        metavar="N",
        help="that all of it may take; what does not fit in is left out (default: 10)",
    )
    table.add_argument(
        "--no-history",
        action="store_true",
        help="a file that does not say what people have seen (default: it does, if that fits)",
    )
    table.add_argument(
        "--with-ids",
        action="store_true",
        help="keep your ids in the file, where they count (default: in a file beside it)",
    )
    fixed = table.add_argument_group("settings that are then not swept")
    for name, kind, about in (
        ("epochs", int, "at most, sweeps of least squares"),
        ("learning-rate", float, "of steps along the gradient"),
        ("l2", float, "the weight of the regularization"),
        ("columns", int, "numbers per user and item, at most"),
    ):
        fixed.add_argument(f"--{name}", type=kind, metavar="N", help=about)
    _add_seed(table)
    _add_machine(table)
    _add_file_options(table)


def _add_study(study: argparse.ArgumentParser) -> None:
    _add_study_name(study)
    study.epilog = "Options that are not listed here go to Snakemake."
    study.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        default=os.cpu_count() or 1,
        help="cells at once (default: one per core, %(default)s here)",
    )
    study.add_argument(
        "--report",
        action="store_true",
        help="then make the report and compare the records with the committed ones",
    )
    instead = study.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="only name the unfinished cells")
    instead.add_argument("--list", action="store_true", help="only print the ids of all cells")
    instead.add_argument(
        "--cell",
        nargs="+",
        action="extend",
        metavar="ID",
        help="only run these cells, one after the other, without Snakemake and Jupyter",
    )
    study.add_argument("--notebook", action="store_true", help="with --cell: as executed notebooks")
    study.add_argument("--logged", action="store_true", help=argparse.SUPPRESS)  # for workflow/
    _add_machine(study, "with --cell: ")


def _add_study_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "profile",
        nargs="?",
        default="default",
        metavar="PROFILE",
        help=f"{_PROFILE} (default: %(default)s)",
    )


def _add_backbone_and_seed(parser: argparse.ArgumentParser) -> None:
    """The backbone may be none, and its default depends on the method."""
    parser.add_argument(
        "--backbone",
        choices=("lightgcn", "ngcf", "ncf", "gmf", "ials", "none"),
        help="model that reads the table (default: lightgcn; none for references)",
    )
    _add_seed(parser)


def _add_seed(
    parser: argparse.ArgumentParser, what: str = "of the split and all else that is random"
) -> None:
    parser.add_argument("--seed", type=int, default=0, help=f"{what} (default: 0)")


def _add_machine(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument(
        "--device",
        default="auto",
        help=f"{when}cpu, cuda, ... (default: a GPU when there is one)",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help=f"{when}CPU threads (default: %(default)s)"
    )


def _add_count(parser: argparse.ArgumentParser, name: str, about: str) -> None:
    parser.add_argument(
        name, type=int, metavar="N", help=f"{about} (default: from the study configuration)"
    )


def _add_file_options(parser: argparse.ArgumentParser, *, timed: bool = False) -> None:
    """``timed``: of files with times. A k-core is no option there: it looks at later events."""
    kinds = "csv, tsv, parquet, RecBole .inter"
    kinds += "" if timed else ", npz, LightGCN .txt"
    group = parser.add_argument_group(f"a file of your own ({kinds})")
    for column in COLUMNS:
        group.add_argument(
            f"--{column}-column",
            default=column,
            metavar="NAME",
            help=f"column with the {column} (default: %(default)s)",
        )
    group.add_argument(
        "--minimum-rating",
        type=float,
        metavar="X",
        help="drop interactions rated lower (default: keep all)",
    )
    if timed:
        return
    group.add_argument(
        "--k-core",
        type=int,
        metavar="K",
        help="drop users and items with fewer interactions (default: keep all)",
    )
