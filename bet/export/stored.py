"""The packed rows of a file as they are: bytes and steps, kind by kind, without decoding them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bet.errors import BetError
from bet.packed import PackedFile, RecommenderFile, load
from bet.packed.lookup import byte_windows

SideName = Literal["users", "items"]
SCORED_AS_THEY_ARE = ("ials", "vectors")  # rows of these backbones, whatever the table's kind


@dataclass(frozen=True)
class StoredRows:
    """Rows of one side that have ``size`` numbers of ``bits`` each: ``content`` (m, bytes) uint8
    and ``steps`` (m,) float16, no steps above eight bits.

    ``numbers`` (m,) int64: which rows of the side they are, rising; None: from ``first`` on.
    """

    size: int
    bits: int
    first: int
    content: np.ndarray = field(repr=False)
    steps: np.ndarray = field(repr=False)
    numbers: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.content)


def open_packed(path: Path | str) -> PackedFile:
    """The packed rows of a file, or of the one inside a recommender.

    Raises BetError as ``bet.load``, where there are none, or several per entity, and for a
    recommender whose scores are not their inner products: a graph model or a blend.
    """
    opened = load(path)
    table = opened.table if isinstance(opened, RecommenderFile) else opened
    if not isinstance(table, PackedFile):
        has = "no rows" if table is None else f"{table.kind}"
        raise BetError(
            f"{path}: has {has}, and only packed rows can be kept packed; take 'bet export --to "
            "npy', or make a file of vectors"
        )
    if table.copies != 1:
        raise BetError(
            f"{path}: has {table.copies} rows for every entity, as NCF needs them; an embedding "
            "has one, make a file of vectors"
        )
    if isinstance(opened, RecommenderFile):
        _check_scored(opened, table)
    return table


def _check_scored(file: RecommenderFile, table: PackedFile) -> None:
    """Raise BetError unless the inner products of the rows are the scores of ``file``."""
    if file.backbone == "blend":
        raise BetError(
            f"{file.path}: its rows are only a part of what a blend scores by; serve it with "
            "bet.load"
        )
    if table.container.kind != "vectors" and file.backbone not in SCORED_AS_THEY_ARE:
        raise BetError(
            f"{file.path}: its rows are not what is scored, but what {file.backbone} makes vectors "
            "from; take 'bet export --to npy'"
        )


def stored_rows(table: PackedFile, side: SideName) -> list[StoredRows]:
    """The rows of a side of a table of one copy, by kind, in the order of their first rows.

    Two users' rows of two numbers, 32 bits each, are eight bytes:

    >>> layout = layout_of(np.array([2, 2, 1]), 32, n_users=2)
    >>> written = write_packed(folder / "t", layout, np.ones((3, 1, 2), np.float32))
    >>> rows, = stored_rows(open_packed(folder / "t"), "users")
    >>> rows.size, rows.bits, rows.content.shape
    (2, 32, (2, 8))
    """
    layout, number = table.layout, ("users", "items").index(side)
    if layout.kinds_by_id is not None or layout.rows_per_step > 1:
        return _by_id(table, number)
    content = table.container.tensors["rows"]
    steps = table.container.tensors.get("steps", np.zeros(0, np.float16))
    counts, k = layout.counts.ravel(), len(layout.kinds)
    lengths, has_step = np.tile(layout.kind_lengths, 2), np.tile(layout.kind_has_step, 2)
    first_bytes, first_steps = np.cumsum(counts * lengths), np.cumsum(counts * has_step)
    groups, first = [], 0
    for run in range(number * k, (number + 1) * k):
        count = int(counts[run])
        if count:
            end, step_end = int(first_bytes[run]), int(first_steps[run])
            part = content[end - count * int(lengths[run]) : end].reshape(count, -1)
            of_part = steps[step_end - count * int(has_step[run]) : step_end]
            size, bits = layout.kinds[run % k].tolist()
            groups.append(StoredRows(size, bits, first, content=part, steps=of_part))
        first += count
    return groups


def _by_id(table: PackedFile, number: int) -> list[StoredRows]:
    """As above, of rows in any order; takes 16 bytes for each."""
    layout, n_users = table.layout, table.n_users
    row_kinds = np.asarray(layout.kind_of_rows())
    ends = np.cumsum(layout.kind_lengths[row_kinds])
    has_step = layout.kind_has_step[row_kinds]
    step_numbers = (np.cumsum(has_step) - has_step) // layout.rows_per_step
    side = slice(0, n_users) if number == 0 else slice(n_users, layout.n)
    groups = []
    for kind, (size, bits) in enumerate(layout.kinds.tolist()):
        members = side.start + np.flatnonzero(row_kinds[side] == kind)
        if len(members):
            length = int(layout.kind_lengths[kind])
            content = byte_windows(table.container.tensors["rows"], ends[members] - length, length)
            steps = np.zeros(0, np.float16)
            if layout.kind_has_step[kind]:
                steps = table.container.tensors["steps"][step_numbers[members]]
            first, numbers = int(members[0]) - side.start, members - side.start
            in_order = int(members[-1] - members[0]) + 1 == len(members)
            rows = StoredRows(size, bits, first, content=content, steps=steps)
            groups.append(rows if in_order else replace(rows, numbers=numbers))
    return sorted(groups, key=lambda group: group.first)
