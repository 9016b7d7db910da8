"""Ids that somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

MOST = 3  # that are named
CANDIDATES = 5_000  # that are compared letter by letter
LONGEST = 100  # letters


def nearest_ids(name: str, ids: Iterable[str]) -> list[str]:
    """At most three of ``ids`` that look like ``name``, the nearest first.

    Those that differ by case or spaces only come first; of many others only such that begin or end
    as ``name`` does are compared.

    >>> nearest_ids("ann ", ["anna", "bob", "Ann"])
    ['Ann', 'anna']
    """
    wanted = _plain(name)
    if not wanted or len(wanted) > LONGEST:
        return []
    known = list(ids)
    same = list(islice((other for other in known if _plain(other) == wanted), MOST))
    if len(known) > CANDIDATES:
        first, last = wanted[:2], wanted[-2:]
        plain = ((other, _plain(other)) for other in known)
        alike = (other for other, text in plain if text.startswith(first) or text.endswith(last))
        known = list(islice(alike, CANDIDATES))
    short = {_plain(other): other for other in known if len(other) <= LONGEST}
    close = [short[text] for text in get_close_matches(wanted, short, MOST)]
    return [*same, *(other for other in close if other not in same)][:MOST]


def _plain(name: str) -> str:
    return name.strip().casefold()
