"""The cap of a stream, in columns of every segment's table; checked before any work."""

from collections.abc import Sequence
from functools import partial

from bet.actions import Budget, parse_budget, parse_bytes
from bet.actions.budget import UNITS
from bet.errors import BetError
from bet.packed import float32_file_bytes
from bet.stream.events import Events
from bet.stream.segments import Segment
from bet.text import quoted


def parse_cap(text: str, n: int) -> int:
    """The bytes that ``text`` states for ``n`` entities; raises BetError where it states none.

    >>> parse_cap("2 MB", n=10), parse_cap("25.6 B/entity", n=10)
    (2000000, 256)
    """
    try:
        n_bytes = parse_bytes(text, n)
    except BetError:  # which speaks of other sorts of budgets, too
        n_bytes = None
    if n_bytes is None:
        raise BetError(
            f"a stream has a cap in bytes, got {quoted(text)}; for example '2 MB' (units: "
            f"{', '.join(UNITS)})"
        )
    return n_bytes


def segment_budget(
    cap: str | None, n_users: int, n_items: int, d_max: int, *, empty_rows: bool = False
) -> Budget:
    """Columns of a table whose file has at most ``cap`` bytes ("2 MB"; "25.6 B/entity" grows with
    the entities); None: all of them. ``empty_rows``: rows may be without columns.

    Raises BetError, with the smallest file, where the cap does not hold everybody.

    >>> segment_budget("2 kB", n_users=10, n_items=10, d_max=4).total  # 1,672 bytes; 326 beside
    418
    >>> segment_budget("300 B", n_users=10, n_items=10, d_max=4)
    Traceback (most recent call last):
    bet.errors.BetError: a budget of 300 bytes is below the smallest possible table file, \
406 bytes; raise the budget
    """
    n = n_users + n_items
    if cap is None:
        return Budget(n * d_max, n, d_max)
    parse_cap(cap, n)
    file_bytes = partial(float32_file_bytes, n_users, n_items, 1, d_max)
    return parse_budget(cap, n, d_max, d_min=0 if empty_rows else 1, file_bytes=file_bytes)


def check_caps(
    events: Events,
    segments: Sequence[Segment],
    cap: str | None,
    d_max: int,
    *,
    empty_rows: bool = False,
    remedy: str = "",
) -> None:
    """Raise BetError, with the smallest cap that holds everybody in every segment, where ``cap``
    does not. ``remedy``: what else could be done, for the message.
    """
    if cap is None:
        return
    smallest = 0
    failed, refused = 0, None
    for segment in segments:
        n_users, n_items = events.known_after(segment.train_end)
        rows = 0 if empty_rows else n_users + n_items
        smallest = max(smallest, float32_file_bytes(n_users, n_items, 1, d_max, rows))
        try:
            segment_budget(cap, n_users, n_items, d_max, empty_rows=empty_rows)
        except BetError as error:
            if refused is None:
                failed, refused = segment.number, error
    if refused is None:
        return
    if "smallest possible" not in str(refused):
        raise refused
    raise BetError(
        f"segment {failed}: {refused}; the smallest cap that holds all {len(segments)} segments is "
        f"{smallest:,} bytes{remedy}"
    )
