"""What a table keeps of the full one: the type that actions, tables and files share."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bet.actions.budget import Budget
from bet.errors import BetError

if TYPE_CHECKING:
    from torch import Tensor

_FIELDS = ("sizes", "bits", "mask")


@dataclass(frozen=True, eq=False)
class Allocation:
    """What is kept of every entity's row, by entity id, users first. One of three:

    * ``sizes`` (n,) int16: the first columns of every row;
    * ``sizes`` and ``bits`` (n,) int16: the same, at so many bits per number;
    * ``mask`` (n, copies * d_max) bool: any single numbers.

    ``last_copy``: ``sizes`` are those of the last of an entity's tables, the others have no rows.
    Raises BetError on arrays of another shape or type.
    """

    sizes: np.ndarray | None = None
    bits: np.ndarray | None = None
    mask: np.ndarray | None = None
    last_copy: bool = False

    def __post_init__(self):
        mask, sizes, bits = self.mask, self.sizes, self.bits
        if mask is not None:
            if sizes is not None or bits is not None or self.last_copy:
                raise BetError("an allocation has sizes or a mask, not both; give one of them")
            if mask.dtype != bool or mask.ndim != 2 or not len(mask):
                raise BetError(
                    "a mask must be bool of shape (entities, numbers of a row), got "
                    f"{mask.dtype} of shape {mask.shape}"
                )
            return
        if sizes is None or sizes.ndim != 1 or sizes.dtype != np.int16 or not len(sizes):
            got = "none" if sizes is None else f"shape {sizes.shape} of {sizes.dtype}"
            raise BetError(f"sizes must be one integer per entity, got {got}")
        if bits is not None and (bits.shape != sizes.shape or bits.dtype != np.int16):
            raise BetError(
                f"bits must be one integer for each of {len(sizes)} entities, got shape "
                f"{bits.shape} of {bits.dtype}"
            )

    @classmethod
    def from_sizes(cls, sizes: np.ndarray, bits: np.ndarray | None = None) -> "Allocation":
        """Prefixes of rows: ``sizes`` (n,) and, if rows differ in precision, ``bits`` (n,), of any
        integer type.

        >>> Allocation.from_sizes(np.array([3, 1, 2])).total
        6
        """
        return cls(_small(sizes), None if bits is None else _small(bits))

    @classmethod
    def from_mask(cls, mask: np.ndarray) -> "Allocation":
        """Single numbers: ``mask`` (n, copies * d_max) bool."""
        return cls(mask=mask)

    @classmethod
    def uniform(cls, n: int, size: int) -> "Allocation":
        """``size`` columns for each of ``n`` entities."""
        return cls(np.full(n, size, dtype=np.int16))

    def __len__(self) -> int:
        """Entities."""
        return len(self.sizes if self.mask is None else self.mask)  # type: ignore[arg-type]

    @property
    def columns(self) -> np.ndarray:
        """The sizes of an allocation that has sizes, (n,) int16; raises BetError for a mask."""
        if self.sizes is None:
            raise BetError("a mask of single numbers has no sizes; this needs prefixes of rows")
        return self.sizes

    @property
    def total(self) -> int:
        """What is compared with a budget: the sum of sizes, or the numbers in a mask."""
        numbers = self.columns if self.mask is None else self.mask
        return int(numbers.sum(dtype=np.int64))

    @property
    def digest(self) -> str:
        """sha256 of all that is kept."""
        content = hashlib.sha256()
        for name in _FIELDS:
            array = getattr(self, name)
            content.update(repr((name, None if array is None else array.shape)).encode())
            content.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        content.update(b"last copy" if self.last_copy else b"")
        return content.hexdigest()

    def check(self, budget: Budget) -> None:
        """Raise BetError if more is kept than ``budget`` allows, or a size is outside [d_min,
        d_max] or no multiple of step. Called wherever a table is made or reported.

        >>> Allocation.from_sizes(np.array([3, 1, 2])).check(Budget(total=6, n=3, d_max=4))
        >>> Allocation.from_sizes(np.array([3, 1, 3])).check(Budget(total=6, n=3, d_max=4))
        Traceback (most recent call last):
        bet.errors.BetError: sizes of 3 entities in [1, 3] sum to 7; allowed are 3 entities \
