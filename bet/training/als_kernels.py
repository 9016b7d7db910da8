"""Compiled loops of alternating least squares; imported only where numba is installed.

Arrays are float32 with a multiple of ``PAD`` columns, zero beyond a row's size, so that whole
vector registers have no remainder. Rows do not depend on what is solved beside them: the same
numbers with any number of threads.
"""

from typing import NamedTuple

import numpy as np

from bet.compiled import compiled_in_any_order

PAD = 16
GROUP = 16  # rows that are solved together: they share what is read of the Gram matrix
CHUNK = 256  # rows whose products are summed in float32 before they join a larger sum

ZERO = np.float32(0)
ONE = np.float32(1)


class System(NamedTuple):
    """Of the rows x_u of a side: (G + V_u' V_u + ridge_u I) x_u = V_u' 1 in the first sizes[u]
    columns, V_u the rows of ``v`` whose numbers are ``items[indptr[u] : indptr[u + 1]]``.

    ``v`` (k, w), ``gram``: G (w, w), symmetric, ``ridge`` (m,), all float32; ``items`` int32;
    ``indptr``, ``sizes`` int64. ``steps`` of conjugate gradients are made.
    """

    v: np.ndarray
    gram: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    sizes: np.ndarray
    ridge: np.ndarray
    steps: int


@compiled_in_any_order
def add_gram(v, first, last, out):
    """Write V'V of rows first..last of ``v`` (k, w) to the upper triangle of ``out`` (w, w)."""
    width = v.shape[1]
    out[:] = ZERO
    columns = np.zeros((width, CHUNK), np.float32)
    for start in range(first, last, CHUNK):
        count = min(CHUNK, last - start)
        for k in range(width):
            for n in range(CHUNK):
                columns[k, n] = v[start + n, k] if n < count else ZERO
        # Two columns by four at a time share their loads.
        for i in range(0, width, 2):
            for j in range(i // 4 * 4, width, 4):
                s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = ZERO
                for n in range(CHUNK):
                    p, q = columns[i, n], columns[i + 1, n]
                    a, b = columns[j, n], columns[j + 1, n]
                    c, d = columns[j + 2, n], columns[j + 3, n]
                    s0 += p * a
                    s1 += p * b
                    s2 += p * c
                    s3 += p * d
                    t0 += q * a
                    t1 += q * b
                    t2 += q * c
                    t3 += q * d
                out[i, j] += s0
                out[i, j + 1] += s1
                out[i, j + 2] += s2
                out[i, j + 3] += s3
                out[i + 1, j] += t0
                out[i + 1, j + 1] += t1
                out[i + 1, j + 2] += t2
                out[i + 1, j + 3] += t3


@compiled_in_any_order
def times_gram(z, gram, width, out):
    """Write z G to the first ``width`` columns of ``out``; ``z``, ``out``: (GROUP, w)."""
    for j in range(0, width, 4):
        for r in range(0, GROUP, 2):
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = ZERO
            for k in range(width):
                p, q = z[r, k], z[r + 1, k]
                a, b, c, d = gram[j, k], gram[j + 1, k], gram[j + 2, k], gram[j + 3, k]
                s0 += p * a
                s1 += p * b
                s2 += p * c
                s3 += p * d
                t0 += q * a
                t1 += q * b
                t2 += q * c
                t3 += q * d
            out[r, j], out[r, j + 1], out[r, j + 2], out[r, j + 3] = s0, s1, s2, s3
            out[r + 1, j], out[r + 1, j + 1] = t0, t1
            out[r + 1, j + 2], out[r + 1, j + 3] = t2, t3


@compiled_in_any_order
def add_interactions(z, v, items, target, out):
    """Add sum_i (z . v_i - target) v_i over ``items`` (k,) to ``out`` (d,); ``z`` (d,), d columns
    of ``v``.
    """
    width, target = len(z), np.float32(target)
    whole = len(items) // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = items[i], items[i + 1], items[i + 2], items[i + 3]
        s0 = s1 = s2 = s3 = ZERO
        for k in range(width):
            p = z[k]
            s0 += p * v[a, k]
            s1 += p * v[b, k]
            s2 += p * v[c, k]
            s3 += p * v[d, k]
        s0 -= target
        s1 -= target
        s2 -= target
        s3 -= target
        for k in range(width):
            out[k] += s0 * v[a, k] + s1 * v[b, k] + s2 * v[c, k] + s3 * v[d, k]
    for a in items[whole:]:
        s0 = ZERO
        for k in range(width):
            s0 += z[k] * v[a, k]
        s0 -= target
        for k in range(width):
            out[k] += s0 * v[a, k]


@compiled_in_any_order
def dot(a, b):
    """The inner product of two rows."""
    s = ZERO
    for k in range(len(a)):
        s += a[k] * b[k]
    return s


@compiled_in_any_order
def solve_rows(group, system, x):
    """Move the rows ``group`` (at most GROUP,) of ``x`` (m, w) towards their solutions."""
    v, sizes, ridge = system.v, system.sizes, system.ridge
    shape = (GROUP, v.shape[1])
    z, direction = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    residual, product = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    squares = np.zeros(GROUP, np.float32)
    width = 0
    for r, u in enumerate(group):
        width = max(width, sizes[u])
        z[r, : sizes[u]] = x[u, : sizes[u]]
    width = (width + PAD - 1) // PAD * PAD
    times_gram(z, system.gram, width, product)
    for r, u in enumerate(group):
        p, q = z[r, :width], product[r, :width]
        items = system.items[system.indptr[u] : system.indptr[u + 1]]
        for k in range(width):
            q[k] += ridge[u] * p[k]
        add_interactions(p, v, items, ONE, q)
        for k in range(sizes[u]):
            residual[r, k] = -q[k]
            direction[r, k] = -q[k]
        squares[r] = dot(residual[r], residual[r])
    for _ in range(system.steps):
        times_gram(direction, system.gram, width, product)
        for r, u in enumerate(group):
            p, q = direction[r, :width], product[r, :width]
            items = system.items[system.indptr[u] : system.indptr[u + 1]]
            for k in range(width):
                q[k] += ridge[u] * p[k]
            add_interactions(p, v, items, ZERO, q)
            curvature = dot(p, q)
            if curvature <= ZERO or squares[r] <= ZERO:  # solved
                continue
            length = squares[r] / curvature
            for k in range(sizes[u]):
                z[r, k] += length * p[k]
                residual[r, k] -= length * q[k]
            before = squares[r]
            squares[r] = dot(residual[r], residual[r])
            ratio = squares[r] / before
            for k in range(sizes[u]):
                p[k] = residual[r, k] + ratio * p[k]
    for r, u in enumerate(group):
        x[u, : sizes[u]] = z[r, : sizes[u]]


@compiled_in_any_order
def solve_all(rows, system, x):
    """``solve_rows`` for ``rows``, a group at a time."""
    for start in range(0, len(rows), GROUP):
        solve_rows(rows[start : start + GROUP], system, x)
