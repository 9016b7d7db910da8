"""The file that serves a model: its length is what is counted, and its scores, computed again from
the file alone by plain numpy, are the model's.
"""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from bet.actions import bounds_serving, parse_bytes
from bet.backbones import BACKBONES
from bet.data import planted
from bet.errors import BetError
from bet.methods import METHODS
from bet.packed import load
from bet.packed.table_file import TableFile
from bet.serving import coded_in_order, row_order, served_file, table_room, write_served
from bet.study.cell import Cell
from bet.study.output import ids_of
from bet.study.setup import cell_budget

LIMIT = 5_000  # bytes of a table of 210 entities
CASES = [
    ("lightgcn", "full", "none"),
    ("lightgcn", "su", "80%"),
    ("lightgcn", "sr", "80%"),
    ("lightgcn", "magnitude", "80%"),
    ("lightgcn", "uniform-int2", LIMIT),
    ("lightgcn", "vectors-int4", LIMIT),
    ("lightgcn", "hash", LIMIT),
    ("lightgcn", "pq", LIMIT),
    ("ngcf", "sr", "80%"),
    ("ngcf", "vectors-int2", LIMIT),
    ("ncf", "sr", "80%"),
    ("ncf", "uniform-int4", LIMIT),
    ("lightgcn", "blend", LIMIT),
    ("none", "popularity", "none"),
    ("none", "graph-filter", "none"),
    ("none", "item-knn", "none"),
    ("none", "ease", "none"),
    ("gmf", "sr", "80%"),
]


@pytest.fixture
def fitted(make):
    """Call with a backbone, a method and a budget: the trained model."""

    def fit(backbone, method, budget):
        in_bytes = isinstance(budget, int)
        context = make(backbone, "none" if in_bytes else budget, budget if in_bytes else None)
        return METHODS[method](context).trained.model

    return fit


def dense(lists, n_items):
    indptr, indices = lists.all()
    ones = np.ones(len(indices))
    return csr_array((ones, indices, indptr), shape=(len(indptr) - 1, n_items)).toarray()


def normalized(matrix):
    """D^-1/2 A D^-1/2 of users and items, dense."""
    users, items = matrix.shape
    adjacency = np.block([[np.zeros((users, users)), matrix], [matrix.T, np.zeros((items, items))]])
    degrees = adjacency.sum(1)
    inverse = np.divide(1, np.sqrt(degrees), where=degrees > 0, out=np.zeros_like(degrees))
    return inverse[:, None] * adjacency * inverse


def rescored(file):
    """Scores (|U|, |V|) from nothing but an open file, in its numbering."""
    if isinstance(file, TableFile):
        assert file.container.kind == "vectors"
        rows = file.rows(np.arange(len(file)))[:, 0].astype(np.float64)
        return rows[: file.n_users] @ rows[file.n_users :].T
    n_users, weights = file.n_users, {name: w.astype(float) for name, w in file.weights.items()}
    if file.backbone == "popularity":  # items are numbered by it
        return np.tile(-np.arange(file.n_items, dtype=float), (n_users, 1))
    if file.backbone in ("graph-filter", "item-knn", "ease", "blend"):
        return by_rule(file, weights)
    rows = file.table.rows(np.arange(len(file.table))).astype(np.float64)  # (n, copies, width)
    if file.backbone == "ncf":
        mlp, gmf = rows[:, 0], rows[:, 1]
        users, items = mlp[:n_users] @ weights["w_user"].T, mlp[n_users:] @ weights["w_item"].T
        hidden = np.maximum(users[:, None] + items[None] + weights["bias"], 0)
        return hidden @ weights["a"] + (gmf[:n_users] * weights["c"]) @ gmf[n_users:].T
    if file.backbone == "gmf":
        return (rows[:n_users, 0] * weights["c"]) @ rows[n_users:, 0].T
    adjacency, x = normalized(dense(file.interactions, file.n_items)), rows[:, 0]
    if file.backbone == "lightgcn":
        layers = [x]
        for _ in range(file.facts["layers"]):
            layers.append(adjacency @ layers[-1])
        vectors = np.mean(layers, axis=0)
    else:
        outputs = [x]
        for layer in range(file.facts["layers"]):
            near = adjacency @ x
            message = (near + x) @ weights[f"w_sum_{layer}"]
            message += (near * x) @ weights[f"w_product_{layer}"] + weights["bias"][layer]
            x = np.where(message > 0, message, 0.2 * message)
            outputs.append(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
        vectors = np.concatenate(outputs, axis=1)
    return vectors[:n_users] @ vectors[n_users:].T


def by_rule(file, weights):
    known = dense(file.interactions, file.n_items)
    if file.backbone == "ease":
        return known @ weights["weights"]
    if file.backbone == "item-knn":
        similar = np.zeros((file.n_items, file.n_items))
        items = np.arange(file.n_items)[:, None]
        np.add.at(similar, (items, file.weights["neighbors"].astype(int)), weights["weights"])
        return known @ similar.T
    of_users = known.sum(1) ** -(2 * file.facts["user_exponent"])
    of_items = np.maximum(known.sum(0), 1) ** -file.facts["item_exponent"]
    filtered = (known * of_items) @ (known.T * of_users) @ known * of_items
    if file.backbone == "graph-filter":
        return filtered
    rows = file.table.rows(np.arange(len(file.table)))[:, 0].astype(float)
    of_vectors = rows[: file.n_users] @ rows[file.n_users :].T
    return standardized(filtered) + file.facts["weight"] * standardized(of_vectors)


def standardized(scores):
    return (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)


@pytest.mark.parametrize(("backbone", "method", "budget"), CASES)
def test_a_file_gives_the_scores_of_its_model(fitted, split, tmp_path, backbone, method, budget):
    model, train = fitted(backbone, method, budget), split.train
    path, order = tmp_path / "served", row_order(model, train)
    file = write_served(path, model, train)
    assert path.stat().st_size == file.n_bytes == served_file(model, train).n_bytes
    users, items = order[: train.shape[0]], order[train.shape[0] :] - train.shape[0]
    expected = model.ranker()(torch.from_numpy(users.copy()))[:, items].numpy()
    opened = load(path)
    scores = rescored(opened)
    if method == "popularity":  # the numbers say the order, not the scores
        scores, expected = (np.argsort(-rows, axis=1, kind="stable") for rows in (scores, expected))
    np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())
    assert opened.byte_report().total == file.n_bytes
    # Both ways to store a model were possible, and the shorter one was taken.
    if backbone in ("lightgcn", "ngcf") and method != "blend" and "vectors" not in method:
        assert file.form in ("vectors", "table and interactions")