in [1, 4], multiples of 1 with a sum of at most 6
        """
        if self.last_copy:
            return replace(self, last_copy=False).check(budget.of_last_copy)
        if self.mask is not None:
            shape = (budget.n, budget.copies * budget.d_max)
            if self.mask.shape != shape or self.total > budget.parameters:
                raise BetError(
                    f"a mask of shape {self.mask.shape} keeps {self.total} numbers; allowed are "
                    f"{budget.parameters} of {shape}"
                )
            return
        sizes = self.columns
        low, high = int(sizes.min()), int(sizes.max())
        within = len(sizes) == budget.n and budget.d_min <= low and high <= budget.d_max
        if not within or self.total > budget.total or (sizes % budget.step).any():
            raise BetError(
                f"sizes of {len(sizes)} entities in [{low}, {high}] sum to {self.total}; allowed "
                f"are {budget.n} entities in [{budget.d_min}, {budget.d_max}], multiples of "
                f"{budget.step} with a sum of at most {budget.total}"
            )

    def reranked(self, before: np.ndarray, now: np.ndarray) -> "Allocation":
        """The same by rank: what the entity of every place in the order ``before`` (n,) keeps, the
        one in that place of ``now`` (n,) keeps.

        >>> allocation = Allocation.from_sizes(np.array([3, 1, 2]))  # entity 0, then 2, then 1
        >>> allocation.reranked(np.array([0, 2, 1]), np.array([1, 0, 2])).sizes
        array([2, 3, 1], dtype=int16)
        """
        rows = np.empty_like(before)
        rows[now] = before
        arrays = {name: getattr(self, name) for name in _FIELDS}
        kept = {name: array[rows] for name, array in arrays.items() if array is not None}
        return Allocation(**kept, last_copy=self.last_copy)

    def to_tensors(self) -> dict[str, "Tensor"]:
        """The arrays that are there, as tensors: what a checkpoint holds."""
        import torch  # here, so that actions need no torch

        arrays = {name: getattr(self, name) for name in _FIELDS}
        tensors = {
            name: torch.from_numpy(array) for name, array in arrays.items() if array is not None
        }
        return tensors | ({"last_copy": torch.tensor(True)} if self.last_copy else {})

    @classmethod
    def from_tensors(cls, tensors: "dict[str, Tensor]") -> "Allocation":
        """What ``to_tensors`` was made from."""
        arrays = {name: tensors[name].numpy() for name in _FIELDS if name in tensors}
        return cls(**arrays, last_copy="last_copy" in tensors)


def _small(numbers: np.ndarray) -> np.ndarray:
    """``numbers`` as int16, unless they are not whole ones."""
    numbers = np.asarray(numbers)
    return numbers.astype(np.int16) if np.issubdtype(numbers.dtype, np.integer) else numbers


def keep_largest(scores: np.ndarray, k: int) -> Allocation:
    """The allocation that keeps exactly ``k`` of the largest ``scores`` (n, copies * d_max); among
    equals, the first ones.

    >>> keep_largest(np.array([[0.1, 0.9], [0.5, 0.5]]), 2).mask
    array([[False,  True],
           [ True, False]])
    """
    flat = scores.ravel()
    k = min(k, flat.size)
    mask = np.zeros(flat.size, dtype=bool)
    if k:
        threshold = np.partition(flat, flat.size - k)[flat.size - k]
        mask[flat > threshold] = True
        equal = np.flatnonzero(flat == threshold)
        mask[equal[: k - int(mask.sum())]] = True
    return Allocation.from_mask(mask.reshape(scores.shape))
