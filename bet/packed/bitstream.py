"""Whole numbers of any number of bits, one after the other without gaps, most significant bit
first.
"""

import numpy as np


def stream_bytes(k: int, bits: int) -> int:
    """Bytes of ``k`` numbers; only the last byte is filled up."""
    return -(-k * bits // 8)


def pack_stream(numbers: np.ndarray, bits: int) -> np.ndarray:
    """``numbers`` (k,) in [0, 2^bits), bits <= 16: (stream_bytes,) uint8."""
    places = np.arange(bits - 1, -1, -1, dtype=np.uint16)
    return np.packbits((numbers.astype(np.uint16)[:, None] >> places & 1).astype(np.uint8))


def unpack_stream(packed: np.ndarray, bits: int, k: int) -> np.ndarray:
    """The ``k`` numbers in ``packed``, (k,) uint16; raises ValueError unless these, and zeros, are
    all it has.
    """
    if len(packed) != stream_bytes(k, bits):
        raise ValueError(f"{len(packed)} bytes hold no {k} numbers of {bits} bits")
    found = np.unpackbits(packed)
    if found[k * bits :].any():
        raise ValueError("bits behind the last number are not zero")
    return found[: k * bits].reshape(k, bits) @ (1 << np.arange(bits - 1, -1, -1, dtype=np.uint16))
