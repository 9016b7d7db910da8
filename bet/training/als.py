"""Implicit-feedback alternating least squares (Hu et al., ICDM 2008), rounded as the file rounds,
with checkpoints that resume to the same numbers.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from bet.backbones import Recommender
from bet.data import matrix_digest
from bet.errors import BetError
from bet.tables import CodebookTable, MaskedTable
from bet.training.loop import Run, TrainResult, run_to_end
from bet.training.row_solver import (
    Equations,
    gram_matrix,
    pad_columns,
    row_solver,
    solve_stored,
)
from bet.training.settings import AlsSettings

USERS, ITEMS = 0, 1
MOST_RIDGE = 1e15
PAIRS = 2**16  # whose scores the loss takes at once


def train_als(
    model: Recommender,
    train: csr_array,
    settings: AlsSettings,
    *,
    seed: int,
    validate: Callable[[Recommender], float] | None = None,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainResult:
    """Fit the table of ``model``, whose rows' inner products are its scores, to ``train``
    (|U|, |V|) binary CSR, in place.

    The loss is sum over train of (1 - x_u . y_v)^2, plus w0 times the sum over all pairs of
    (x_u . y_v)^2, plus sum over rows of ridge_n |x_n|^2, ridge_n = l2 (|R_n| + w0 m)^nu for |R_n|
    interactions and m entities on the other side (Rendle et al., RecSys 2022). An epoch is a sweep
    over all items, then all users; users come first once at the start. A row solves its own first
    columns. From ``round_from`` of the sweeps on, and for the last users, a side is solved against
    what the file gives back of the other side; a table of codebooks always is.

    ``validate``, ``epochs`` and ``checkpoint`` as in ``train``. ``seed``: of the model's first
    numbers; a checkpoint of another is not used. Raises BetError for a table that least squares
    cannot fit, for data without interactions, and when numbers are no longer finite.
    """
    total = settings.sweeps if epochs is None else epochs
    table = model.table
    of_table = table.allocation.digest, table.description
    key = repr((asdict(settings), seed, total, matrix_digest(train), *of_table))
    kind = _StoredRun if isinstance(table, CodebookTable) else _RowsRun
    run = kind(model, train, settings, total)
    return run_to_end(run, key, settings, validate, checkpoint=checkpoint, progress=progress)


class _AlsRun(Run):
    """Half-sweeps: one side is solved, the other stays."""

    def __init__(self, model: Recommender, train: csr_array, settings: AlsSettings, total: int):
        super().__init__(model, total)
        table = model.table
        if not isinstance(table, MaskedTable | CodebookTable) or table.copies != 1:
            raise BetError(
                f"least squares cannot fit a {type(table).__name__} of {table.copies} copies, only "
                "prefixes of rows, packed rows and codebooks; take another method or backbone"
            )
        if not train.nnz:
            raise BetError(f"no interactions of {train.shape} users and items; give some")
        self.settings = settings
        self.parts = slice(0, model.n_users), slice(model.n_users, table.n)
        matrices = csr_array(train), csr_array(train.T.tocsr())  # of users, of items
        self.equations = [
            _equations(matrix, table.sizes[part], settings)
            for matrix, part in zip(matrices, self.parts, strict=True)
        ]

    def train_epoch(self, epoch: int) -> None:
        """Items, then users; before the first sweep users, too."""
        rounded = epoch >= self.settings.round_from * self.settings.sweeps
        if epoch == 0:
            self._solve(USERS, rounded)
        self._solve(ITEMS, rounded)
        self._solve(USERS, rounded or epoch + 1 == self.total)
        self._write()
        ends = epoch + 1 == self.total
        for side in (USERS, ITEMS):
            # Rounding takes as long as a check: only the last rows are checked as files have them.
            rows = self._read(side) if ends else self._unrounded(side)
            if not torch.isfinite(rows).all():
                raise BetError(
                    f"least squares diverged in sweep {epoch + 1}: rows are no longer finite with "
                    f"unobserved_weight {self.settings.unobserved_weight:g} and l2 "
                    f"{self.settings.l2:g}; lower unobserved_weight or init_std, or raise l2"
                )
        self.epoch = epoch + 1

    def _solve(self, side: int, rounded: bool) -> None:
        """Solve ``side`` against the other, as it is or ``rounded``."""
        raise NotImplementedError

    def _write(self) -> None:
        """Set the table's numbers, unless they are solved in place."""

    def _read(self, side: int) -> Tensor:
        """What the file gives back of ``side``: (m, width)."""
        return self.model.table.ego_rows(self.parts[side])

    def _unrounded(self, side: int) -> Tensor:
        """``side`` before rounding, where that is kept: (m, w)."""
        return self._read(side)

    def loss(self) -> float:
        """The loss of the rounded rows, by interaction."""
        rows = [self._read(side) for side in (USERS, ITEMS)]
        users, items = rows
        equations = self.equations[USERS]
        matrix = equations.interactions
        pairs = torch.from_numpy(np.stack(matrix.nonzero())).to(users.device)  # (2, nnz)
        missed = 0.0
        for u, v in pairs.split(PAIRS, dim=1):
            scores = (users[u] * items[v]).sum(1).cpu().numpy()
            missed += float(np.square(1 - scores, dtype=np.float64).sum())
        both = [gram_matrix(pad_columns(part)) for part in rows]
        missed += equations.unobserved_weight * float((both[0] * both[1]).sum())
        for part, side in zip(rows, self.equations, strict=True):
            missed += float(side.ridge @ part.square().sum(1).cpu().numpy())
        return missed / matrix.nnz


