"""Rows in the form of torch's quantized embedding bags, ``torch.ops.quantized``: codes first, then
the scale and the lowest number of the row.

Nothing is rounded again: a row keeps its codes, and its step is the scale. Torch has 2, 4 and 8
bits; rows of fewer bits than the widest of the file take the middle codes of more. The lowest
number, at 2 and 4 bits a float16, is rounded to that.
"""

import numpy as np

from bet.errors import BetError
from bet.export.stored import SideName, StoredRows, stored_rows
from bet.packed import PackedFile
from bet.packed.levels import unpack_rows

ROWS = 2**16  # that are repacked at once


def torch_bits(table: PackedFile) -> int:
    """Bits of torch's rows for those of ``table``: 2, 4 or 8; raises BetError where it has none."""
    kinds = table.layout.kinds[table.layout.counts.sum(0) > 0]
    sizes, bits = kinds.T
    if bits.max() > 8 or sizes.min() < sizes.max() or not sizes.max():
        raise BetError(
            f"{table.path}: rows of {table.details.removeprefix('rows of ')}; torch's quantized "
            "rows have 2, 4 or 8 bits and one size, take '--to npy16', or pack with fewer bytes"
        )
    return max(2, int(bits.max()))


def rowwise(table: PackedFile, side: SideName) -> np.ndarray:
    """A side's rows, (n, bytes) uint8, for ``torch.ops.quantized.embedding_bag_BITS_rowwise_
    offsets`` with BITS ``2bit``, ``4bit`` or ``byte`` (``torch_bits``).

    The bags have as many numbers as fill whole bytes, of which the last ones mean nothing.

    A row of root mean square 3 has the step 3 * 0.0308, and the lowest of 256 levels is 127.5 steps
    below zero:

    >>> layout = layout_of(np.array([2]), 8, n_users=1)
    >>> written = write_packed(folder / "t", layout, np.array([[[3.0, -3.0]]], dtype=np.float32))
    >>> rows = rowwise(load(folder / "t"), "users")
    >>> rows.shape, rows[0, 2:].view("<f4").round(2)
    ((1, 10), array([  0.09, -11.78], dtype=float32))
    """
    bits = torch_bits(table)
    n = table.n_users if side == "users" else table.n_items
    number = "<f4" if bits == 8 else "<f2"
    tail = np.dtype([("scale", number), ("lowest", number)])
    n_codes = -(-table.width * bits // 8)
    out = np.empty((n, n_codes + tail.itemsize), dtype=np.uint8)
    for group in stored_rows(table, side):
        for first in range(0, len(group), ROWS):
            part = slice(first, first + ROWS)
            rows = _numbers(group)[part]
            steps = group.steps[part].astype(np.float32)
            ends = np.empty(len(steps), dtype=tail)
            ends["scale"], ends["lowest"] = steps, steps * np.float32(0.5 - 2 ** (bits - 1))
            out[rows, :n_codes] = _codes(group, part, bits)
            out[rows, n_codes:] = ends.view(np.uint8).reshape(len(steps), -1)
    return out


def _numbers(group: StoredRows) -> np.ndarray:
    if group.numbers is None:
        return np.arange(group.first, group.first + len(group))
    return group.numbers


def _codes(group: StoredRows, part: slice, bits: int) -> np.ndarray:
    """Codes of some rows at ``bits``, the first number in the lowest bits: (m, bytes) uint8."""
    codes = unpack_rows(group.content[part], group.bits)[:, : group.size]
    codes = codes + np.uint8(2 ** (bits - 1) - 2 ** (group.bits - 1))  # to the middle
    per_byte = 8 // bits
    filled = np.pad(codes, ((0, 0), (0, -group.size % per_byte)))
    packed = filled[:, ::per_byte].copy()
    for place in range(1, per_byte):
        packed |= filled[:, place::per_byte] << (bits * place)
    return packed
