"""What is wrong with a file is named: the file, the line or column, and the remedy."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from bet.data import load_dataset, memory, read_interactions
from bet.errors import BetError

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
    "missing.csv": ("user,item\n,2\n", {}, "line 2: column 'user' is missing"),
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
        "two columns are called 'user_id'; rename the one that is not the user",
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


def test_more_data_than_memory_names_the_road(tmp_path, monkeypatch):
    path = tmp_path / "data.csv"
    path.write_text("user,item\n" + "ann,tea\n" * 100)
    assert 2**20 < memory.available_memory() < 2**50
    read_interactions(path)
    told = tmp_path / "meminfo"
    needed = memory.FACTOR * path.stat().st_size
    for kilobytes, refused in ((needed // 1024, True), (needed // 1024 + 1, False)):
        told.write_text(f"MemTotal: 1 kB\nMemAvailable:    {kilobytes} kB\n")
        monkeypatch.setattr(memory, "_MEMORY", told)
        if refused:
            with pytest.raises(BetError, match=r"data.csv: .* on Spark .*docs/scale_out.md"):
                read_interactions(path)
        else:
            read_interactions(path)
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "absent")
    assert memory.available_memory() is None
    read_interactions(path)
