"""Files of hashed tables: entities share rows, so nothing is stored per entity and a file can be as
small as one likes.
"""

import zlib
from dataclasses import dataclass, fields

import numpy as np

from bet.errors import BetError, check_between
from bet.packed.byte_report import HashedBytes
from bet.packed.ids import ids_path
from bet.packed.safetensors_io import (
    Container,
    Shapes,
    file_bytes,
    header_bytes,
    metadata_for,
    refusing_malformed,
    tensor_bytes,
)
from bet.packed.table_file import TableFile

MOST_HASHES = 64  # of an entity, in a file that can be read
MOST_ENTITIES = 2**62  # of a side: both together have a length


@dataclass(frozen=True, kw_only=True)
class HashedLayout:
    """``rows`` token rows of ``size`` columns, of which ``user_rows`` are the users'; every entity
    is the sum of ``k`` of its side.

    ``weights``: scalars, of which ``k_weights`` are summed to scale the entity's row (MEM-REC); 0:
    none. ``seed``: of all hashes. The fields are what the file states, in this order.
    """

    size: int
    rows: int
    user_rows: int
    weights: int
    k: int
    k_weights: int
    n_users: int
    seed: int

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata entry of the file."""
        return metadata_for("hashed", vars(self))

    def tensors(self, copies: int) -> Shapes:
        """Name -> (dtype, shape) of everything in the file."""
        shapes = {"tokens": ("F32", (self.rows, copies * self.size))}
        if not self.weights:
            return shapes
        return {**shapes, "weights": ("F32", (self.weights,))}

    def file_bytes(self, copies: int) -> int:
        """Length of the file."""
        return file_bytes(self.tensors(copies), self.metadata)

    def places(self, entities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Token rows (m, k) and weights (m, k_weights) of ``entities`` (m,), computed from their
        numbers, users first; int64.

        With a row for each side there is nothing to choose:

        >>> layout = HashedLayout(size=4, rows=2, user_rows=1, weights=0, k=1, k_weights=0,
        ...                       n_users=2, seed=0)
        >>> layout.places(np.array([0, 1, 2]))[0].tolist()
        [[0], [0], [1]]
        """
        ids = entities.astype(np.uint64)
        user = (entities < self.n_users)[:, None]
        tokens = np.stack([_mix(ids, self.seed, "token", j) for j in range(self.k)], 1)
        of_users, of_items = max(1, self.user_rows), max(1, self.rows - self.user_rows)
        tokens = np.where(
            user, tokens % np.uint64(of_users), self.user_rows + tokens % np.uint64(of_items)
        )
        scales = np.zeros((len(ids), self.k_weights), dtype=np.int64)  # numbers of weights
        for j in range(self.k_weights):
            scales[:, j] = _mix(ids, self.seed, "weight", j) % np.uint64(max(1, self.weights))
        return tokens.astype(np.int64), scales


def _mix(ids: np.ndarray, seed: int, name: str, j: int) -> np.ndarray:
    """64 well-mixed bits of each of ``ids`` (m,) (the finalizer of MurmurHash3), another family for
    every name and j.
    """
    salt = zlib.crc32(f"{name} {j}".encode()) | (seed & 0xFFFFFFFF) << 32
    with np.errstate(over="ignore"):
        x = (ids + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(salt)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            x = (x ^ x >> np.uint64(33)) * np.uint64(factor)
        return x ^ x >> np.uint64(33)


class HashedFile(TableFile):
    """Rows computed from entity numbers, users first.

    The file does not say how many items there are: ``FILE.ids`` does, or the caller. Without
    either, the row of any number can be computed, but there is no ``len``.
    """

    kind = "hashed rows"

    def __init__(self, container: Container, n_items: int | None = None):
        super().__init__(container, n_items)
        if n_items is not None:
            check_between(f"{self.path}: n_items", n_items, 0, MOST_ENTITIES)
        with refusing_malformed(self.path):
            names = [entry.name for entry in fields(HashedLayout)]
            layout = HashedLayout(**{name: int(container.facts[name]) for name in names})
            self.copies = container.tensors["tokens"].shape[1] // max(1, layout.size)
            container.check_layout(layout.tensors(self.copies), layout.metadata)
            self._check_numbers(layout)
        self.layout, self.n_users, self.width = layout, layout.n_users, layout.size

    def _check_numbers(self, layout: HashedLayout) -> None:
        """Raise ValueError unless every hash finds a row, and there are few enough of them."""
        if not 1 <= layout.k <= MOST_HASHES or not 0 <= layout.k_weights <= MOST_HASHES:
            raise ValueError(f"{layout.k} and {layout.k_weights} hashes of an entity")
        if layout.size < 1 or self.copies < 1 or not 0 <= layout.user_rows < layout.rows:
            raise ValueError(f"{layout.user_rows} of {layout.rows} rows are the users'")
        if not 0 <= layout.n_users <= MOST_ENTITIES:
            raise ValueError(f"{layout.n_users} users")
        if bool(layout.weights) != bool(layout.k_weights):
            raise ValueError(f"{layout.n_users} users, {layout.weights} weights")

    @property
    def n_items(self) -> int:
        n_items = self._known_items()
        if n_items is None:
            raise BetError(
                f"{self.path}: a hashed table does not say how many items it has; keep "
                f"{ids_path(self.path).name} beside it, or give bet.load(path, n_items=...)"
            )
        return n_items

    def _known_items(self) -> int | None:
        if self._given_items is not None:
            return self._given_items
        return None if self._ids_beside is None else len(self._ids_beside.item_rows)

    @property
    def n_rows(self) -> int | None:
        n_items = self._known_items()
        return None if n_items is None else self.n_users + n_items

    def _row_text(self) -> str:
        layout = self.layout
        scaled = f", scaled by {layout.k_weights} of {layout.weights:,} weights"
        summed = f"{self.width} numbers, sums of {layout.k} of {layout.rows:,} shared rows"
        return summed + (scaled if layout.weights else "")

    def byte_report(self) -> HashedBytes:
        shapes = self.layout.tensors(self.copies)
        return HashedBytes(
            header_bytes(shapes, self.layout.metadata),
            shared_rows=tensor_bytes(shapes, "tokens"),
            weights=tensor_bytes(shapes, "weights"),
        )

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        tokens = self.container.tensors["tokens"]
        places, scales = self.layout.places(numbers)
        total = np.zeros((len(numbers), tokens.shape[1]), dtype=np.float32)
        # A file may hold numbers whose sum is infinite; that is what its rows are, then.
        with np.errstate(over="ignore", invalid="ignore"):
            for of_hash in places.T:  # (m,)
                total += tokens[of_hash]
            if self.layout.weights:
                total *= self.container.tensors["weights"][scales].sum(1, keepdims=True)
        return total.reshape(len(numbers), self.copies, self.width)
