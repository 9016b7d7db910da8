"""Least squares of the rows of one side against the other side's, by conjugate gradients.

Two ways to the same numbers up to rounding: compiled loops on CPUs where numba is installed, else
torch.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor

from bet.tables import CodebookTable

RowSolver = Callable[[Tensor, Tensor], None]
"""Moves rows ``x`` (m, w) float32 to their solutions for the other side's rows ``v`` (k, w)."""

PAD = 16  # columns; compiled loops read whole vector registers
NUMBERS = 2**24  # that torch gathers at once
_SLOTS = 8  # partial sums of a Gram matrix, whatever the number of threads
_ROWS = 512  # that a thread takes at a time


@dataclass(frozen=True, eq=False)
class Equations:
    """Of every row u: (w0 V'V + sum_i v_i v_i' + ridge_u I) x_u = sum_i v_i in its first
    ``sizes[u]`` columns, i its items in ``interactions`` (m, k), w0 the ``unobserved_weight``.

    ``sizes``, ``ridge``: (m,). ``steps`` of conjugate gradients. Rows without items are zero.
    """

    interactions: csr_array
    sizes: np.ndarray
    ridge: np.ndarray
    unobserved_weight: float
    steps: int


def pad_columns(rows: Tensor) -> Tensor:
    """A contiguous copy of ``rows`` (m, w) with zero columns up to a multiple of ``PAD``."""
    return F.pad(rows, (0, -rows.shape[1] % PAD)).contiguous()


def row_solver(equations: Equations, device: torch.device) -> RowSolver:
    """Solves ``equations`` for rows on ``device`` that ``pad_columns`` padded; the rows do not
    depend on the number of threads.

    One user of one column with both items, v = (1, 3): x = (1 + 3) / (1 + 9 + 1 + 0.5 * 10).

    >>> both = csr_array(np.array([[1, 1]]))
    >>> equations = Equations(both, np.array([1]), np.array([1.0]), 0.5, steps=1)
    >>> x, v = (pad_columns(torch.tensor(rows)) for rows in ([[0.0]], [[1.0], [3.0]]))
    >>> row_solver(equations, x.device)(x, v)
    >>> float(x[0, 0])
    0.25
    """
    if device.type != "cpu" or find_spec("numba") is None:
        return in_torch(equations, device)
    return compiled(equations)


def gram_matrix(v: Tensor) -> Tensor:
    """V'V (w, w) float64 of padded rows ``v`` (k, w)."""
    if v.device.type != "cpu" or find_spec("numba") is None:
        return (v.T @ v).double()
    return compiled_gram(v)


def compiled(equations: Equations) -> RowSolver:
    """By numba loops over as many threads as torch has."""
    from bet.training.als_kernels import System, solve_all

    matrix, sizes = equations.interactions, equations.sizes.astype(np.int64)
    indptr, items = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    ridge = equations.ridge.astype(np.float32)
    degrees = np.diff(indptr)
    # Neighbors have nearly the same size, and the rows that take longest come first.
    order = np.lexsort((-degrees, -sizes))
    order = order[(sizes[order] > 0) & (degrees[order] > 0)]
    tasks = np.split(order, range(_ROWS, len(order), _ROWS))

    def solve(x: Tensor, v: Tensor) -> None:
        gram = (compiled_gram(v) * equations.unobserved_weight).float().numpy()
        system = System(
            v.numpy(), gram, indptr, items, sizes=sizes, ridge=ridge, steps=equations.steps
        )
        rows = x.numpy()
        _in_threads(lambda task: solve_all(task, system, rows), tasks)
        rows[degrees == 0] = 0

    return solve


def compiled_gram(v: Tensor) -> Tensor:
    """V'V (w, w) float64 of ``v`` (k, w)."""
    from bet.training.als_kernels import add_gram

    rows, width = v.numpy(), v.shape[1]
    parts = np.empty((_SLOTS, width, width), dtype=np.float32)
    bounds = np.linspace(0, len(rows), _SLOTS + 1).astype(int)

    def work(slot: int) -> None:
        add_gram(rows, bounds[slot], bounds[slot + 1], parts[slot])

    _in_threads(work, range(_SLOTS))
    with np.errstate(invalid="ignore"):  # who asked sees that numbers are no longer finite
        upper = np.triu(parts.sum(0, dtype=np.float64))
    return torch.from_numpy(upper + np.triu(upper, 1).T)


def _in_threads(work: Callable[[Any], None], tasks: Iterable[Any]) -> None:
    """Do every task, on as many threads as torch has; a single one is this thread."""
    threads = torch.get_num_threads()
    if threads == 1:
        for task in tasks:
            work(task)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, tasks))


