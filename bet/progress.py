"""Progress on stderr: a bar on a terminal, elsewhere (a log, a pipe, a notebook) a line now and
then.
"""

import sys
from collections.abc import Callable, Iterable
from typing import IO, TypeVar

from tqdm import tqdm

LINE_SECONDS = 30.0
Item = TypeVar("Item")


class _Lines(tqdm):
    """Writes whole lines instead of moving the cursor."""

    @staticmethod
    def status_printer(file: IO[str]) -> Callable[[str], None]:
        return lambda text: print(text.strip(), file=file, flush=True)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        # An empty message clears a bar; lines stay.
        return msg != "" and super().display(msg, pos)


def progress_bar(
    items: Iterable[Item] | None = None,
    *,
    label: str | None,
    total: int | None = None,
    initial: int = 0,
    shown: bool = True,
) -> "tqdm[Item]":
    """Iterate over ``items`` or, without them, call ``update()`` of what is returned.

    ``total`` and ``initial``: how many there are and how many an earlier run has done. A terminal
    gets a bar that goes when it is full, anything else a line every ``LINE_SECONDS``.
    """
    common = {"desc": label, "total": total, "initial": initial, "leave": False}
    if not shown:
        return tqdm(items, disable=True, **common)
    if sys.stderr.isatty():
        return tqdm(items, **common)
    return _Lines(
        items,
        mininterval=LINE_SECONDS,
        maxinterval=LINE_SECONDS,
        delay=LINE_SECONDS,
        bar_format="{desc}: {n_fmt} of {total_fmt} in {elapsed}, {remaining} left",
        **common,
    )


def announce(text: str) -> None:
    """Write a line of text to stderr, above any bars."""
    tqdm.write(text, file=sys.stderr)
