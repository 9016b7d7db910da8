"""Own files: what is written is what is read, and what is wrong is named."""

import logging

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
        frame = frame.assign(rating=1.0).set_axis(["user_id:token", "item_id:token", "rating:float"], axis=1)
        frame.to_csv(path, sep="\t", index=False)
    elif path.suffix == ".txt":
        path.write_text("".join(f"{u} {' '.join(map(str, group))}\n" for u, group in frame.groupby("user")["item"]))
    elif path.suffix == ".npz":
        matrix = scipy.sparse.coo_array((np.ones(len(frame)), (frame["user"], frame["item"])), shape=(40, 40)).tocsr()
        scipy.sparse.save_npz(path, matrix)
    else:
        frame.to_csv(path, sep="," if path.suffix == ".csv" else "\t", index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".inter", ".txt", ".npz"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=PAIRS)
def test_every_format_gives_the_pairs_back(tmp_path, suffix, pairs):
    path = write(pairs, tmp_path / f"data{suffix}")
    assert pairs_of(read_interactions(path)) == set(pairs)
    assert pairs_of(load_dataset(path)) == set(pairs)


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_parts_are_united_and_duplicates_counted(tmp_path, caplog, suffix):
    parts = [write([(0, 1), (1, 2)], tmp_path / f"a{suffix}"), write([(0, 1), (2, 0)], tmp_path / f"b{suffix}")]
    with caplog.at_level(logging.WARNING):
        data = read_interactions(parts)
    assert pairs_of(data) == {(0, 1), (1, 2), (2, 0)}
    assert "dropped 1 duplicate" in caplog.text


def test_names_strings_ratings_dates_and_core(tmp_path):
    path = tmp_path / "shop.csv"
    rows = ['"a, b",x,5,2024-01-01', "c,x,4,2024-01-02", "c,y,4,2024-01-02", '"a, b",y,3,2024-01-03', "d,x,1,2024-01-03"]
    path.write_text("\n".join(["customer,product,stars,when", *rows, ""]))
    columns = {"user": "customer", "item": "product", "rating": "stars", "timestamp": "when"}
    data = read_interactions(path, **columns, minimum_rating=3, k_core=2)
    assert list(data.user_ids) == ["a, b", "c"] and list(data.item_ids) == ["x", "y"] and len(data) == 4
    assert len(read_interactions(path, **columns)) == 5


HEAD = "user,item,rating,timestamp\n"
BAD = {
    "empty.csv": ("", {}, "empty"),
    "header.csv": (HEAD, {}, "no rows"),
    "column.csv": ("user,thing\n1,2\n", {}, "no column 'item'.*user, thing"),
    "no_rating.csv": ("user,item\n1,2\n", {"minimum_rating": 3}, "no column 'rating'"),
    "nan.csv": (HEAD + "1,2,3,4\n,2,3,4\n", {}, "line 3.*'user' is empty"),
    "blank.csv": (HEAD + "1,2,3,4\n1, ,3,4\n", {}, "line 3.*'item' is empty"),
    "negative.csv": (HEAD + "1,2,3,4\n1,-2,3,4\n", {}, "line 3.*'item' is negative"),
    "rating.csv": (HEAD + "1,2,3,4\n1,2,good,4\n", {"minimum_rating": 3}, "line 3.*'good', not a rating"),
    "timestamp.csv": (HEAD + "1,2,3,4\n1,3,3,soon\n", {}, "line 3.*'soon', not a timestamp"),
    "below.csv": (HEAD + "1,2,3,4\n1,3,2,4\n", {"minimum_rating": 4}, "no rating reaches.*largest is 3"),
    "core.csv": (HEAD + "1,2,3,4\n2,3,2,4\n", {"k_core": 2}, "2-core; lower k_core"),
    "negative_core.csv": (HEAD + "1,2,3,4\n", {"k_core": -1}, "must not be negative, got -1"),
    "truncated.csv": (HEAD + "1,2,3,4\n1,3,", {}, "line 3: 3 fields, the header has 4"),
    "long.tsv": ("user\titem\n1\t2\n1\t3\t4\n", {}, "line 3: 3 fields"),
    "quoted.csv": ('user,item\n"1",2\n"3",4,5\n', {}, "line 3"),
    "truncated.inter": ("user_id:token\titem_id:token\trating:float\n1\t2\t3\n1\t", {}, "line 3: 2 fields"),
    "letters.txt": ("0 1 2\n1 x\n", {}, "line 2: 'x' is not part of an integer"),
    "float.txt": ("0 1 2\n1 3.5\n", {}, "line 2"),
    "negative.txt": ("0 1 2\n\n1 -3\n", {}, "line 3: a negative id"),
    "blank.txt": ("\n\n", {}, "no lines"),
    "rated.txt": ("0 1\n", {"minimum_rating": 1}, "no ratings"),
    "users_only.txt": ("0\n1\n", {}, "no interactions"),
    "damaged.parquet": ("PAR1 but no more", {}, "not a readable Parquet"),
    "damaged.npz": ("PK\x03\x04", {}, "not a readable scipy matrix"),
    "unknown.xlsx": ("a", {}, "unknown extension '.xlsx'; known are .csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_place_and_remedy(tmp_path, name):
    content, options, message = BAD[name]
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BetError, match=message) as error:
        read_interactions(path, **options)
    assert name.split(".")[0] in str(error.value)


def test_missing_files_and_names():
    with pytest.raises(BetError, match="nowhere.csv: no such file"):
        read_interactions("nowhere.csv")
    with pytest.raises(BetError, match="known are .*movielens-100k"):
        load_dataset("nowhere")
    with pytest.raises(BetError, match="takes no options, got k_core"):
        load_dataset("tiny", k_core=2)
    with pytest.raises(BetError, match="at least one path"):
        read_interactions([])


def test_negative_counts_in_a_matrix(tmp_path):
    scipy.sparse.save_npz(tmp_path / "counts.npz", scipy.sparse.csr_array(np.array([[1.0, -2.0]])))
    with pytest.raises(BetError, match="smallest is -2"):
        read_interactions(tmp_path / "counts.npz")
