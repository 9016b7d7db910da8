"""Write vectors to a file as a plan says, block by block."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.pack.encode import Encoded, encode
from bet.pack.plan import Plan
from bet.pack.sources import Vectors
from bet.packed import IdLayout, PackedBytes
from bet.packed.levels import LARGEST_STEP
from bet.packed.streamed import StreamedFile, streamed_safetensors
from bet.progress import progress_bar


@dataclass(frozen=True)
class Side:
    """The vectors of one side, ``to_axes`` (d, columns) float32 that they are multiplied by, and
    the ``place`` (n,) of every row in the file, counted within the side; None: as they stand.
    """

    vectors: Vectors
    to_axes: np.ndarray | None = field(repr=False)
    place: np.ndarray | None = field(repr=False)

    def places_of(self, numbers: np.ndarray) -> np.ndarray:
        """The places of the rows ``numbers`` (m,) of their own file, (m,)."""
        return numbers if self.place is None else self.place[numbers]


def write_vectors(
    path: Path,
    plan: Plan,
    sides: tuple[Side, Side],
    ids: dict[str, np.ndarray] | None = None,
    *,
    progress: bool = False,
) -> PackedBytes:
    """Write the vectors of users and of items as ``plan`` says; the bytes by part.

    ids: tensors of ids to keep in the file. Raises BetError where a number is too large for its
    bits; nothing is left then.
    """
    ids = ids or {}
    id_layout: IdLayout = tuple((name, "U8", len(content)) for name, content in ids.items())
    layout = plan.layout(sides[0].vectors.n, sides[1].vectors.n, id_layout)
    # Rows stand side by side and, within a side, kind by kind.
    counts = layout.counts.ravel()
    lengths = np.tile(layout.kind_lengths, 2)
    has_step = np.tile(layout.kind_has_step, 2)
    runs = _Runs(
        counts.reshape(2, -1),
        lengths.reshape(2, -1),
        first_bytes=_starts(counts * lengths).reshape(2, -1),
        first_steps=_starts(counts * has_step).reshape(2, -1),
    )
    with streamed_safetensors(path, layout.tensors, layout.metadata) as file:
        file.mapped("kinds")[:] = layout.kinds
        file.mapped("counts")[:] = layout.counts
        for name, content in ids.items():
            file.mapped(name)[:] = content
        for number, side in enumerate(sides):
            _write_side(file, plan, side, runs.of(number), progress=progress)
    return layout.byte_report()


@dataclass(frozen=True)
class _Runs:
    """Rows of every kind of a side: how many, their bytes, and where the first row's bytes and its
    step stand; (k,) each, or (2, k) of both sides.
    """

    counts: np.ndarray
    lengths: np.ndarray
    first_bytes: np.ndarray
    first_steps: np.ndarray

    def of(self, side: int) -> "_Runs":
        """Those of one side."""
        return _Runs(
            self.counts[side], self.lengths[side], self.first_bytes[side], self.first_steps[side]
        )


def _starts(amounts: np.ndarray) -> np.ndarray:
    return np.cumsum(amounts) - amounts


def _write_side(file: StreamedFile, plan: Plan, side: Side, runs: _Runs, *, progress: bool) -> None:
    vectors, ends = side.vectors, np.cumsum(runs.counts)
    with progress_bar(label=f"pack {vectors.path.name}", total=vectors.n, shown=progress) as bar:
        for block in vectors.blocks():
            values = block.values if side.to_axes is None else block.values @ side.to_axes
            places = side.places_of(np.arange(block.first, block.first + len(values)))
            kinds = np.searchsorted(ends, places, side="right")
            rows, steps = file.mapped("rows"), file.mapped("steps")
            for kind, bits in enumerate(plan.bits):
                members = np.flatnonzero(kinds == kind)
                if not len(members):
                    continue
                encoded = encode(values[members], bits)
                _check(vectors, values[members], encoded, bits)
                count, length = int(runs.counts[kind]), int(runs.lengths[kind])
                into = places[members] - (ends[kind] - count)  # among the rows of this kind
                first = int(runs.first_bytes[kind])
                rows[first : first + count * length].reshape(count, length)[into] = encoded.content
                if encoded.steps is not None:
                    steps[int(runs.first_steps[kind]) + into] = encoded.steps
            bar.update(len(values))


def _check(vectors: Vectors, values: np.ndarray, encoded: Encoded, bits: int) -> None:
    """Raise BetError where what is stored of ``values`` is too large for its form."""
    fits = bits == 32
    if encoded.steps is not None:
        fits = bool(encoded.steps.max() < LARGEST_STEP)
    elif bits == 16:
        fits = bool(np.isfinite(encoded.content.view("<f2")).all())
    if not fits:
        raise BetError(
            f"{vectors.path}: numbers of up to {np.abs(values).max():g} are too large for {bits} "
            "bits; divide all vectors of this side by a number, which changes no ranking"
        )
