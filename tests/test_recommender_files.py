"""Files that answer by themselves: counted to the byte and read back in place."""

import re
import subprocess
import sys

import numpy as np
import pytest
from example_files import (
    ITEMS,
    KINDS,
    USERS,
    example_lists,
    write_example,
    write_example_recommender,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bet.packed
from bet.errors import BetError
from bet.packed import (
    RecommenderLayout,
    code_interactions,
    id_layout,
    inspect,
    layout_of,
    most_table_bytes,
    shapes_of,
    write_ids,
    write_packed,
    write_recommender,
)
from bet.packed.recommender import MOST_FACT

FACTS = st.dictionaries(
    st.from_regex(r"[a-bd-z][a-z0-9_]{0,9}", fullmatch=True).filter(
        lambda name: name not in ("backbone", "users", "items", "version")
    ),
    st.integers(-MOST_FACT, MOST_FACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.from_regex(r"[A-Za-z][A-Za-z0-9_.+-]{0,9}", fullmatch=True),
    max_size=4,
)
WEIGHTS = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,9}", fullmatch=True),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(
    facts=FACTS,
    shapes=WEIGHTS,
    lists=st.sampled_from([None, "interactions", "seen"]),
    kind=st.sampled_from([None, *KINDS]),
    with_ids=st.booleans(),
)
@example({"a": -0.0, "b": 1e-300, "c": 2**70, "d": "nan"}, {"w": ()}, "seen", "vectors", True)
def test_every_part_comes_back_and_the_length_is_known_before(
    tmp_path_factory, facts, shapes, lists, kind, with_ids
):
    folder = tmp_path_factory.mktemp("recommender")
    if kind:
        write_example(kind, folder / "table")
    content = (folder / "table").read_bytes() if kind else None
    rng, coded = np.random.default_rng(0), example_lists()
    weights = {name: rng.random(shape, "f4") for name, shape in shapes.items()}
    ids = (USERS, ITEMS) if with_ids else None
    layout = RecommenderLayout(
        backbone="lightgcn",
        facts=facts,
        n_users=3,
        n_items=2,
        table_bytes=len(content) if content else None,
        weights={name: ("F32", shape) for name, shape in shapes.items()},
        ids=id_layout(ids) if ids else (),
        **({lists: coded.layout} if lists else {}),
    )
    report = write_recommender(
        folder / "r",
        "lightgcn",
        facts,
        n_users=3,
        n_items=2,
        table=content,
        weights=weights,
        ids=ids,
        **({lists: coded} if lists else {}),
    )
    read = bet.packed.load(folder / "r")
    assert (folder / "r").stat().st_size == report.total == layout.file_bytes
    assert report == read.byte_report() == layout.byte_report()
    assert (report.table, report.ids > 0) == (len(content or b""), with_ids)
    assert report.weights == sum(values.nbytes for values in weights.values())
    assert [report.interactions, report.seen] == [
        coded.layout.n_bytes * (lists == name) for name in ("interactions", "seen")
    ]
    assert (read.backbone, read.n_users, read.n_items) == ("lightgcn", 3, 2)
    assert repr(dict(read.facts)) == repr(facts)
    assert read.weights.keys() == weights.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(read.weights[name], values)
    assert (read.interactions is not None) == (lists == "interactions")
    assert (read.seen is not None) == (lists is not None)
    if lists:
        assert [part.tolist() for part in read.seen.all()] == [[0, 2, 3, 3], [0, 1, 1]]
    if kind:
        by_itself = bet.packed.load(folder / "table", n_items=2)
        np.testing.assert_array_equal(read.table.rows(range(5)), by_itself.rows(range(5)))
        assert type(read.table) is type(by_itself)
        assert read.table.byte_report() == by_itself.byte_report()
    else:
        assert read.table is None
    if with_ids:
        assert read.ids.item_rows["ale"] == 4
        if kind:
            np.testing.assert_array_equal(read.table.users(["ü"]), read.table.rows([2]))


def test_a_table_inside_is_read_in_place(tmp_path):
    for kind in KINDS:
        write_example_recommender(kind, tmp_path / kind)
        read = bet.packed.load(tmp_path / kind)
        for tensor in read.table.container.tensors.values():
            assert np.shares_memory(tensor, read.container.content)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 99), st.integers(0, 5))
def test_the_largest_table_that_fits(limit, users, layers):
    layout = RecommenderLayout(
        backbone="ncf",
        facts={"layers": 10**layers},
        n_users=users,
        n_items=7,
        weights={"w": ("F32", (3, layers))},
    )
    most = most_table_bytes(layout, limit)

    def length(table_bytes):
        parts = vars(layout) | {"table_bytes": table_bytes}
        return RecommenderLayout(**parts).file_bytes

    if most >= 0:
        assert length(most) <= limit < length(most + 1)
    else:
        assert length(0) > limit


