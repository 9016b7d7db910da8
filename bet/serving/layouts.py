"""Which file serves a model, and how long it is: from shapes alone, before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from bet.backbones import (
    Backbone,
    BlendedRecommender,
    RankingRule,
    Recommender,
    normalized_adjacency,
)
from bet.data import FrequencyOrder
from bet.packed import (
    CodedInteractions,
    Ids,
    InteractionLayout,
    RecommenderLayout,
    code_interactions,
    id_layout,
    layout_of,
    most_table_bytes,
)
from bet.packed.safetensors_io import shapes_of
from bet.tables import VectorTable

Form = Literal[
    "vectors",
    "table",
    "table and interactions",
    "vectors and interactions",
    "interactions",
    "order",
]
"""What a file holds. Vectors: their inner products are the scores. Order: items by frequency."""

BLENDED_FACTS = ("user_exponent", "item_exponent", "weight")
LONG_FACT = 0.123456789  # takes as many digits as any exponent or weight that is tried


@dataclass(frozen=True)
class ServedFile:
    """A file that serves a model: what it holds, and where every byte is.

    ``is_table``: it is the table's own file, in which the scores' vectors stand.
    """

    form: Form
    layout: RecommenderLayout
    is_table: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes to serve: the length of the file."""
        if self.is_table and self.layout.table_bytes is not None:
            return self.layout.table_bytes
        return self.layout.file_bytes

    @property
    def interaction_bytes(self) -> int:
        """Bytes of the interactions in it."""
        return self.layout.interactions.n_bytes if self.layout.interactions else 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of the backbone's weights in it."""
        return self.layout.byte_report().weights

    def seen_bytes(self, interactions: csr_array, order: np.ndarray) -> int:
        """Bytes more with the items that every user has seen; 0 where the interactions are there
        already.
        """
        if self.layout.interactions:
            return 0
        seen = coded_in_order(interactions, order).layout
        return replace(self.layout, seen=seen).file_bytes - self.n_bytes

    def id_bytes(self, ids: Ids) -> int:
        """Bytes more with ``ids`` of users and items."""
        return replace(self.layout, ids=id_layout(ids)).file_bytes - self.n_bytes


def served_file(model: Recommender, interactions: csr_array) -> ServedFile:
    """The shortest file that gives the scores of ``model``, which was fitted to ``interactions``
    (|U|, |V|) binary CSR.
    """
    table, backbone, order = model.table, model.backbone, row_order(model, interactions)
    alone = RecommenderLayout(
        backbone=model.name,
        facts=model.facts,
        n_users=model.n_users,
        n_items=interactions.shape[1],
        table_bytes=table.n_bytes() or None,
        weights=shapes_of(stored_weights(model, order)),
    )
    if isinstance(table, VectorTable) and not isinstance(model, BlendedRecommender):
        return ServedFile("vectors", alone, is_table=True)
    if isinstance(backbone, RankingRule) and not backbone.reads_graph:
        return ServedFile("order", alone)
    coded = coded_in_order(interactions, order)
    if isinstance(backbone, RankingRule):
        return ServedFile("interactions", replace(alone, interactions=coded.layout))
    if isinstance(model, BlendedRecommender):
        whole = replace(alone, interactions=coded.layout)
        return ServedFile("vectors and interactions", whole)
    return shorter_file(alone, backbone, table().shape[1] // table.copies, coded.layout)


def shorter_file(
    alone: RecommenderLayout, backbone: Backbone, width: int, interactions: InteractionLayout
) -> ServedFile:
    """Of a model with a table of ``width`` columns per copy: ``alone``, the layout of table and
    weights, where the backbone reads no graph.

    A model whose vectors come out of the graph is stored as its table and the graph or as its final
    vectors in float32, whichever is shorter.
    """
    if not backbone.reads_graph:
        return ServedFile("vectors" if backbone.inner_product else "table", alone)
    whole = ServedFile("table and interactions", replace(alone, interactions=interactions))
    final_width = backbone.final_width(width, backbone.d_max)
    length = vector_bytes(alone.n_users, alone.n_users + alone.n_items, final_width)
    vectors = replace(alone, table_bytes=length, weights={})
    return min(
        ServedFile("vectors", vectors, is_table=True), whole, key=lambda file: file.n_bytes
    )


def vector_bytes(n_users: int, n: int, width: int) -> int:
    """Length of a file of ``n`` final vectors of ``width`` float32 numbers."""
    layout = layout_of(np.full(n, width), 32, n_users, by_rank=True)
    return replace(layout, file_kind="vectors").byte_report().total


def row_order(model: Recommender, interactions: csr_array) -> np.ndarray:
    """Entity id of every row of the file that serves ``model``, (n,), users first: the table's
    order where it is fixed, else by frequency, which codes interactions in the fewest bits.
    """
    fixed = model.table.fixed_order
    return FrequencyOrder.of(interactions).entities if fixed is None else fixed


def coded_in_order(interactions: csr_array, order: np.ndarray) -> CodedInteractions:
    """``interactions`` (|U|, |V|), users and items numbered by their places in ``order`` (n,),
    users first.
    """
    n_users, n_items = interactions.shape
    by_user = interactions[order[:n_users]]
    place = np.empty(n_items, dtype=np.int64)
    place[order[n_users:] - n_users] = np.arange(n_items)
    return code_interactions(by_user.indptr, place[by_user.indices], n_items)


def stored_weights(model: Recommender, order: np.ndarray) -> Mapping[str, np.ndarray]:
    """Arrays of the backbone itself that the file needs, by name; rows in ``order`` (n,)."""
    backbone, table = model.backbone, model.table
    if isinstance(backbone, RankingRule):
        return backbone.stored_in(order[model.n_users :] - model.n_users)
    if isinstance(table, VectorTable):
        return {}  # they have had their part in the vectors
    return _arrays(backbone.served_weights(table().shape[1] // table.copies))


def _arrays(weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: weight.detach().cpu().numpy() for name, weight in weights.items()}


def without_graph(backbone: type[Backbone], d_max: int) -> Backbone:
    """A backbone of which only the shapes of weights and the facts are of use."""
    return backbone(normalized_adjacency(csr_array(np.ones((1, 1)))), 1, d_max, torch.Generator())


def table_room(
    backbone: type[Backbone], d_max: int, coded: CodedInteractions, limit: int, *, blended: bool
) -> int:
    """Bytes that a table's file may have in a file of at most ``limit`` that serves it.

    The rest is for the interactions, ``coded`` in the order of the table's rows, if the backbone
    reads them or its scores are ``blended``, and for the backbone's weights, as for ``d_max``
    columns.
    """
    body = without_graph(backbone, d_max)
    layout = RecommenderLayout(
        backbone=backbone.name,
        facts=dict.fromkeys(BLENDED_FACTS, LONG_FACT) if blended else body.facts,
        n_users=coded.n_users,
        n_items=coded.n_items,
        interactions=coded.layout if blended or backbone.reads_graph else None,
        weights={} if blended else shapes_of(_arrays(body.served_weights(d_max))),
    )
    return most_table_bytes(layout, limit)