def test_both_ways_to_store_a_graph_model_occur(fitted, split):
    forms = {served_file(fitted(*case), split.train).form for case in CASES[:3]}
    assert forms == {"vectors", "table and interactions"}


@pytest.mark.parametrize("case", [CASES[0], CASES[4], CASES[5], CASES[10]])
def test_seen_items_and_ids_count_and_come_back(fitted, split, tmp_path, case):
    model, train, ids = fitted(*case), split.train, ids_of(planted())
    plain, order = served_file(model, train), row_order(model, train)
    seen, named = plain.seen_bytes, plain.id_bytes(ids)
    path = tmp_path / "served"
    written = write_served(path, model, train, with_seen=True)
    assert path.stat().st_size == written.n_bytes == plain.n_bytes + seen
    opened = load(path)
    assert (dense(opened.seen, train.shape[1]) > 0).sum() == train.nnz
    first = order[0]  # the user of row 0
    _, items = opened.seen.items_of(np.array([0]))
    n_users = train.shape[0]
    assert set(order[n_users + items] - n_users) == set(train[[first]].indices)
    written = write_served(path, model, train, ids=ids)
    assert path.stat().st_size == written.n_bytes == plain.n_bytes + named
    assert load(path).ids.user_rows[ids[0][first]] == 0


@pytest.mark.parametrize("protocol", ["clean", "merged"])
@pytest.mark.parametrize("method", ["uniform-int2", "vectors-int2", "hash", "pq"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_budget_to_serve_leaves_room_for_all_that_serves(split, backbone, method, protocol):
    if method in ("vectors-int2", "hash") and backbone in ("ncf", "ials"):
        method = "uniform-int4"  # which every backbone has
    text = "90 B/entity to serve"
    cell = Cell("tiny", backbone, text, method, protocol=protocol, profile="smoke")
    limit = parse_bytes(text, sum(split.train.shape))
    _, room = cell_budget(cell, split, 16)
    assert 0 < room <= limit
    assert cell.counts_interactions == (
        BACKBONES[backbone].reads_graph and not method.startswith("vectors")
    )
    assert (cell.selection_id == cell.id) == (protocol == "clean" or cell.counts_interactions)


@pytest.mark.parametrize("limit", [3_000, 10_000, 99_999])
def test_room_is_used_to_the_byte(split, limit):
    coded = coded_in_order(split.train, np.arange(sum(split.train.shape)))
    for backbone in BACKBONES.values():
        room = table_room(backbone, 16, coded, limit, blended=False)
        needed = limit - room
        further = table_room(backbone, 16, coded, limit + 1_000, blended=False)
        assert abs(further - room - 1_000) <= 8 and needed > 0  # the header grows by whole words


def test_what_cannot_be_met_is_refused(split):
    for method, text, why in (
        ("su", "9 B/entity to serve", "su does not meet a number of bytes to serve"),
        ("uniform-int2", "2 B/entity to serve", "leaves nothing for a table"),
    ):
        cell = Cell("tiny", "lightgcn", text, method, profile="smoke")
        with pytest.raises(BetError, match=why):
            cell_budget(cell, split, 16)
    for text in ("90% to serve", "5000 to serve", "to serve"):
        with pytest.raises(BetError, match="cannot read the budget"):
            parse_bytes(text, 10)
    assert not bounds_serving(None) and not bounds_serving(0.5)
