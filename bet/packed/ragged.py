"""A table of ragged rows, read: every row has its size and its precision."""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bet.arrays import check_form, count_values, parts
from bet.lazy_loops import LazyLoops
from bet.packed.byte_report import PackedBytes
from bet.packed.ids import stated_id_layout
from bet.packed.layout import BITS, MOST_KINDS, Layout
from bet.packed.levels import levels_of
from bet.packed.lookup import byte_windows
from bet.packed.safetensors_io import Container, refusing_malformed
from bet.packed.table_file import TableFile

if TYPE_CHECKING:
    from bet.packed.decode_kernels import Kinds

BLOCK = 32  # rows, by id, that share an entry of the index
LOOPS = LazyLoops(worth=2**20)  # rows
FEW = 1024  # rows of a look-up, which numpy reads as fast as a loop


@dataclass(frozen=True, eq=False)
class EqualRows:
    """``stored`` (m, bytes) uint8: rows of ``size`` numbers of ``bits`` each; ``steps`` (m,)
    uint16, the bits of float16.
    """

    size: int
    bits: int
    stored: np.ndarray
    steps: np.ndarray


class PackedFile(TableFile):
    """Rows of 1 to 32 bits per number; ``layout`` tells where each is, and whether they are ego
    embeddings or vectors whose inner products are the scores.

    Within a side rows stand by entity id or, where ``layout.kinds_by_id`` is None, by training
    frequency.
    """

    kind = "packed rows"

    def __init__(self, container: Container, n_items: int | None = None):
        super().__init__(container, n_items)
        with refusing_malformed(self.path):
            self.layout = _stated_layout(container)
            container.check_layout(self.layout.tensors, self.layout.metadata)
        if self.layout.file_kind == "vectors":
            self.kind = "vectors, whose inner products are the scores"
        self.n_users = self.layout.n_users
        self.copies = self.layout.copies
        self.width = self.layout.width
        self._steps = container.tensors.get("steps", np.frombuffer(b"", np.float16))
        self._check_given_items()

    @cached_property
    def n_items(self) -> int:
        return self.layout.n - self.layout.n_users

    def _row_text(self) -> str:
        sizes, bits = self.layout.kinds[self.layout.counts.sum(0) > 0].T
        precisions = " and ".join(map(str, sorted(set(bits.tolist()))))
        shortest = f"{sizes.min()} to " if sizes.min() < sizes.max() else ""
        return f"{shortest}{sizes.max()} numbers, {precisions} bits each"

    def byte_report(self) -> PackedBytes:
        return self.layout.byte_report()

    @cached_property
    def _runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """In rank order: first row, first byte and first step of every kind's rows of both sides,
        (2k,) each.
        """
        counts = self.layout.counts.ravel()
        amounts = (
            counts,
            counts * np.tile(self.layout.kind_lengths, 2),
            counts * np.tile(self.layout.kind_has_step, 2),
        )
        first, byte, step = (np.cumsum(amount) - amount for amount in amounts)
        return first, byte, step

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """By id: first byte and first step of every block of rows."""
        assert self.layout.kinds_by_id is not None
        starts = []
        for amount in (self.layout.kind_lengths, self.layout.kind_has_step.astype(np.int64)):
            # Parts are of whole blocks.
            sums = np.concatenate(
                [
                    np.add.reduceat(amount[part], np.arange(0, len(part), BLOCK))
                    for part in parts(self.layout.kinds_by_id)
                ]
            )
            starts.append(np.cumsum(sums) - sums)
        return starts[0], starts[1]

    def _read(self, numbers: np.ndarray) -> np.ndarray:
        # The loops read numbers as they stand in the file, which is little-endian.
        can_loop = len(numbers) >= FEW and sys.byteorder == "little"
        by_loop = can_loop and LOOPS.pay(len(numbers))
        flat = self._read_by_loop(numbers) if by_loop else self._read_by_precision(numbers)
        return flat.reshape(len(numbers), self.width, self.copies).transpose(0, 2, 1)

    @cached_property
    def _loop_kinds(self) -> "Kinds":
        """What the compiled loops know of the kinds."""
        from bet.packed.decode_kernels import Kinds

        layout = self.layout
        values, bits = (layout.kinds * [self.copies, 1]).T.copy()
        return Kinds(values, bits, layout.kind_lengths, layout.kind_has_step.astype(np.int64))

    def _read_by_loop(self, numbers: np.ndarray) -> np.ndarray:
        """Rows ``numbers`` (k,) by a compiled loop over them: (k, width * copies) float32."""
        from bet.packed import decode_kernels as loops

        layout, kinds = self.layout, self._loop_kinds
        places = loops.Places(*np.empty((3, len(numbers)), dtype=np.int64))
        if layout.kinds_by_id is None:
            runs = loops.Runs(*self._runs)
            loops.locate_in_runs(numbers, runs, kinds, layout.rows_per_step, places)
        else:
            by_id = loops.ById(layout.kinds_by_id, BLOCK, *self._blocks)
            loops.locate_by_id(numbers, by_id, kinds, layout.rows_per_step, places)
        flat = np.empty((len(numbers), self.width * self.copies), dtype=np.float32)
        stored, steps = self.container.tensors["rows"], self._steps.view(np.uint16)
        loops.decode_rows(places, kinds, stored, steps, flat)
        return flat

    def equal_rows(self, first_row: int) -> EqualRows | None:
        """Rows ``first_row`` to the last one as they are stored; None unless they are items of one
        kind, of at most eight bits, with a step each, on a machine that stores numbers as the file.
        """
        layout = self.layout
        kinds = np.flatnonzero(layout.counts[1])
        if first_row < self.n_users or len(kinds) != 1 or not layout.kind_has_step[kinds[0]]:
            return None
        if layout.rows_per_step != 1 or sys.byteorder != "little":
            return None
        _, byte, step = (int(part[0]) for part in self._locate(np.array([first_row])))
        m, length = len(self) - first_row, int(layout.kind_lengths[kinds[0]])
        stored = self.container.tensors["rows"][byte : byte + m * length].reshape(m, length)
        size, bits = layout.kinds[kinds[0]].tolist()
        return EqualRows(size, bits, stored, self._steps[step : step + m].view(np.uint16))

    def _locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kind, first byte (of all rows') and number of the step of rows ``numbers``, (k,) each."""
        layout, k = self.layout, len(self.layout.kinds)
        if layout.kinds_by_id is None:
            first, byte, step = self._runs
            # Of runs that start at the same row all but the last are empty.
            run = np.searchsorted(first, numbers, side="right") - 1
            row_kinds, into = run % k, numbers - first[run]
            byte, step = byte[run] + into * layout.kind_lengths[row_kinds], step[run] + into
        else:
            row_kinds, into = layout.kinds_by_id[numbers], numbers % BLOCK
            # The index has sums up to the block; rows of the block before this one are added.
            before = np.maximum(numbers[:, None] - into[:, None] + np.arange(BLOCK - 1), 0)
            others = layout.kinds_by_id[np.minimum(before, layout.n - 1)]  # (k, BLOCK - 1)
            inside = np.arange(BLOCK - 1) < into[:, None]
            byte, step = (start[numbers // BLOCK] for start in self._blocks)
            byte = byte + (layout.kind_lengths[others] * inside).sum(1)
            step = step + (layout.kind_has_step[others] & inside).sum(1)
        return row_kinds, byte, step // layout.rows_per_step

    def _read_by_precision(self, numbers: np.ndarray) -> np.ndarray:
        """As ``_read_by_loop``, by numpy over all rows of equal bits."""
        layout, copies, stored = self.layout, self.copies, self.container.tensors["rows"]
        out = np.zeros((len(numbers), self.width * copies), dtype=np.float32)
        row_kinds, starts, step_numbers = self._locate(numbers)  # (k,) each
        sizes, precisions = layout.kinds[row_kinds].T
        for bits in BITS:  # at most six rounds, whatever the number of rows
            chosen = np.flatnonzero((precisions == bits) & (sizes > 0))
            if not len(chosen):
                continue
            values = sizes[chosen] * copies
            longest = int(values.max())
            raw = byte_windows(stored, starts[chosen], (longest * bits + 7) // 8)
            if bits > 8:
                decoded = raw.view("<f4" if bits == 32 else "<f2").astype(np.float32)
            else:
                step = self._steps[step_numbers[chosen]].astype(np.float32)
                decoded = levels_of(raw, bits)[:, :longest]
                decoded *= step[:, None]
            if values.min() < longest:
                decoded[np.arange(longest) >= values[:, None]] = 0
            if decoded.shape == out.shape:
                return decoded
            out[chosen, :longest] = decoded
        return out


def _stated_layout(container: Container) -> Layout:
    """The layout that a file states; raises ValueError where its parts contradict each other."""
    facts, tensors = container.facts, container.tensors
    k = len(check_form(tensors["kinds"], (-1, 2)))
    if k > MOST_KINDS:
        raise ValueError(f"{k} kinds of rows, at most {MOST_KINDS} are listed")
    kinds = tensors["kinds"].astype(np.int64)
    n_users, n_items = int(facts["users"]), int(facts["items"])
    if facts["order"] == "rank":
        counts, kinds_by_id = check_form(tensors["counts"], (2, k)).astype(np.int64), None
    else:
        kinds_by_id = tensors["kind"]
        sides = kinds_by_id[: max(n_users, 0)], kinds_by_id[max(n_users, 0) :]
        counts = np.stack([count_values(side, k) for side in sides])
    if counts.sum(1).tolist() != [n_users, n_items]:
        raise ValueError(f"{counts.sum(1).tolist()} rows, announced are {[n_users, n_items]}")
    return Layout(
        kinds,
        counts,
        kinds_by_id=kinds_by_id,
        copies=int(facts["copies"]),
        rows_per_step=int(facts["rows_per_step"]),
        ids=stated_id_layout(container),
        file_kind=container.kind,
    )