def test_ids_may_be_in_the_file_in_its_table_or_beside_it(tmp_path):
    path = tmp_path / "r"
    write_example_recommender("packed", path)
    for opened in (bet.packed.load(path), bet.packed.load(path).table):
        with pytest.raises(BetError, match="r has no ids, and there is no r.ids beside it"):
            opened.ids  # noqa: B018
    write_ids(path, (USERS, ITEMS))
    opened = bet.packed.load(path)
    assert opened.ids.user_rows == opened.table.ids.user_rows == {"ann": 0, "bob": 1, "ü": 2}
    layout, values = layout_of(np.full(5, 2), 8, 3), np.ones((5, 1, 2), np.float32)
    write_packed(tmp_path / "t", layout, values, (USERS, ITEMS))
    write_recommender(tmp_path / "s", "ncf", {}, n_users=3, n_items=2, table=tmp_path / "t")
    opened = bet.packed.load(tmp_path / "s")
    assert opened.ids.item_rows == opened.table.ids.item_rows == {"tea": 3, "ale": 4}
    with pytest.raises(BetError, match="2 user ids and 2 item ids for 3 users and 2 items"):
        write_example_recommender(None, path, ids=(["a", "b"], ITEMS))


def test_an_inspection_names_every_part(tmp_path):
    path = tmp_path / "r"
    report = write_example_recommender("vectors", path)
    text = inspect(path)
    assert text.startswith(f"{path}: recommender, 3 users and 2 items\nbackbone ngcf: layers 3, a")
    bits = 8 * report.interactions / 3
    assert f"interactions: 3, {bits:.2f} bits each" in text and "holds people's histories" in text
    assert "table: vectors, whose inner products are the scores, rows of 1 to 4 numbers" in text
    for name, length in report.parts.items():
        lines = [line.split() for line in text.splitlines() if line.startswith(f"{name:<13}")]
        assert [line[1] for line in lines] == ([f"{length:,}"] if length else [])
        assert all(len(line) > 6 for line in lines)
    assert re.search(rf"^total +{report.total:,} ", text, re.MULTILINE)


def test_a_recommender_says_itself_how_many_items_it_has(tmp_path):
    write_example_recommender(None, tmp_path / "r")
    assert bet.packed.load(str(tmp_path / "r"), n_items=2).backbone == "ngcf"
    with pytest.raises(BetError, match="has 2 items, not 3; leave n_items out"):
        bet.packed.load(tmp_path / "r", n_items=3)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"backbone": "NCF"}, "a backbone cannot be called 'NCF'"),
        ({"facts": {"users": 3}}, "a fact cannot be called 'users'"),
        ({"facts": {"version": 3}}, "a fact cannot be called 'version'"),
        ({"facts": {"xcrc": 3}}, "a fact cannot be called 'xcrc'"),
        ({"facts": {"a;b": 3}}, "a fact cannot be called 'a;b'"),
        ({"facts": {"a": float("nan")}}, "a = nan cannot be kept"),
        ({"facts": {"a": True}}, "a = True cannot be kept"),
        ({"facts": {"a": "x=1;"}}, "a = 'x=1;' cannot be kept"),
        ({"weights": {"a b": np.ones(1, "f4")}}, "weights cannot be called 'a b'"),
        ({"weights": {"w": np.ones(1)}}, "weights w are float64; give float32"),
        ({"weights": {"w": np.full(1, np.inf, "f4")}}, "weights w are not finite"),
        ({"n_users": 4}, "interactions of 3 users and 2 items in a file of 4 and 2"),
        ({"n_users": -1, "interactions": None}, "a file of -1 users"),
        ({"seen": example_lists()}, "the interactions say which items were seen"),
    ],
)
def test_parts_that_the_format_cannot_hold_are_refused(tmp_path, parts, words):
    good = {"backbone": "ncf", "facts": {}, "n_users": 3, "n_items": 2}
    with pytest.raises(BetError, match=re.escape(words)):
        write_recommender(tmp_path / "r", **good | {"interactions": example_lists()} | parts)
    assert not (tmp_path / "r").exists()


def test_numbers_of_numpy_are_kept_as_plain_ones(tmp_path):
    facts = {"layers": np.int64(3), "a": np.float64(0.1), "b": np.float32(0.1)}
    weights = {"w": np.arange(6, dtype=np.uint16).reshape(2, 3).T}
    write_recommender(tmp_path / "r", "ncf", facts, n_users=1, n_items=0, weights=weights)
    read = bet.packed.load(tmp_path / "r")
    assert repr(dict(read.facts)) == repr({"layers": 3, "a": 0.1, "b": float(np.float32(0.1))})
    np.testing.assert_array_equal(read.weights["w"], weights["w"])
    assert shapes_of(read.weights) == {"w": ("U16", (3, 2))}


def test_reading_needs_no_torch_or_scipy(tmp_path):
    write_example_recommender("packed", tmp_path / "r", ids=(USERS, ITEMS))
    code = f"""
import sys, bet.packed
model = bet.packed.load("{tmp_path}/r")
model.interactions.all(), model.table.users(["ann"]), model.weights, model.byte_report()
heavy = set(sys.modules) & {{"torch", "scipy", "numba", "pandas", "pyarrow", "tqdm"}}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_of_a_million_users_without_interactions_costs_a_bit_for_each(tmp_path):
    coded = code_interactions(np.zeros(10**6 + 1, int), np.zeros(0, int), n_items=5)
    report = write_recommender(
        tmp_path / "r", "popularity", {}, n_users=10**6, n_items=5, interactions=coded
    )
    assert report.interactions == 125_000
    assert bet.packed.load(tmp_path / "r").interactions.items_of([999_999])[0].tolist() == [0, 0]
