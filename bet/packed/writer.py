"""Write a table of ragged rows, at 1 to 32 bits per number, whole or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.byte_report import PackedBytes
from bet.packed.ids import Ids, id_layout, id_tensors
from bet.packed.layout import Layout
from bet.packed.levels import pack_rows
from bet.packed.safetensors_io import DTYPES, write_safetensors


def write_packed(
    path: Path, layout: Layout, values: np.ndarray, ids: Ids | None = None
) -> PackedBytes:
    """Write ``values`` (n, copies, width) float32, rows in the file's order, quantized as
    ``layout`` tells; returns the bytes by part.

    ids: of the users' and the items' rows, kept in the file as text. Raises BetError where a number
    is not finite. Three rows of 2, 1 and 0 numbers in full precision are 12 bytes:

    >>> layout = layout_of(np.array([2, 1, 0]), 32, n_users=2)
    >>> values = np.array([[[1, 2]], [[3, 0]], [[0, 0]]])
    >>> write_packed(folder / "table", layout, values)
    PackedBytes(header=288, kinds=9, steps=0, rows=12, ids=0)
    >>> load(folder / "table").rows([1, 0]).tolist()
    [[[3.0, 0.0]], [[1.0, 2.0]]]
    """
    row_kinds = layout.kind_of_rows()  # (n,)
    values = _checked(layout, row_kinds, values)
    if ids and tuple(map(len, ids)) != (layout.n_users, layout.n - layout.n_users):
        raise BetError(
            f"{len(ids[0])} user ids and {len(ids[1])} item ids for {layout.n_users} and "
            f"{layout.n - layout.n_users} rows"
        )
    layout = replace(layout, ids=id_layout(ids) if ids else ())
    row_steps = _steps(layout, row_kinds, values)  # (n,)
    tensors: dict[str, np.ndarray] = {
        "kinds": layout.kinds,
        "counts": layout.counts,
        "kind": row_kinds,
        "steps": row_steps[layout.kind_has_step[row_kinds]][:: layout.rows_per_step],
        "rows": _packed_rows(layout, row_kinds, values, row_steps),
        **(id_tensors(ids) if ids else {}),
    }
    typed = {
        name: np.ascontiguousarray(tensors[name], dtype=DTYPES[dtype])
        for name, (dtype, _) in layout.tensors.items()
    }
    write_safetensors(path, typed, layout.metadata)
    return layout.byte_report()


def _checked(layout: Layout, row_kinds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values`` as float32, 0 beyond a row's size; raises BetError unless they fill the layout and
    are finite.
    """
    if (
        values.ndim != 3
        or values.shape[:2] != (layout.n, layout.copies)
        or values.shape[2] < layout.width
    ):
        raise BetError(
            f"values of shape {values.shape} do not fill {layout.n} rows of {layout.copies} x "
            f"{layout.width} numbers"
        )
    inside = np.arange(values.shape[2]) < layout.kinds[row_kinds, 0][:, None]  # (n, width)
    # What is too large for the format ends as infinite, and is refused.
    with np.errstate(over="ignore"):
        values = np.where(inside[:, None], values, 0).astype(np.float32)
        halves = values[layout.kinds[row_kinds, 1] == 16].astype(np.float16)
    if not np.isfinite(values).all() or not np.isfinite(halves).all():
        raise BetError(
            "the table has numbers that are not finite, or too large for 16 bits; train it with a "
            "lower learning rate"
        )
    return values


def _packed_rows(
    layout: Layout, row_kinds: np.ndarray, values: np.ndarray, row_steps: np.ndarray
) -> np.ndarray:
    """The bytes of all rows, one after the other."""
    lengths = layout.kind_lengths[row_kinds]
    starts = np.cumsum(lengths) - lengths
    content = np.zeros(int(lengths.sum()), dtype=np.uint8)
    for number in np.flatnonzero((layout.counts.sum(0) > 0) & (layout.kinds[:, 0] > 0)):
        size, bits = layout.kinds[number].tolist()
        members = np.flatnonzero(row_kinds == number)  # (m,)
        by_column = values[members, :, :size].transpose(0, 2, 1)  # (m, size, copies)
        packed = _packed(by_column.reshape(len(members), -1), bits, row_steps[members])
        content[starts[members][:, None] + np.arange(packed.shape[1])] = packed
    return content


def _packed(flat: np.ndarray, bits: int, row_steps: np.ndarray) -> np.ndarray:
    """Rows ``flat`` (m, d) of steps ``row_steps`` (m,), as bytes."""
    if bits > 8:
        return np.ascontiguousarray(flat, dtype="<f4" if bits == 32 else "<f2").view(np.uint8)
    # Rounded with torch, as in training; a file without quantized rows needs no torch.
    from bet.packed.quantizer import as_tensor, quantize

    codes = quantize(as_tensor(flat), as_tensor(row_steps)[:, None], bits).numpy()
    return pack_rows(codes + 2.0 ** (bits - 1), bits)


def _steps(layout: Layout, row_kinds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The step of every row, (n,) float32; 0 for rows without. ``values`` are 0 beyond a row's
    size.
    """
    row_steps = np.zeros(layout.n, dtype=np.float32)
    with_step = np.flatnonzero(layout.kind_has_step[row_kinds])  # (m,)
    if not len(with_step):
        return row_steps
    from bet.packed.quantizer import as_tensor, step_sizes

    sizes, bits = layout.kinds[row_kinds[with_step]].T  # (m,) each
    squares = as_tensor(values[with_step]).square().sum((1, 2)).numpy()  # (m,)
    group = np.arange(len(with_step)) // layout.rows_per_step  # (m,), rows that share a step
    means = np.bincount(group, squares) / np.bincount(group, sizes * layout.copies)  # (groups,)
    of_group = bits[:: layout.rows_per_step]
    if (bits != of_group[group]).any():
        raise BetError(
            "rows that share a step must have the same bits; give every row its own step"
        )
    for precision in np.unique(of_group):
        chosen = bits == precision
        of_precision = step_sizes(as_tensor(means), int(precision)).numpy()
        row_steps[with_step[chosen]] = of_precision[group[chosen]]
    return row_steps
