"""The kinds of models that a file may hold, and the methods of ``bet.methods`` that train them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bet.backbones import NO_BACKBONE
from bet.methods.blend import blend, blend_vectors
from bet.methods.graph_filter import graph_filter
from bet.methods.popularity import popularity
from bet.methods.quantized import uniform_packed
from bet.methods.vectors import rounded_vectors
from bet.release.neighbors import NEIGHBORS, item_knn_of
from bet.search import MethodResult
from bet.serving.layouts import BLENDED_FACTS
from bet.training import AlsSettings, FitSettings, TrainSettings

ALS_FACTS = ("unobserved_weight", "l2", "exponent")  # a new user's vector follows from them
STEP_FACTS = ("learning_rate", "l2")
BPR_FACTS = ("layers", *STEP_FACTS)


@dataclass(frozen=True)
class Family:
    """Models of one kind. ``method`` takes a context and, where there is a choice, ``bits``.

    ``stored_as``: the backbone in the file; ``facts``: numbers that stand there. ``reads_graph``:
    scores need the interactions. ``columns`` at most. ``neighbors``: of every item.
    """

    name: str
    words: str
    method: Callable[..., MethodResult]
    stored_as: str
    facts: tuple[str, ...] = ()
    backbone: str = NO_BACKBONE
    bits: tuple[int, ...] = ()
    reads_graph: bool = False
    columns: int = 1
    neighbors: int = 0

    @property
    def has_table(self) -> bool:
        return self.backbone != NO_BACKBONE


POPULARITY = Family("popularity", "popularity", popularity, "popularity")
FILTER = Family(
    "filter",
    "graph filter",
    graph_filter,
    "graph-filter",
    facts=("user_exponent", "item_exponent"),
    reads_graph=True,
)
KNN = tuple(
    Family(
        "knn",
        f"{k} nearest items",
        partial(item_knn_of, neighbors=k),
        "item-knn",
        facts=("user_exponent", "item_exponent", "shrinkage", "neighbors"),
        reads_graph=True,
        neighbors=k,
    )
    for k in NEIGHBORS
)
ALS = Family(
    "ials",
    "iALS vectors",
    uniform_packed,
    "ials",
    facts=ALS_FACTS,
    backbone="ials",
    bits=(2, 4, 1, 8),
    columns=256,
)
VECTORS = Family(
    "lightgcn",
    "LightGCN vectors",
    rounded_vectors,
    "lightgcn",
    facts=BPR_FACTS,
    backbone="lightgcn",
    bits=(4, 2, 8, 1),
    columns=128,
)
ROWS = Family(
    "rows",
    "LightGCN rows and graph",
    uniform_packed,
    "lightgcn",
    facts=BPR_FACTS,
    backbone="lightgcn",
    bits=(2, 4, 1),
    reads_graph=True,
    columns=128,
)
BLEND = Family(
    "blend",
    "blend of graph filter and iALS vectors",
    blend,
    "blend",
    facts=(*BLENDED_FACTS, *ALS_FACTS),
    backbone="ials",
    reads_graph=True,
    columns=256,
)
GRAPH_BLEND = Family(
    "graph-blend",
    "blend of graph filter and LightGCN vectors",
    blend_vectors,
    "blend",
    facts=(*BLENDED_FACTS, *STEP_FACTS),
    backbone="lightgcn",
    bits=VECTORS.bits,
    reads_graph=True,
    columns=128,
)
FAMILIES = (POPULARITY, FILTER, *KNN, ALS, VECTORS, ROWS, BLEND, GRAPH_BLEND)
BLENDS = (BLEND, GRAPH_BLEND)
BY_GRADIENTS = (VECTORS, ROWS, GRAPH_BLEND)
FINAL_VECTORS = (VECTORS, GRAPH_BLEND)  # whose table holds what comes out of the graph


def training_facts(settings: FitSettings) -> dict[str, float]:
    """What the file keeps of a training, for new users and for a later refit."""
    if isinstance(settings, AlsSettings):
        return {name: getattr(settings, name) for name in ALS_FACTS}
    if isinstance(settings, TrainSettings):
        return {name: getattr(settings, name) for name in STEP_FACTS}
    return {}