class _RowsRun(_AlsRun):
    """Rows are apart: each solves its own system. ``factors`` are those that are not rounded."""

    def __init__(self, model: Recommender, train: csr_array, settings: AlsSettings, total: int):
        super().__init__(model, train, settings, total)
        self.solvers = [row_solver(equations, model.device) for equations in self.equations]
        assert isinstance(model.table, MaskedTable)
        start = model.table.weight.detach()
        self.factors = [pad_columns(start[part]) for part in self.parts]

    def _solve(self, side: int, rounded: bool) -> None:
        other = self.factors[1 - side]
        if rounded:
            self._write(1 - side)
            other = pad_columns(self._read(1 - side))
        self.solvers[side](self.factors[side], other)

    def _write(self, *sides: int) -> None:
        table = self.model.table
        assert isinstance(table, MaskedTable)
        for side in sides or (USERS, ITEMS):
            table.set_rows(self.parts[side], self.factors[side][:, : table.width])

    def _unrounded(self, side: int) -> Tensor:
        return self.factors[side]

    def state_dict(self) -> dict:
        return super().state_dict() | {"factors": self.factors}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.factors = [rows.to(self.model.device) for rows in state["factors"]]


class _StoredRun(_AlsRun):
    """Entities share stored rows, which solve one system for a side, always against what the file
    gives back: codes do not follow, so rows must not drift away from them.
    """

    def _solve(self, side: int, rounded: bool) -> None:
        table = self.model.table
        assert isinstance(table, CodebookTable)
        solve_stored(self.equations[side], table, self.parts[side], self._read(1 - side))


def _equations(matrix: csr_array, sizes: np.ndarray, settings: AlsSettings) -> Equations:
    """Of the rows of one side, whose interactions are those of ``matrix`` (m, k)."""
    weight, degrees = settings.unobserved_weight, np.diff(matrix.indptr)
    terms = degrees + weight * matrix.shape[1]  # of the loss, by their weights
    with np.errstate(over="ignore"):  # is refused below
        ridge = settings.l2 * terms**settings.exponent
    # Squares of it must be numbers in float32, too.
    if not ridge.max(initial=0.0) < MOST_RIDGE or not weight < MOST_RIDGE:
        raise BetError(
            f"l2 {settings.l2:g} and exponent {settings.exponent:g} weigh a row by "
            f"{ridge.max(initial=0.0):g}, unobserved_weight is {weight:g}; at most "
            f"{MOST_RIDGE:g} can be computed with: lower them"
        )
    return Equations(matrix, sizes, ridge, weight, settings.cg_steps)
