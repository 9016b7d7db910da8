"""What every file gives its reader, whatever is stored in it: whose rows it has, and what its bytes
are spent on.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from bet.errors import BetError, UnknownId
from bet.packed.byte_report import ByteReport
from bet.packed.ids import TENSORS, IdMap, ids_inside, ids_path, read_ids
from bet.packed.nearest import nearest_ids
from bet.packed.safetensors_io import Container


class OpenFile(ABC):
    """Users and items by number, users first; whose number is whose is known where the file holds
    ids or ``FILE.ids`` lies beside it.
    """

    kind: str  # of the file, in words
    container: Container
    n_users: int

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.container.path

    @property
    @abstractmethod
    def n_items(self) -> int:
        """Items that it knows."""

    @property
    def n_rows(self) -> int | None:
        """Users and items; None where it is unknown and the row of any number can be computed."""
        return self.n_users + self.n_items

    @property
    @abstractmethod
    def details(self) -> str:
        """What is in it, for the byte report: one line or several."""

    @abstractmethod
    def byte_report(self) -> ByteReport:
        """Bytes by part; their sum is the length of the file."""

    @property
    def ids(self) -> IdMap:
        """Which number is whose, from inside the file or beside it; raises BetError where there are
        no ids, or those of another file.
        """
        ids = self._ids_inside or self._ids_beside
        if ids is None:
            raise BetError(
                f"{self.path} has no ids, and there is no {ids_path(self.path).name} beside it; "
                "keep the two files together, look up by row, or write the table with ids (they "
                "count)"
            )
        users, items = len(ids.user_rows), len(ids.item_rows)
        if (users, items) != (self.n_users, self.n_items):
            raise BetError(
                f"{ids_path(self.path)}: ids of {users} users and {items} items for "
                f"{self.n_users} and {self.n_items} rows; save the table again"
            )
        return ids

    @property
    def has_ids(self) -> bool:
        """Whether there are ids, inside or beside; ``ids`` may refuse the latter."""
        return self._ids_inside is not None or ids_path(self.path).exists()

    def _containers(self) -> list[Container]:
        """Those that ids may be in: this file, and the one that holds it."""
        return [self.container, *([self.container.outer] if self.container.outer else [])]

    @cached_property
    def _ids_inside(self) -> IdMap | None:
        for container in self._containers():
            if TENSORS[0] in container.tensors:
                return ids_inside(container, self.n_users, self.n_items)
        return None

    @cached_property
    def _ids_beside(self) -> IdMap | None:
        return read_ids(self.path, (self.container.outer or self.container).checksum)

    def user_rows(self, ids: Iterable[object]) -> list[int]:
        """Rows of users by your ids; a number and its text are the same id.

        Raises UnknownId, a BetError, for an unknown id, which names the nearest ones, and BetError
        without ids.
        """
        return self._find(self.ids.user_rows, ids, "user")

    def item_rows(self, ids: Iterable[object]) -> list[int]:
        """Rows of items, from n_users on, as ``user_rows``."""
        return self._find(self.ids.item_rows, ids, "item")

    def _find(self, row_of: Mapping[str, int], ids: Iterable[object], side: str) -> list[int]:
        if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
            raise BetError(f"give a list of {side} ids, not {ids!r}")
        names = [str(name) for name in ids]
        try:
            return [row_of[name] for name in names]
        except KeyError as error:
            (name,) = error.args
            near = " or ".join(map(repr, nearest_ids(name, row_of)))
            raise UnknownId(
                f"{self.path}: unknown {side} {name!r}; the file has {len(row_of):,} {side}s"
                + (f", is it {near}?" if near else "")
            ) from error
