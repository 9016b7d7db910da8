"""Items in a FAISS index; needs ``faiss-cpu``, the extra ``faiss``."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.files import atomic_path
from bet.recommend.vectors import InnerProductScorer

TRAINED = 100_000  # rows that a scalar quantizer learns its ranges from


def write_index(
    blocks: Iterator[tuple[int, np.ndarray]], scorer: InnerProductScorer, path: Path, kind: str
) -> Path:
    """Write an index by inner product over the rows of ``blocks``; its path.

    kind: ``flat``, the rows in float32; ``sq8`` and ``sq4``, rounded once more, to FAISS's own 8 or
    4 bits with a range per dimension. Raises BetError where FAISS is not installed.
    """
    if find_spec("faiss") is None:
        raise BetError("exporting to FAISS needs faiss-cpu; install it: pip install 'bet[faiss]'")
    import faiss

    d = scorer.profile_width
    if kind == "flat":
        index: faiss.Index = faiss.IndexFlatIP(d)
    else:
        quantizer = faiss.ScalarQuantizer
        bits = quantizer.QT_8bit if kind == "sq8" else quantizer.QT_4bit
        index = faiss.IndexScalarQuantizer(d, bits, faiss.METRIC_INNER_PRODUCT)
        step = -(-scorer.n_items // TRAINED)  # evenly over all of them
        index.train(scorer.item_vectors(np.arange(0, scorer.n_items, step)))
    for _, rows in blocks:
        index.add(np.ascontiguousarray(rows, dtype=np.float32))
    with atomic_path(path) as temporary:
        faiss.write_index(index, str(temporary))
    return path
