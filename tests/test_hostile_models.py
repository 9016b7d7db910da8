"""Recommenders damaged under a right checksum: refused, or answered with items that exist."""

import numpy as np
import pytest
from test_hostile_recommenders import sealed

import bet
from bet.errors import BetError
from bet.packed import code_interactions, layout_of, vectors_layout, write_packed, write_recommender

N_USERS, N_ITEMS = 6, 7
RNG = np.random.default_rng(0)
KNOWN = RNG.random((N_USERS, N_ITEMS)) < 0.4
LISTS = code_interactions(np.cumsum([0, *KNOWN.sum(1)]), np.nonzero(KNOWN)[1], N_ITEMS)
EXPONENTS = {"user_exponent": 0.5, "item_exponent": 0.3}
SQUARE = np.ones((3, 3), dtype=np.float32)
NEIGHBORS = {
    "neighbors": RNG.integers(0, N_ITEMS, (N_ITEMS, 2)).astype(np.uint8),
    "weights": RNG.random((N_ITEMS, 2)).astype(np.float16),
}
NCF = {"w_user": SQUARE, "w_item": SQUARE, "bias": SQUARE[0], "a": SQUARE[1], "c": SQUARE[2]}
NGCF = {"w_sum_0": SQUARE, "w_product_0": SQUARE, "bias": SQUARE[:1]}
FILES = {
    "popularity": ({}, {}, 0),
    "graph-filter": (EXPONENTS, {}, 0),
    "item-knn": ({}, NEIGHBORS, 0),
    "ease": ({}, {"weights": np.ones((N_ITEMS, N_ITEMS), dtype=np.float32)}, 0),
    "blend": (EXPONENTS | {"weight": 0.5}, {}, 1),
    "ials": ({"unobserved_weight": 0.1, "l2": 0.5, "exponent": 0.5}, {}, 1),
    "lightgcn": ({"layers": 2}, {}, 1),
    "ngcf": ({"layers": 1}, NGCF, 1),
    "ncf": ({}, NCF, 2),
}


def write_model(backbone, path):
    facts, weights, copies = FILES[backbone]
    table = None
    if copies:
        n, table = N_USERS + N_ITEMS, path.with_name("table")
        layout = (
            vectors_layout(n, 3, 4, N_USERS)
            if backbone == "blend"
            else layout_of(np.full(n, 3), 8, N_USERS, copies)
        )
        write_packed(table, layout, RNG.normal(size=(n, copies, 3)).astype(np.float32))
    sides = {"n_users": N_USERS, "n_items": N_ITEMS}
    parts = {"interactions": LISTS, "table": table, "weights": weights}
    write_recommender(path, backbone, facts, **sides, **parts)


def ask_everything(model):
    """Recommendations of every kind; their items exist and differ."""
    best = model.recommend_rows(range(model.n_users), min(3, model.n_items))
    assert ((best.items >= -1) & (best.items < model.n_items)).all()
    for row in best.items:
        assert len(set(row[row >= 0])) == (row >= 0).sum()
    model.scorer.fold_in(model._seen(np.arange(min(2, model.n_users))))


@pytest.mark.parametrize("backbone", FILES)
def test_a_damaged_model_is_refused_or_answers(tmp_path, backbone):
    path = tmp_path / "r"
    write_model(backbone, path)
    whole, outcomes = path.read_bytes(), []
    ask_everything(bet.load(path))
    for place in RNG.choice(np.arange(8, len(whole)), 150).tolist():
        flipped = whole[place] ^ 1 << int(RNG.integers(8))
        path.write_bytes(sealed(whole[:place] + bytes([flipped]) + whole[place + 1 :]))
        try:
            # Numbers of any size may be among those of a table and of weights.
            with np.errstate(all="ignore"):
                ask_everything(bet.load(path))
        except BetError as error:
            outcomes.append(str(error))
    assert 0 < len(outcomes) < 150 and all(str(path) in text for text in outcomes)