def in_torch(equations: Equations, device: torch.device) -> RowSolver:
    """By torch, a block of rows at a time."""

    def solve(x: Tensor, v: Tensor) -> None:
        for part, block in _blocks(equations, v):
            x[part] = _conjugate_gradients(
                block.product, x[part] * block.kept, equations.steps, partial(torch.sum, dim=1)
            )

    return solve


def solve_stored(equations: Equations, table: CodebookTable, part: slice, v: Tensor) -> None:
    """Move the stored rows of ``table``, which the entities in ``part`` share, towards those whose
    composed rows have the least squares for the other side's rows ``v`` (k, w).
    """
    blocks = list(_blocks(equations, v))

    def product(stored: Tensor, target: float) -> Tensor:
        """S'(A S stored - target * b): composing is the linear map S, its gradient S'."""
        with torch.enable_grad():
            composed = table.compose(stored.requires_grad_())[part]
        images = [block.product(composed.detach()[rows], target) for rows, block in blocks]
        return torch.autograd.grad(composed, stored, torch.cat(images))[0]

    stored = table.weight.detach().clone()
    with torch.no_grad():
        table.weight.copy_(
            _conjugate_gradients(product, stored, equations.steps, partial(torch.sum, dim=(0, 1)))
        )


def _blocks(equations: Equations, v: Tensor) -> Iterator[tuple[slice, "_Block"]]:
    """The equations for the other side's rows ``v``, as many rows at a time as gather ``NUMBERS``
    numbers, at least one.
    """
    matrix, device, width = equations.interactions, v.device, v.shape[1]
    indptr = matrix.indptr.astype(np.int64)
    items = torch.from_numpy(matrix.indices.astype(np.int64)).to(device)
    sizes = np.where(np.diff(indptr) > 0, equations.sizes, 0).astype(np.int64)
    columns = torch.from_numpy(sizes).to(device)[:, None]
    ridge = torch.from_numpy(equations.ridge.astype(np.float32)).to(device)[:, None]
    gram = equations.unobserved_weight * (v.T @ v)
    first, most = 0, max(1, NUMBERS // width)
    while first < len(sizes):
        last = int(np.searchsorted(indptr, indptr[first] + most, side="right")) - 1
        last = min(max(last, first + 1), first + most, len(sizes))
        part = slice(first, last)
        offsets = torch.from_numpy(indptr[first : last + 1] - indptr[first]).to(device)
        yield (
            part,
            _Block(
                v=v,
                gram=gram,
                items=items[indptr[first] : indptr[last]],
                offsets=offsets,
                rows=torch.repeat_interleave(offsets.diff()),
                ridge=ridge[part],
                kept=torch.arange(width, device=device) < columns[part],
            ),
        )
        first = last


@dataclass(frozen=True, eq=False)
class _Block:
    """The equations of m rows: ``items`` (k,) and the ``rows`` (k,) they are of, ``offsets``
    (m + 1,) into them, ``kept`` (m, w) bool.
    """

    v: Tensor
    gram: Tensor
    items: Tensor
    offsets: Tensor
    rows: Tensor
    ridge: Tensor
    kept: Tensor

    def product(self, z: Tensor, target: float) -> Tensor:
        """A z - target * b for all rows z (m, w)."""
        weights = (z[self.rows] * self.v[self.items]).sum(1) - target  # (k,)
        # Added up in the same order on a GPU, too, unlike by index_add.
        observed = F.embedding_bag(
            self.items,
            self.v,
            self.offsets,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )
        return (z @ self.gram + self.ridge * z + observed) * self.kept


def _conjugate_gradients(
    product: Callable[[Tensor, float], Tensor],
    z: Tensor,
    steps: int,
    total: Callable[..., Tensor],
) -> Tensor:
    """``steps`` from ``z`` (m, w), where ``product(z, t)`` is A z - t b. ``total`` adds up numbers
    of one system, with ``keepdim``: each row is one, or all together are.
    """
    residual = -product(z, 1.0)
    direction, squares = residual, total(residual.square(), keepdim=True)
    for _ in range(steps):
        image = product(direction, 0.0)
        curvature = total(direction * image, keepdim=True)
        unsolved = (curvature > 0) & (squares > 0)
        length = torch.where(unsolved, squares / curvature, 0.0)
        z, residual = z + length * direction, residual - length * image
        before, squares = squares, total(residual.square(), keepdim=True)
        direction = residual + torch.where(before > 0, squares / before, 0.0) * direction
    return z
