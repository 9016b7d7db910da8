"""Loops that numba compiles; modules of such loops are imported only where it is installed, and
whoever calls them has a slower road to the same numbers.
"""

from collections.abc import Callable
from functools import partial

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def compiled(loop: Callable) -> Callable:
    """``loop``, compiled when it is first called, once per machine where there is a place for that;
    rounded as it is written.
    """
    return _compiled(loop, fastmath=False)


def compiled_in_any_order(loop: Callable) -> Callable:
    """As ``compiled``, but sums may have any order; NaN and infinity stay what they are."""
    return _compiled(loop, fastmath={"reassoc", "contract", "nsz"})


def _compiled(loop: Callable, fastmath: bool | set[str]) -> Callable:
    compile_later = partial(numba.njit, fastmath=fastmath, nogil=True, error_model="numpy")
    try:
        return compile_later(cache=True)(loop)
    except RuntimeError:  # neither beside this file nor in the user's folder
        return compile_later()(loop)


def _prefetch(typing, array, index):
    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        # To be read, kept in all caches, of data.
        options = [number(0), number(3), number(1)]
        builder.call(
            builder.module.declare_intrinsic("llvm.prefetch", [byte], kind), [address, *options]
        )
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Callable[..., None] = intrinsic(_prefetch)
"""Asks the memory for ``array[index]`` before it is needed, in compiled loops; where there is no
such place nothing happens.
"""
