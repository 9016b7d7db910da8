"""Own files: what is written is what is read, and what is wrong is named."""

import logging
import uuid
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bet.data import load_dataset, read_interactions
from bet.errors import BetError

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), min_size=1, max_size=60)


def pairs_of(data):
    """The stored pairs by original id."""
    matrix = data.matrix.tocoo()
    users = matrix.row if data.user_ids is None else data.user_ids[matrix.row]
    items = matrix.col if data.item_ids is None else data.item_ids[matrix.col]
    return {(int(u), int(i)) for u, i in zip(users, items, strict=True)}


def write(pairs, path):
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".inter":
        frame = frame.assign(rating=1.0).set_axis(
            ["user_id:token", "item_id:token", "rating:float"], axis=1
        )
        frame.to_csv(path, sep="\t", index=False)
    elif path.suffix == ".txt":
        path.write_text(
            "".join(
                f"{u} {' '.join(map(str, group))}\n" for u, group in frame.groupby("user")["item"]
            )
        )
    elif path.suffix == ".npz":
        matrix = scipy.sparse.coo_array(
            (np.ones(len(frame)), (frame["user"], frame["item"])), shape=(40, 40)
        ).tocsr()
        scipy.sparse.save_npz(path, matrix)
    else:
        frame.to_csv(path, sep="," if path.suffix == ".csv" else "\t", index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".inter", ".txt", ".npz"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pairs=PAIRS)
def test_every_format_gives_the_pairs_back(tmp_path, suffix, pairs):
    path = write(pairs, tmp_path / f"data{suffix}")
    assert pairs_of(read_interactions(path)) == set(pairs)
    assert pairs_of(load_dataset(path)) == set(pairs)


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_parts_are_united_and_duplicates_counted(tmp_path, caplog, suffix):
    parts = [
        write([(0, 1), (1, 2)], tmp_path / f"a{suffix}"),
        write([(0, 1), (2, 0)], tmp_path / f"b{suffix}"),
    ]
    with caplog.at_level(logging.WARNING):
        data = read_interactions(parts)
    assert pairs_of(data) == {(0, 1), (1, 2), (2, 0)}
    assert "dropped 1 duplicate" in caplog.text


def test_names_strings_ratings_dates_and_core(tmp_path):
    path = tmp_path / "shop.csv"
    rows = [
        '"a, b",x,5,2024-01-01',
        "c,x,4,2024-01-02",
        "c,y,4,2024-01-02",
        '"a, b",y,3,2024-01-03',
        "d,x,1,2024-01-03",
    ]
    path.write_text("\n".join(["customer,product,stars,when", *rows, ""]))
    columns = {"user": "customer", "item": "product", "rating": "stars", "timestamp": "when"}
    data = read_interactions(path, **columns, minimum_rating=3, k_core=2)
    assert (
        list(data.user_ids) == ["a, b", "c"]
        and list(data.item_ids) == ["x", "y"]
        and len(data) == 4
    )
    assert len(read_interactions(path, **columns)) == 5


def test_text_ids_are_compared_as_written(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text(
        "user,item\n01,1e5\n1,100000\n001,99999999999999999991\n1,99999999999999999992\n"
    )
    data = read_interactions(path)
    assert list(data.user_ids) == ["01", "1", "001"] and data.n_items == 4 and len(data) == 4


def test_a_number_in_one_part_and_a_text_in_another_is_one_id(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\n1,7\n")
    (tmp_path / "b.csv").write_text("user,item\nx,7\n1,7\n")
    pd.DataFrame({"user": [1, 2], "item": [7, 7]}).to_parquet(tmp_path / "c.parquet")
    data = read_interactions([tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.parquet"])
    assert list(data.user_ids) == ["1", "x", "2"] and list(data.item_ids) == [7] and len(data) == 3


@pytest.mark.parametrize(
    "content",
    [
        "user, item\n1, 2\n",
        "\ufeffuser,item\r\n1,2\r\n",
        "user,item\n1,2\n\n\n",
        '"user",item\n"1",2',
    ],
)
def test_harmless_variants_of_csv(tmp_path, content):
    path = tmp_path / "DATA.CSV"
    path.write_bytes(content.encode())
    assert pairs_of(read_interactions(path)) == {(1, 2)}


def test_recbole_names_adapt_and_plain_ones_stay(tmp_path):
    for number, (user, item) in enumerate(
        [("user_id", "item_id"), ("user", "item"), ("user_id", "item")]
    ):
        path = tmp_path / f"{number}.inter"
        path.write_text(f"{user}:token\t{item}:token\n1\t2\n")
        assert pairs_of(read_interactions(path)) == {(1, 2)}
    path.write_text("shopper:token\tthing:token\n1\t2\n")
    assert pairs_of(read_interactions(path, user="shopper", item="thing")) == {(1, 2)}


@pytest.mark.parametrize("suffix", [".txt", ".npz"])
def test_only_ids_without_gaps_are_indices(tmp_path, suffix):
    dense = read_interactions(write([(1, 0), (0, 1), (2, 1)], tmp_path / f"dense{suffix}"))
    assert dense.user_ids is None and dense.item_ids is None and dense.matrix.shape == (3, 2)
    assert (dense.matrix.toarray() == [[0, 1], [1, 0], [0, 1]]).all()
    gaps = read_interactions(write([(0, 5), (7, 2)], tmp_path / f"gaps{suffix}"))
    assert list(gaps.user_ids) == [0, 7] and list(gaps.item_ids) == [5, 2]


def test_a_large_id_costs_no_memory(tmp_path):
    (tmp_path / "large.txt").write_text("0 1\n999999999999 2\n")
    assert list(read_interactions(tmp_path / "large.txt").user_ids) == [0, 999_999_999_999]


def test_ratings_stored_as_text_and_repeated_pairs(tmp_path):
    path = tmp_path / "rated.parquet"
    pd.DataFrame({"user": [1, 2, 2], "item": [3, 4, 4], "rating": ["2", "5", "1"]}).to_parquet(path)
    assert pairs_of(read_interactions(path, minimum_rating=3)) == {(2, 4)}


@pytest.mark.parametrize(
    "kind",
    [
        lambda i: b"u%d" % i,
        lambda i: Decimal(i),
        lambda i: date(2026, 1, i),
        lambda i: uuid.UUID(int=i),
    ],
)
def test_ids_of_any_scalar_type_are_read_from_parquet(tmp_path, kind):
    path = tmp_path / "data.parquet"
    pd.DataFrame({"user": [kind(1), kind(2), kind(1)], "item": [7, 7, 8]}).to_parquet(path)
    texts = [kind(1), kind(2)]
    expected = [text.decode() if isinstance(text, bytes) else str(text) for text in texts]
    data = read_interactions(path)
    assert list(map(str, data.user_ids)) == expected and len(data) == 3


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_damaged_anywhere_is_an_error_or_harmless(tmp_path, suffix):
    path = write([(i % 7, i % 5) for i in range(35)], tmp_path / f"data{suffix}")
    content, wanted, refused = path.read_bytes(), pairs_of(read_interactions(path)), 0
    for length in range(1, len(content), len(content) // 20):
        path.write_bytes(content[:length])
        with pytest.raises(BetError, match="not a readable"):
            read_interactions(path)
    if (
        suffix == ".npz"
    ):  # zip checks every member; Parquet written by default has no checksums of its pages
        for position in range(0, len(content), len(content) // 40):
            path.write_bytes(
                content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]
            )
            try:
                assert pairs_of(read_interactions(path)) == wanted
            except BetError:
                refused += 1
        assert refused > 20
