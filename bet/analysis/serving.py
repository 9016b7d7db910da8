"""What a server must keep besides the table's file: a backbone that reads the graph needs the graph
too, or its final vectors.
"""

import numpy as np
import pandas as pd

from bet.backbones import BACKBONES

NUMBER, INDEX = 4, 4  # bytes of a float32 and of a uint32
GRAPH = "serve: table + graph"
VECTORS = "serve: final vectors"


def reads_graph(backbone: str) -> bool:
    """Whether representations come out of layers over the graph; otherwise the table is all they
    need.
    """
    return getattr(BACKBONES[backbone], "layers", 0) > 0


def serving_bytes(cells: pd.DataFrame) -> pd.DataFrame:
    """Bytes per entity of both ways to serve each of the finished ``cells``, columns ``GRAPH`` and
    ``VECTORS``; NaN: no graph.

    The graph is a CSR of item ids, users in rows: |U| + 1 row pointers and an id per edge.
    """
    graph = INDEX * (cells["edges"] + cells["users"] + 1)
    served = (cells["bytes"] + graph + NUMBER * cells["backbone_parameters"]) / cells["entities"]
    shapes = zip(cells["backbone"], cells["columns"], cells["d_max"], strict=True)
    vectors = [
        NUMBER * BACKBONES[backbone].final_width(int(width), int(d_max))
        for backbone, width, d_max in shapes
    ]
    frame = pd.DataFrame(
        {GRAPH: served, VECTORS: np.array(vectors, dtype=np.float64)}, index=cells.index
    )
    return frame.where(cells["backbone"].map(reads_graph).astype(bool), axis=0)


def explanation(cells: pd.DataFrame) -> str:
    """For a caption: what has to be stored to serve the finished ``cells``, and what is not known
    of them.
    """
    parts = []
    if any(map(reads_graph, cells["backbone"])):
        parts.append(
            "To serve LightGCN or NGCF, store either the table's file with the training graph (an "
            "item's number per edge and a pointer per user, uint32) and the backbone's own weights "
            "in float32, or the final vectors of all entities in float32: LightGCN's have the "
            "columns of the table's widest row, NGCF's those and the full table's once more for "
            "each layer."
        )
    for backbone, served in cells.groupby("backbone", sort=False):
        if not reads_graph(str(backbone)):
            weights = NUMBER * int(served["backbone_parameters"].iloc[0])
            each = weights / served["entities"].iloc[0]
            parts.append(
                f"{str(backbone).upper()} needs the table and its own weights, {weights:,} bytes "
                f"({each:.1f} per entity)."
            )
    if not cells["columns_known"].astype(bool).all():
        parts.append(
            "Older records do not hold the columns of the widest row: there they are the largest "
            "mean size of a frequency bin, rounded up."
        )
    return " ".join(parts)
