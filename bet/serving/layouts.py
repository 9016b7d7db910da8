"""Which file serves a model, and how long it is: from shapes alone, before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
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
    RecommenderLayout,
    code_interactions,
    id_layout,
    most_table_bytes,
    vectors_layout,
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
"""What a file holds. Vectors: their inner products are the scores, GMF's after the weights of its
columns, which the file holds, too. Order: items by frequency."""

BLENDED_FACTS = ("user_exponent", "item_exponent", "weight")
LONG_FACT = 0.123456789  # takes as many digits as any exponent or weight that is tried


@dataclass(frozen=True, eq=False)
class ServedFile:
    """A file that serves a model: what it holds, and where every byte is.

    ``order`` (n,): entity id of every row, users first; ``coded``: the interactions in that order,
    whether the file holds them or not. ``is_table``: it is the table's own file, in which the
    scores' vectors stand.
    """

    form: Form
    layout: RecommenderLayout
    order: np.ndarray = field(repr=False)
    coded: CodedInteractions = field(repr=False)
    is_table: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes to serve: the length of the file."""
        if self.is_table and self.layout.table_bytes is not None:
            return self.layout.table_bytes
        return self.layout.file_bytes

    @property
    def seen_bytes(self) -> int:
        """Bytes more with the items that every user has seen; 0 where the interactions are there
        already.
        """
        if self.layout.interactions:
            return 0
        return replace(self.layout, seen=self.coded.layout).file_bytes - self.n_bytes

    def in_order(self, ids: Ids) -> Ids:
        """``ids`` of users and items, by number, in the order of the rows."""
        names, n_users = [*ids[0], *ids[1]], len(ids[0])
        by_row = [names[entity] for entity in self.order]
        return by_row[:n_users], by_row[n_users:]

    def id_bytes(self, ids: Ids) -> int:
        """Bytes more with ``ids`` of users and items."""
        return replace(self.layout, ids=id_layout(ids)).file_bytes - self.n_bytes


def served_file(model: Recommender, interactions: csr_array) -> ServedFile:
    """The shortest file that gives the scores of ``model``, which was fitted to ``interactions``
    (|U|, |V|) binary CSR.

    A model whose vectors come out of the graph is stored as its table and the graph or as its final
    vectors in float32, whichever is shorter.
    """
    table, backbone, order = model.table, model.backbone, row_order(model, interactions)
    coded = coded_in_order(interactions, order)
    alone = RecommenderLayout(
        backbone=model.name,
        facts=model.facts,
        n_users=model.n_users,
        n_items=interactions.shape[1],
        table_bytes=table.n_bytes() or None,
        weights=shapes_of(stored_weights(model, order)),
    )
    whole = replace(alone, interactions=coded.layout)
    file = partial(ServedFile, order=order, coded=coded)
    if isinstance(model, BlendedRecommender):
        return file("vectors and interactions", whole)
    if isinstance(backbone, RankingRule):
        return file("interactions", whole) if backbone.reads_graph else file("order", alone)
    if isinstance(table, VectorTable):
        return file("vectors", alone, is_table=True)
    if not backbone.reads_graph:
        return file("vectors" if backbone.inner_product else "table", alone)
    columns = backbone.final_width(table().shape[1] // table.copies, backbone.d_max)
    length = vectors_layout(table.n, columns, 32, model.n_users).byte_report().total
    vectors = replace(alone, table_bytes=length, weights={})
    both = file("vectors", vectors, is_table=True), file("table and interactions", whole)
    return min(both, key=lambda served: served.n_bytes)


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
    place = np.argsort(order[n_users:])  # of every item: the inverse of the order
    return code_interactions(by_user.indptr, place[by_user.indices], n_items)


def coded_by_frequency(interactions: csr_array) -> CodedInteractions:
    """``interactions`` (|U|, |V|) as in the file of a model fitted to them whose table is packed or
    whose rows may stand in any order.
    """
    return coded_in_order(interactions, FrequencyOrder.of(interactions).entities)


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


def table_room(
    backbone: type[Backbone], d_max: int, coded: CodedInteractions, limit: int, *, blended: bool
) -> int:
    """Bytes that a table's file may have in a file of at most ``limit`` that serves it.

    The rest is for the interactions, ``coded`` in the order of the table's rows, if the backbone
    reads them or its scores are ``blended``, and for the backbone's weights, as for ``d_max``
    columns.
    """
    graph = normalized_adjacency(csr_array(np.ones((1, 1))))  # shapes do not depend on it
    body = backbone(graph, 1, d_max, torch.Generator())
    layout = RecommenderLayout(
        backbone=backbone.name,
        facts=dict.fromkeys(BLENDED_FACTS, LONG_FACT) if blended else body.facts,
        n_users=coded.n_users,
        n_items=coded.n_items,
        interactions=coded.layout if blended or backbone.reads_graph else None,
        weights={} if blended else shapes_of(_arrays(body.served_weights(d_max))),
    )
    return most_table_bytes(layout, limit)
