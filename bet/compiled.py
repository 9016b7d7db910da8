"""Loops that numba compiles; modules of such loops are imported only where it is installed, and
whoever calls them has a slower road to the same numbers.
"""

from collections.abc import Callable

import numba


def compiled(loop: Callable) -> Callable:
    """``loop``, compiled when it is first called, once per machine where there is a place for that;
    rounded as it is written.
    """
    return _compiled(loop, fastmath=False)


def compiled_in_any_order(loop: Callable) -> Callable:
    """As ``compiled``, but sums may have any order; NaN and infinity stay what they are."""
    return _compiled(loop, fastmath={"reassoc", "contract", "nsz"})


def _compiled(loop: Callable, fastmath: bool | set[str]) -> Callable:
    options = {"fastmath": fastmath, "nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # neither beside this file nor in the user's folder
        return numba.njit(**options)(loop)
