"""Packed tables on disk: written whole or not at all, checked before they are used, looked up
without being loaded.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import save as serialize

from bet.errors import BetError
from bet.files import atomic_path
from bet.packed.layout import (
    BITS,
    KEY,
    READERS,
    VERSION,
    ByteReport,
    Layout,
    check_checksum,
    header_entries,
    with_checksum,
)
from bet.packed.quantizer import as_tensor, codes, levels, pack, steps

_DTYPE = {"F32": np.float32, "U32": np.uint32, "F16": np.float16, "U16": np.uint16, "U8": np.uint8}
BLOCK = 32  # rows, by id, that share an entry of the index
_SPOILT = "it is another kind of file, damaged or cut short; save the table again"
Ids = tuple[Sequence[object], Sequence[object]]
IdForm = tuple[tuple[str, str, int], ...]


def write_packed(
    path: Path, layout: Layout, values: np.ndarray, ids: Ids | None = None
) -> ByteReport:
    """Write ``values`` (n, copies, width) float32, rows in the file's order, quantized as
    ``layout`` says; what was written.

    ids: of the users' and the items' rows, kept in the file as text. Raises BetError where a number
    is not finite.
    """
    kind = layout.kind_of_rows()
    sizes = layout.kinds[kind, 0]
    if (
        values.ndim != 3
        or values.shape[:2] != (layout.n, layout.copies)
        or values.shape[2] < layout.width
    ):
        raise BetError(
            f"values of shape {values.shape} do not fill {layout.n} rows of {layout.copies} x {layout.width} numbers"
        )
    inside = np.arange(values.shape[2]) < sizes[:, None]
    with np.errstate(
        over="ignore"
    ):  # what is too large for the format ends as infinite, and is refused
        values = np.where(inside[:, None], values, 0).astype(np.float32)
        halves = values[layout.kinds[kind, 1] == 16].astype(np.float16)
    if not np.isfinite(values).all() or not np.isfinite(halves).all():
        raise BetError(
            "the table has numbers that are not finite, or too large for 16 bits; train it with a lower learning rate"
        )
    named = _id_tensors(ids) if ids else {}
    layout = replace(layout, ids=_form(named))
    if ids and tuple(map(len, ids)) != (layout.n_users, layout.n - layout.n_users):
        raise BetError(
            f"{len(ids[0])} user ids and {len(ids[1])} item ids for {layout.n_users} and {layout.n - layout.n_users} rows"
        )
    has_step = layout.kind_has_step[kind]
    row_steps = _steps(layout, kind, values)
    lengths = layout.kind_lengths[kind]
    starts = np.cumsum(lengths) - lengths
    rows = np.zeros(int(lengths.sum()), dtype=np.uint8)
    for number in np.flatnonzero((layout.counts.sum(0) > 0) & (layout.kinds[:, 0] > 0)):
        (size, bits), members = layout.kinds[number].tolist(), np.flatnonzero(kind == number)
        flat = (
            values[members, :, :size].transpose(0, 2, 1).reshape(len(members), -1)
        )  # (m, size * copies), column by column
        if bits == 32:
            packed = np.ascontiguousarray(flat, dtype="<f4").view(np.uint8)
        elif bits == 16:
            packed = np.ascontiguousarray(flat, dtype="<f2").view(np.uint8)
        else:
            own = as_tensor(row_steps[members])[:, None]
            packed = pack(codes(as_tensor(flat), own, bits).numpy() + 2.0 ** (bits - 1), bits)
        rows[starts[members][:, None] + np.arange(packed.shape[1])] = packed
    tensors: dict[str, np.ndarray] = {"kinds": layout.kinds, "rows": rows} | {
        name: array for name, (_, array) in named.items()
    }
    tensors |= {"counts": layout.counts} if layout.kind is None else {"kind": layout.kind}
    tensors["steps"] = row_steps[has_step][:: layout.rows_per_step]
    typed = {
        name: np.ascontiguousarray(tensors[name], dtype=_DTYPE[dtype])
        for name, (dtype, _) in layout.tensors.items()
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(with_checksum(serialize(typed, metadata=layout.metadata)))
    return layout.byte_report()


def _steps(layout: Layout, kind: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The step of every row, (n,) float32; 0 for rows without. ``values`` are 0 beyond a row's
    size.
    """
    found = np.zeros(layout.n, dtype=np.float32)
    with_step = np.flatnonzero(layout.kind_has_step[kind])
    if not len(with_step):
        return found
    sizes, bits = layout.kinds[kind[with_step]].T
    squares = as_tensor(values[with_step]).square().sum((1, 2)).numpy()
    group = np.arange(len(with_step)) // layout.rows_per_step
    means = (np.bincount(group, squares) / np.bincount(group, sizes * layout.copies)).astype(
        np.float32
    )
    of_group = bits[:: layout.rows_per_step]
    if (bits != of_group[group]).any():
        raise BetError(
            "rows that share a step must have the same bits; give every row its own step"
        )
    for precision in np.unique(of_group):
        own = bits == precision
        found[with_step[own]] = steps(as_tensor(means), int(precision)).numpy()[group[own]]
    return found


