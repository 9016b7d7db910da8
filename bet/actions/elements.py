"""Exact masks of single numbers."""

import numpy as np


def keep_largest(scores: np.ndarray, k: int) -> np.ndarray:
    """A mask of the shape of ``scores`` that is True at exactly ``k`` of the largest; among equals,
    at the first ones.
    """
    flat = scores.ravel()
    k = min(k, flat.size)
    mask = np.zeros(flat.size, dtype=bool)
    if k:
        threshold = np.partition(flat, flat.size - k)[flat.size - k]
        mask[flat > threshold] = True
        equal = np.flatnonzero(flat == threshold)
        mask[equal[: k - int(mask.sum())]] = True
    return mask.reshape(scores.shape)
