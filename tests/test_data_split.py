"""The split and the container."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.data import planted, split_interactions
from bet.data.interactions import Interactions, binary_matrix, from_pairs
from bet.errors import BetError


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 200), st.integers(0, 2**32))
def test_parts_are_disjoint_complete_and_present(n_users, n_items, k, seed):
    rng = np.random.default_rng(seed)
    matrix = binary_matrix(
        rng.integers(0, n_users, k), rng.integers(0, n_items, k), (n_users, n_items)
    )
    split = split_interactions(Interactions("random", matrix), seed)
    parts = [part.toarray() for part in (split.train, split.validation, split.test)]
    assert (sum(parts) == matrix.toarray()).all()
    large = matrix.toarray().sum(1) >= 3
    assert all((part.sum(1)[large] > 0).all() for part in parts)
    assert not parts[1][~large].any() and not parts[2][~large].any()
    again = split_interactions(Interactions("random", matrix), seed)
    assert (again.test != split.test).nnz == 0
    assert (split.merged().toarray() == parts[0] + parts[1]).all()


def test_fingerprint_and_seed_matter():
    data, other = planted(), planted(seed=1)
    assert data.fingerprint() == planted().fingerprint() != other.fingerprint()
    assert (split_interactions(data, 0).test != split_interactions(data, 1).test).nnz > 0


def test_pairs_ratings_cores_and_string_ids():
    users, items = pd.Series(["a", "a", "b", "b", "a"]), pd.Series(["x", "y", "x", "z", "x"])
    data = from_pairs("pairs", users, items)
    assert (
        len(data) == 4
        and list(data.user_ids) == ["a", "b"]
        and list(data.item_ids) == ["x", "y", "z"]
    )
    rated = from_pairs("pairs", users, items, ratings=pd.Series([5, 1, 5, 1, 5]), minimum_rating=3)
    assert len(rated) == 2 and list(rated.item_ids) == ["x"]
    with pytest.raises(BetError, match="row 2"):
        from_pairs("pairs", pd.Series(["a", None]), pd.Series(["x", "y"]))
    with pytest.raises(BetError, match="no rating reaches"):
        from_pairs("pairs", users, items, ratings=pd.Series([1] * 5), minimum_rating=3)
