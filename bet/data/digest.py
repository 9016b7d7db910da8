"""How data are hashed: here and nowhere else."""

import hashlib

import numpy as np
from scipy.sparse import csr_array


def matrix_digest(matrix: csr_array, *ids: np.ndarray | None) -> str:
    """sha256 of the shape and the stored pairs of ``matrix`` CSR with sorted indices, and of the
    ``ids`` of its rows and columns.

    >>> eye = csr_array(np.eye(2, dtype=np.uint8))
    >>> matrix_digest(eye) == matrix_digest(eye.astype(np.int64)) != matrix_digest(eye[:1])
    True
    """
    digest = hashlib.sha256(repr(matrix.shape).encode())
    for part in (matrix.indptr, matrix.indices):
        digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes())
    for names in ids:
        digest.update(b"" if names is None else "\x00".join(map(str, names)).encode())
    return digest.hexdigest()
