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


HEAD = "user,item,rating,timestamp\n"
BAD = {
    "empty.csv": ("", {}, "empty"),
    "header.csv": (HEAD, {}, "no rows"),
    "column.csv": ("user,thing\n1,2\n", {}, "no column 'item'.*user, thing"),
    "no_rating.csv": ("user,item\n1,2\n", {"minimum_rating": 3}, "no column 'rating'"),
    "nan.csv": (HEAD + "1,2,3,4\n,2,3,4\n", {}, "line 3: column 'user' is missing.*fill it in"),
    "blank.csv": (HEAD + "1,2,3,4\n1, ,3,4\n", {}, "line 3: column 'item' is missing"),
    "negative.csv": (HEAD + "1,2,3,4\n1,-2,3,4\n", {}, "line 3.*'item' is negative"),
    "rating.csv": (
        HEAD + "1,2,3,4\n1,2,good,4\n",
        {"minimum_rating": 3},
        "line 3.*'good', not a rating",
    ),
    "timestamp.csv": (HEAD + "1,2,3,4\n1,3,3,soon\n", {}, "line 3.*'soon', not a timestamp"),
    "below.csv": (
        HEAD + "1,2,3,4\n1,3,2,4\n",
        {"minimum_rating": 4},
        "no rating reaches.*largest is 3",
    ),
    "core.csv": (
        HEAD + "1,2,3,4\n2,3,2,4\n",
        {"k_core": 2},
        r"every user is below k_core=2 \(most interactions: 1\); lower",
    ),
    "core_items.csv": ("user,item\n1,2\n1,3\n", {"k_core": 2}, "every item is below k_core=2"),
    "collapsing_core.csv": ("user,item\n1,2\n1,3\n2,3\n", {"k_core": 2}, "2-core; lower k_core"),
    "infinite.csv": (HEAD + "1,2,inf,4\n", {"minimum_rating": 3}, "line 2.*'inf', not a rating"),
    "no_time.csv": (
        HEAD + "1,2,3,4\n",
        {"timestamp": "when"},
        "no column 'when'.*user, item, rating, timestamp",
    ),
    "null.csv": ("user,item\nnull,2\n", {}, "line 2: column 'user' is missing"),
    "inner_blank.csv": ("user,item\n1,2\n\n1,3\n", {}, "line 3: 1 fields, the header has 2"),
    "quoted_line.csv": (
        'user,item,note\n"a\nb",1,x\n"c",2\n',
        {},
        "line 4: 2 fields, the header has 3",
    ),
    "open_quote.csv": ('user,item\n1,2\n"3,4\n', {}, "line 3: 1 fields"),
    "latin.csv": ("user,item\nJos\xe9,1\n".encode("latin-1"), {}, "save it as UTF-8"),
    "twice.inter": (
        "user_id:token\tuser_id:float\titem_id:token\n1\t2\t3\n",
        {},
        "Duplicate names",
    ),
    "negative_core.csv": (HEAD + "1,2,3,4\n", {"k_core": -1}, "must not be negative, got -1"),
    "truncated.csv": (HEAD + "1,2,3,4\n1,3,", {}, "line 3: 3 fields, the header has 4"),
    "long.tsv": ("user\titem\n1\t2\n1\t3\t4\n", {}, "line 3: 3 fields"),
    "quoted.csv": ('user,item\n"1",2\n"3",4,5\n', {}, "line 3"),
    "truncated.inter": (
        "user_id:token\titem_id:token\trating:float\n1\t2\t3\n1\t",
        {},
        "line 3: 2 fields",
    ),
    "letters.txt": ("0 1 2\n1 x\n", {}, "line 2: 'x' is not part of an integer"),
    "float.txt": ("0 1 2\n1 3.5\n", {}, "line 2"),
    "negative.txt": ("0 1 2\n\n1 -3\n", {}, "line 3: a negative id"),
    "blank.txt": ("\n\n", {}, "no lines"),
    "rated.txt": ("0 1\n", {"minimum_rating": 1}, "no ratings"),
    "users_only.txt": ("0\n1\n", {}, "no interactions; .* at least one"),
    "long_id.txt": (
        "0 1\n1 9999999999999999999\n",
        {},
        "line 2: id 9999999999999999999 has more than 18 digits",
    ),
    "damaged.parquet": ("PAR1 but no more", {}, "not a readable Parquet"),
    "damaged.npz": ("PK\x03\x04", {}, "not a readable scipy users x items matrix"),
    "unknown.xlsx": ("a", {}, "unknown extension '.xlsx'; known are .csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_place_and_remedy(tmp_path, name):
    content, options, message = BAD[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BetError, match=message) as error:
        read_interactions(path, **options)
    assert str(path) in str(error.value)


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
    with pytest.raises(BetError, match="counts.npz, row 0, column 1: -2 is no count"):
        read_interactions(tmp_path / "counts.npz")


def test_negative_ids_and_missing_values_of_parquet_name_the_row(tmp_path):
    path = tmp_path / "data.parquet"
    for users, message in (
        ([1, -2], "row 2: column 'user' is negative"),
        (["a", None], "row 2: column 'user' is missing"),
    ):
        pd.DataFrame({"user": users, "item": [1, 2]}).to_parquet(path)
        with pytest.raises(BetError, match=message):
            read_interactions(path)
    pd.DataFrame({"user": ["-2", "x"], "item": [1, 2]}).to_parquet(
        path
    )  # a text may start with a minus
    assert list(read_interactions(path).user_ids) == ["-2", "x"]


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
    expected = [one.decode() if isinstance(one, bytes) else str(one) for one in (kind(1), kind(2))]
    data = read_interactions(path)
    assert list(map(str, data.user_ids)) == expected and len(data) == 3


NO_IDS = [
    ([[1], [2]], "holds a ndarray"),
    ([{"a": 1}, {"a": 2}], "holds a dict"),
    ([b"\xff", b"a"], "not UTF-8"),
]


@pytest.mark.parametrize(("ids", "message"), NO_IDS)
def test_what_is_no_id_is_named(tmp_path, ids, message):
    path = tmp_path / "data.parquet"
    pd.DataFrame({"user": ids, "item": [1, 2]}).to_parquet(path)
    with pytest.raises(BetError, match=message):
        read_interactions(path)


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
