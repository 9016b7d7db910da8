"""What every table file gives its reader, whatever is stored in it: rows, by number or by id."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from bet.errors import BetError
from bet.packed.lookup import whole_numbers
from bet.packed.open_file import OpenFile
from bet.packed.safetensors_io import Container


class TableFile(OpenFile):
    """An open file: rows are read when they are looked up.

    The users' rows come first, then the items'; which user or item a row belongs to is known where
    the file holds ids or ``FILE.ids`` lies beside it.
    """

    copies: int  # tables that stand side by side: some backbones keep several rows per entity
    width: int  # numbers of the longest row, per copy

    def __init__(self, container: Container, n_items: int | None = None):
        """``n_items``: given by the caller for a file that does not state its number of items."""
        self.container, self._given_items = container, n_items

    def __len__(self) -> int:
        return self.n_users + self.n_items

    @property
    def details(self) -> str:
        """A line about the rows, for the byte report."""
        each = f", {self.copies} rows for each entity" if self.copies > 1 else ""
        return f"rows of {self._row_text()}{each}"

    @abstractmethod
    def _row_text(self) -> str:
        """What a row consists of, in words."""

    @abstractmethod
    def _read(self, numbers: np.ndarray) -> np.ndarray:
        """Existing rows ``numbers`` (k,) int64: (k, copies, width) float32."""

    def rows(self, numbers: np.ndarray | Sequence[int]) -> np.ndarray:
        """Rows ``numbers`` (k,), in the file's order: (k, copies, width) float32, zero beyond a
        row's size.

        Raises BetError for a row that does not exist.
        """
        numbers = whole_numbers(numbers, "rows")
        n = self.n_rows
        outside = (numbers < 0) if n is None else (numbers < 0) | (numbers >= n)
        if outside.any():
            last = "" if n is None else f" to {n - 1}"
            raise BetError(f"row {numbers[outside][0]} does not exist: the table has rows 0{last}")
        return self._read(numbers)

    def users(self, ids: Iterable[object]) -> np.ndarray:
        """Rows of users by your own ids: (k, copies, width) float32.

        Raises BetError for an unknown id, or when the table has no ids, inside or beside it.
        """
        return self.rows(self.user_rows(ids))

    def items(self, ids: Iterable[object]) -> np.ndarray:
        """Rows of items by your own ids, as ``users``."""
        return self.rows(self.item_rows(ids))

    def _check_given_items(self) -> None:
        """Raise BetError if the caller said another number of items than the file."""
        if self._given_items not in (None, self.n_items):
            raise BetError(
                f"{self.path}: has {self.n_items} items, not {self._given_items}; leave n_items out"
            )