def id_form(ids: Ids) -> IdForm:
    """``Layout.ids`` of a file that holds ``ids``, of users and items; the order does not matter."""
    return _form(_id_tensors(ids))


def _form(named: dict[str, tuple[str, np.ndarray]]) -> IdForm:
    return tuple((name, dtype, len(array)) for name, (dtype, array) in named.items())


def _id_tensors(ids: Ids) -> dict[str, tuple[str, np.ndarray]]:
    """Ids as UTF-8 text one after the other, and where each ends."""
    for side in ids:
        counts = Counter(str(own) for own in side)
        if len(counts) < len(side):
            raise BetError(
                f"two ids are both {counts.most_common(1)[0][0]!r} as text; give different ones"
            )
    try:
        texts = [str(own).encode() for side in ids for own in side]
    except UnicodeEncodeError as error:
        raise BetError(f"an id cannot be written as UTF-8 ({error}); give another one") from error
    ends = np.cumsum([len(text) for text in texts], dtype=np.uint32)
    return {
        "id_ends": ("U32", ends),
        "id_text": ("U8", np.frombuffer(b"".join(texts), dtype=np.uint8)),
    }


class PackedTable:
    """A packed file, memory-mapped: rows are read when they are looked up.

    ``check``: read the file once and compare its checksum; without, only its form is checked, which
    is enough for a file that was checked before. Raises BetError when it is missing, of another
    version, damaged, cut short or too long.
    """

    def __init__(self, path: Path, check: bool = True):
        self.path = Path(path)
        try:
            self._bytes = np.asarray(np.memmap(self.path, dtype=np.uint8, mode="r"))
            length = int(self._bytes[:8].view("<u8")[0])
            header = json.loads(self._bytes[8 : 8 + length].tobytes())
            kind, *parts = header.pop("__metadata__")[KEY].split(";")
            facts = dict(part.partition("=")[::2] for part in parts)
            version = facts["version"]
        except OSError as error:
            raise BetError(f"{self.path}: cannot be read ({error}); check the path") from error
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise BetError(
                f"{self.path}: not a packed table ({error or type(error).__name__}); {_SPOILT}"
            ) from error
        if kind != "table":
            raise BetError(
                f"{self.path}: not a packed table; "
                + (f"read it with {READERS[kind]}" if kind in READERS else _SPOILT)
            )
        if version != str(VERSION):
            raise BetError(
                f"{self.path}: version {version} of the format, this package reads {VERSION}; save the table again"
            )
        if check:
            check_checksum(self.path, self._bytes.data)
        try:
            self.layout, self._data = (
                self._read(header, facts, 8 + length),
                8 + length + header["rows"]["data_offsets"][0],
            )
            if header != header_entries(self.layout.tensors):
                raise ValueError("its header is not that of its rows")
            if self.layout.byte_report().total != len(self._bytes):
                raise ValueError(
                    f"{len(self._bytes)} bytes, its parts are {self.layout.byte_report().total}"
                )
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, BetError) as error:
            raise BetError(f"{self.path}: not a packed table ({error}); {_SPOILT}") from error

    def _read(self, header: dict, facts: dict[str, str], start: int) -> Layout:
        arrays = {}
        for name, found in header.items():
            first, last = found["data_offsets"]
            array = self._bytes[start + first : start + last]
            if name != "rows":
                array = array.view(_DTYPE[found["dtype"]]).reshape(found["shape"])
            arrays[name] = array
        self._steps, self._arrays = arrays.get("steps", np.zeros(0, np.float16)), arrays
        kinds, n_users, n_items = (
            arrays["kinds"].astype(np.int64),
            int(facts["users"]),
            int(facts["items"]),
        )
        if facts["order"] == "rank":
            counts, kind = arrays["counts"].astype(np.int64), None
        else:
            kind = arrays["kind"]
            counts = np.stack(
                [
                    np.bincount(side, minlength=len(kinds))
                    for side in (kind[:n_users], kind[n_users:])
                ]
            )
        if counts.sum(1).tolist() != [n_users, n_items]:
            raise ValueError(f"{counts.sum(1).tolist()} rows, announced are {[n_users, n_items]}")
        ids = tuple(
            (name, header[name]["dtype"], header[name]["shape"][0])
            for name in ("id_ends", "id_text")
            if name in header
        )
        return Layout(kinds, counts, kind, int(facts["copies"]), int(facts["rows_per_step"]), ids)

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
        assert self.layout.kind is not None
        kind = np.asarray(self.layout.kind)
        starts = np.arange(0, len(kind), BLOCK)
        sums = [
            np.add.reduceat(own[kind], starts)
            for own in (self.layout.kind_lengths, self.layout.kind_has_step.astype(np.int64))
        ]
        byte, step = (np.cumsum(amount) - amount for amount in sums)
        return byte, step

    def _locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kind, first byte (of the file) and number of the step of rows ``numbers``, (k,) each."""
        layout, k = self.layout, len(self.layout.kinds)
        if layout.kind is None:
            first, byte, step = self._runs
            # Of runs that start at the same row all but the last are empty.
            run = np.searchsorted(first, numbers, side="right") - 1
            kind, into = run % k, numbers - first[run]
            byte, step = byte[run] + into * layout.kind_lengths[kind], step[run] + into
        else:
            kind, into = layout.kind[numbers], numbers % BLOCK
            before = np.maximum(numbers[:, None] - into[:, None] + np.arange(BLOCK - 1), 0)
            others = layout.kind[np.minimum(before, layout.n - 1)]  # (k, BLOCK - 1)
            inside = np.arange(BLOCK - 1) < into[:, None]
            byte, step = (start[numbers // BLOCK] for start in self._blocks)
            byte = byte + (layout.kind_lengths[others] * inside).sum(1)
            step = step + (layout.kind_has_step[others] & inside).sum(1)
        return kind, self._data + byte, step // layout.rows_per_step

    @property
    def n_users(self) -> int:
        return self.layout.n_users

    def byte_report(self) -> ByteReport:
        """What the file is made of; the total is its length."""
        return self.layout.byte_report()

    def rows(self, numbers: np.ndarray | Sequence[int]) -> np.ndarray:
        """Rows ``numbers`` (k,), in the file's order: (k, copies, width) float32, zero beyond a
        row's size.

        Users' rows come first; within a side rows stand by id or, where ``layout.kind`` is None, by
        rank: whoever wrote the file knows which row is whose. Raises BetError for a row that does
        not exist.
        """
        try:
            numbers = np.asarray(numbers)
        except ValueError as error:
            raise BetError(f"rows are looked up by a list of integers ({error})") from error
        if numbers.ndim != 1 or (len(numbers) and not np.issubdtype(numbers.dtype, np.integer)):
            raise BetError(
                f"rows are looked up by a list of integers, got {numbers.dtype} of shape {numbers.shape}"
            )
        numbers = numbers.astype(np.int64)
        layout, n = self.layout, self.layout.n
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= n):
            wrong = numbers[(numbers < 0) | (numbers >= n)][0]
            raise BetError(f"row {wrong} does not exist: the table has rows 0 to {n - 1}")
        width, copies = layout.width, layout.copies
        out = np.zeros((len(numbers), width * copies), dtype=np.float32)
        kind, starts, step_numbers = self._locate(numbers)
        sizes, precisions = layout.kinds[kind].T
        for bits in BITS:  # at most six rounds, whatever the number of rows
            chosen = np.flatnonzero((precisions == bits) & (sizes > 0))
            if not len(chosen):
                continue
            values = sizes[chosen] * copies
            longest = int(values.max())
            raw = self._windows(starts[chosen], (longest * bits + 7) // 8)
            if bits > 8:
                decoded = raw.view("<f4" if bits == 32 else "<f2").astype(np.float32)
            else:
                step = self._steps[step_numbers[chosen]].astype(np.float32)
                decoded = levels(bits).take(raw).view(np.float32)[:, :longest] * step[:, None]
            if values.min() < longest:
                decoded[np.arange(longest) >= values[:, None]] = 0
            out[chosen, :longest] = decoded
        return out.reshape(len(numbers), width, copies).transpose(0, 2, 1)

    def _windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """``length`` bytes from each of ``starts`` (k,) on, (k, length) uint8; what lies beyond the
        end of the file is zero.
        """
        last = len(self._bytes) - length
        # A window is copied at once, which is several times faster than byte by byte.
        if last >= 0 and starts.max() <= last:
            return np.lib.stride_tricks.sliding_window_view(self._bytes, length)[starts]
        places = starts[:, None] + np.arange(length)
        return np.where(
            places < len(self._bytes),
            self._bytes[np.minimum(places, len(self._bytes) - 1)],
            np.uint8(0),
        )

    @cached_property
    def _row_of(self) -> tuple[dict[str, int], dict[str, int]]:
        if "id_text" not in self._arrays:
            raise BetError(
                f"{self.path} has no ids; look up by row, or write it with ids (they count)"
            )
        ends, text = self._arrays["id_ends"].tolist(), self._arrays["id_text"].tobytes()
        names = [text[first:last].decode() for first, last in zip([0, *ends], ends, strict=False)]
        users = self.layout.n_users
        return {name: i for i, name in enumerate(names[:users])}, {
            name: users + i for i, name in enumerate(names[users:])
        }

    def users(self, ids: Sequence[object]) -> np.ndarray:
        """Rows of users by your own ids. Raises BetError for an unknown one, or when the file has
        no ids.
        """
        return self.rows(self._numbers(self._row_of[0], ids, "user"))

    def items(self, ids: Sequence[object]) -> np.ndarray:
        """Rows of items by your own ids. Raises BetError for an unknown one, or when the file has
        no ids.
        """
        return self.rows(self._numbers(self._row_of[1], ids, "item"))

    def _numbers(self, row_of: dict[str, int], ids: Sequence[object], side: str) -> list[int]:
        if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
            raise BetError(f"give a list of {side} ids, not {ids!r}")
        try:
            return [row_of[str(own)] for own in ids]
        except KeyError as error:
            raise BetError(
                f"{self.path}: unknown {side} {error}; the table has {len(row_of):,} {side}s"
            ) from error
