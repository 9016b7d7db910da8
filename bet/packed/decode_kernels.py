"""Compiled loops that find rows of a packed table and decode them; imported only where numba is
installed. The numbers are those of the numpy road in ``ragged``, bit by bit.

Nothing is checked here: rows exist, and the parts of the file fit together. Slices of one row keep
indices positive and arrays apart, so that the inner loops become vector instructions.
"""

from typing import NamedTuple

import numpy as np

from bet.compiled import compiled, prefetch

AHEAD = 8  # rows: a row comes from the memory while so many others are decoded


class Kinds(NamedTuple):
    """Of every kind of row, (k,) int64 each: ``values``: numbers over all copies; ``bits`` of each;
    ``lengths`` in bytes; ``steps``: 1 with a step, else 0.
    """

    values: np.ndarray
    bits: np.ndarray
    lengths: np.ndarray
    steps: np.ndarray


class Places(NamedTuple):
    """Of every row that is asked for, (m,) int64 each: number of its kind, first byte, number of
    its step.
    """

    kind: np.ndarray
    byte: np.ndarray
    step: np.ndarray


class Runs(NamedTuple):
    """Rows in rank order: first row, first byte and first step of every run of rows of a kind, (r,)
    int64.
    """

    row: np.ndarray
    byte: np.ndarray
    step: np.ndarray


class ById(NamedTuple):
    """Rows by id: ``kinds`` (n,) of the rows; of every block of ``length`` rows first byte and
    first step, int64.
    """

    kinds: np.ndarray
    length: int
    byte: np.ndarray
    step: np.ndarray


@compiled
def locate_in_runs(numbers, runs, kinds, rows_per_step, places):
    """Fill ``places`` of rows ``numbers`` (m,)."""
    for i in range(len(numbers)):
        number = numbers[i]
        # The last run that starts at or before the row, without a branch that nobody can foresee.
        run, left = 0, len(runs.row)
        while left > 1:
            half_way = left // 2
            run += half_way if runs.row[run + half_way] <= number else 0
            left -= half_way
        kind, into = run % len(kinds.bits), number - runs.row[run]
        places.kind[i] = kind
        places.byte[i] = runs.byte[run] + into * kinds.lengths[kind]
        # Of a kind without steps this is the number of another's step, or of none; it is not used.
        places.step[i] = (runs.step[run] + into) // rows_per_step


@compiled
def locate_by_id(numbers, rows, kinds, rows_per_step, places):
    """Fill ``places`` of rows ``numbers`` (m,); ``rows``: ``ById``."""
    for i in range(len(numbers)):
        number = numbers[i]
        block = number // rows.length
        byte, step = rows.byte[block], rows.step[block]
        for kind in rows.kinds[block * rows.length : number]:
            byte += kinds.lengths[kind]
            step += kinds.steps[kind]
        places.kind[i] = rows.kinds[number]
        places.byte[i] = byte
        places.step[i] = step // rows_per_step


@compiled
def half(x):
    """The number whose float16 is ``x``, uint32; without a multiplication of denormals, which may
    be off.
    """
    magnitude, exponent = x & np.uint32(0x7FFF), x & np.uint32(0x7C00)
    small = np.float32(np.float32(magnitude) * np.float32(2.0**-24)).view(np.uint32)
    normal = (magnitude << np.uint32(13)) + np.uint32(112 << 23)
    not_finite = normal + np.uint32(112 << 23)
    if exponent == 0:
        found = small
    elif exponent == 0x7C00:
        found = not_finite
    else:
        found = normal
    return np.uint32(found | (x & np.uint32(0x8000)) << np.uint32(16)).view(np.float32)


@compiled
def decode_bits(stored, step, row):
    """Eight numbers a byte."""
    level = np.float32(0.5)
    for j in range(len(row) // 8):
        x = stored[j]
        for t in range(8):
            row[8 * j + t] = (np.float32(x >> (7 - t) & 1) - level) * step
    for j in range(len(row) // 8 * 8, len(row)):
        row[j] = (np.float32(stored[j // 8] >> (7 - j % 8) & 1) - level) * step


@compiled
def decode_pairs_of_bits(stored, step, row):
    """Four numbers a byte."""
    level = np.float32(1.5)
    for j in range(len(row) // 4):
        x = stored[j]
        row[4 * j] = (np.float32(x >> 6) - level) * step
        row[4 * j + 1] = (np.float32(x >> 4 & 3) - level) * step
        row[4 * j + 2] = (np.float32(x >> 2 & 3) - level) * step
        row[4 * j + 3] = (np.float32(x & 3) - level) * step
    for j in range(len(row) // 4 * 4, len(row)):
        row[j] = (np.float32(stored[j // 4] >> (6 - 2 * (j % 4)) & 3) - level) * step


@compiled
def decode_half_bytes(stored, step, row):
    """Two numbers a byte."""
    level = np.float32(7.5)
    for j in range(len(row) // 2):
        x = stored[j]
        row[2 * j] = (np.float32(x >> 4) - level) * step
        row[2 * j + 1] = (np.float32(x & 15) - level) * step
    if len(row) % 2:
        row[len(row) - 1] = (np.float32(stored[len(row) // 2] >> 4) - level) * step


@compiled
def decode_rows(places, kinds, stored, steps, out):
    """Write the rows at ``places`` to ``out`` (m, w) float32, zero beyond their values.

    stored (bytes,) uint8 and steps (s,) uint16: as in the file, the bits of float16.
    """
    for i in range(len(out)):
        later = min(i + AHEAD, len(out) - 1)
        prefetch(stored, places.byte[later])
        prefetch(steps, places.step[later])
        kind = places.kind[i]
        count, bits, first = kinds.values[kind], kinds.bits[kind], places.byte[i]
        source = stored[first : first + kinds.lengths[kind]]
        row = out[i, :count]
        step = np.float32(0)
        if kinds.steps[kind]:
            step = half(np.uint32(steps[places.step[i]]))
        if bits == 1:
            decode_bits(source, step, row)
        elif bits == 2:
            decode_pairs_of_bits(source, step, row)
        elif bits == 4:
            decode_half_bytes(source, step, row)
        elif bits == 8:
            for j in range(count):
                row[j] = (np.float32(source[j]) - np.float32(127.5)) * step
        elif bits == 16:
            for j in range(count):
                low, high = np.uint32(source[2 * j]), np.uint32(source[2 * j + 1])
                row[j] = half(np.uint32(low | high << np.uint32(8)))
        else:
            as_bytes = row.view(np.uint8)
            for j in range(4 * count):
                as_bytes[j] = source[j]
        out[i, count:] = np.float32(0)
