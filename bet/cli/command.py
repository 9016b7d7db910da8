"""Run a command: its options, its log, its exit status, and errors in words."""

import errno
import gc
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from bet.cli.parser import make_parser
from bet.errors import BetError
from bet.text import printable_lines

MOST_SHOWN = 2_000  # characters of an error


def run(arguments: Sequence[str] | None = None) -> int:
    """Parse ``arguments`` (None: those of the process), run the command, return its exit status."""
    parser = make_parser()
    options, further = parser.parse_known_args(arguments)
    if further and options.command != "study":
        options.parser.error(f"unrecognized arguments: {' '.join(further)}")
    if options.command is None:
        parser.exit(2, parser.format_help())
    options.further = further
    handler = logging.StreamHandler()
    handler.setFormatter(Printable("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("bet").setLevel(logging.INFO)  # not of others, who tell more than we ask for
    try:
        module, name = options.run
        return getattr(_imported(f"bet.cli.{module}"), name)(options) or 0
    except BetError as error:
        _print_error(error)
    except BrokenPipeError:  # `bet study full --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        remedy = "check the disk and the folder's permissions, then run the same command again"
        if error.errno == errno.ENAMETOOLONG:
            remedy = "give a shorter name"
        _print_error(f"{error}; {remedy}")
    except MemoryError as error:
        _print_error(f"out of memory ({error}); close other programs, or give it less")
    return 1


def _imported(name: str) -> ModuleType:
    """A module, imported without a look for garbage: what is imported stays, and there is so much
    of it that looking again and again takes a good part of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if was_enabled:
            gc.enable()


def _print_error(error: object) -> None:
    """What others have written stays text, of a length that can be read; the remedy is its end."""
    shown = printable_lines(error)
    if len(shown) > MOST_SHOWN:
        shown = f"{shown[: MOST_SHOWN // 2]} ... {shown[-MOST_SHOWN // 2 :]}"
    print(f"error: {shown}", file=sys.stderr)


class Printable(logging.Formatter):
    """Lines of the log in which names of files and columns move no cursor."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))
