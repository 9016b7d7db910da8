"""Loops that numba compiles; modules of such loops are imported only where it is installed, and
whoever calls them has a slower road to the same numbers.

Every x86-64 processor of level v3 (AVX2 and FMA; since about 2013) gets the same instructions: sums
in any order then have one order, and numbers do not depend on how wide its registers are.
"""

import platform
from collections.abc import Callable
from functools import partial

import numba
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

LEVEL = "x86-64-v3"
NEEDED = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")  # what v3 adds


def _compile_for_level() -> None:
    """Fix the target of this process's loops, unless NUMBA_CPU_NAME does; no effect on loops that
    were compiled before.
    """
    target = vars(numba.config)
    if target["CPU_NAME"] is None and platform.machine().lower() in ("x86_64", "amd64"):
        features = binding.get_host_cpu_features()
        if all(features.get(name) for name in NEEDED):
            target.update(CPU_NAME=LEVEL, CPU_FEATURES="")  # none that the host has besides


_compile_for_level()


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
