"""Files that recommend: in a fresh process, from the command line, and with parts that lie."""

import re
import subprocess
import sys

import numpy as np
import pytest
from example_files import ITEMS, USERS, write_example, write_example_recommender
from hypothesis import given
from hypothesis import strategies as st

import bet
import bet.__main__
from bet.errors import BetError
from bet.packed import (
    code_interactions,
    layout_of,
    vectors_layout,
    write_ids,
    write_packed,
    write_recommender,
)
from bet.packed.nearest import nearest_ids

LISTS = code_interactions(np.array([0, 2, 3, 4]), np.array([0, 1, 2, 0]), n_items=4)
SIDES = {"n_users": 3, "n_items": 4, "ids": (USERS, ["tea", "rye\n", "<b>", "4"])}


def table(folder, kind="table", copies=1, width=2):
    values = np.arange(7 * copies * width).reshape(7, copies, width) % 5 - 2
    layout = (
        vectors_layout(7, width, 32, 3)
        if kind == "vectors"
        else layout_of(np.full(7, width), 32, n_users=3, copies=copies)
    )
    write_packed(folder / "table", layout, values)
    return folder / "table"


def write_filter(path):
    facts = {"user_exponent": 0.5, "item_exponent": 0.5}
    write_recommender(path, "graph-filter", facts, interactions=LISTS, **SIDES)
    return path


@pytest.mark.parametrize("missing", [("torch",), ("torch", "scipy", "numba", "pandas", "tqdm")])
def test_a_fresh_process_recommends_without_heavy_packages(tmp_path, missing):
    write_filter(tmp_path / "f")
    parts = {"interactions": LISTS, "table": table(tmp_path)}
    write_recommender(tmp_path / "g", "lightgcn", {"layers": 2}, **parts, **SIDES)
    code = f"""
import sys
sys.modules |= dict.fromkeys({missing})  # an import of them fails
import bet
for name in "fg":
    model = bet.load("{tmp_path}/" + name)
    print(model.recommend(["ann"], k=2).items, model.recommend_for(["tea"], k=1).items)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    printed = run.stdout.splitlines()
    assert len(printed) == 2 and printed[0].startswith("[['<b>', '4']] ['rye")


def test_the_command_prints_a_line_for_every_item(tmp_path, capsys):
    path = str(write_filter(tmp_path / "f"))
    model = bet.load(path)

    def run(*arguments):
        assert bet.__main__.main(["recommend", path, *arguments]) == 0
        return [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    lines = run("--user", "ann", "ü", "-k", "2")
    assert [line[:2] for line in lines] == [["ann", "1"], ["ann", "2"], ["ü", "1"], ["ü", "2"]]
    expected = model.recommend(["ann", "ü"], k=2)
    shown = [text.replace("\n", "\\n") for text in sum(expected.items, [])]
    assert [line[2] for line in lines] == shown
    assert float(lines[0][3]) == pytest.approx(expected.scores[0, 0], rel=1e-4)
    assert len(run("--user", "ann", "-k", "4")) == 2, "ann has had two of four"
    assert len(run("--user", "ann", "-k", "4", "--keep-seen")) == 4
    assert [line[2] for line in run("--row", "0", "-k", "1")] == ["2"]
    assert [line[1] for line in run("--items", "tea", "4", "-k", "2")] == ["rye\\n", "<b>"]
    assert "rye\\n" in run("--similar", "tea", "-k", "1")[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "anne", "-k", "1"], "unknown user 'anne'; .* is it 'ann'"),
        (["--user", "ann"], "k must be from 1 to the 4 items of the file, got 10"),
        (["--similar", "tee", "-k", "1"], "unknown item 'tee'; .* is it 'tea'"),
        (["--items", "tea", "-k", "1", "--keep-seen"], "--keep-seen goes with"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, capsys, arguments, words):
    assert bet.__main__.main(["recommend", str(write_filter(tmp_path / "f")), *arguments]) == 1
    printed = capsys.readouterr()
    assert not printed.out and re.match(f"error: .*{words}", printed.err)


@pytest.mark.parametrize("asked", ["--user=0", "--row=0"])
def test_without_histories_the_command_names_its_option(tmp_path, capsys, asked):
    table(tmp_path, kind="vectors").rename(tmp_path / "v")
    write_ids(tmp_path / "v", (range(3), range(4)))
    command = ["recommend", str(tmp_path / "v"), asked, "-k", "1"]
    assert bet.__main__.main(command) == 1
    printed = capsys.readouterr()
    assert "with --keep-seen" in printed.err and "exclude_seen" not in printed.err
    assert bet.__main__.main([*command, "--keep-seen"]) == 0
    assert capsys.readouterr().out.startswith("0\t1\t")


def test_a_file_that_does_not_recommend_says_so(tmp_path, capsys):
    write_example("packed", tmp_path / "t")
    (tmp_path / "x").write_text("not a file of ours")
    for name, words in (("t", "bet table"), ("x", "another kind of file"), ("none", "none")):
        assert bet.__main__.main(["recommend", str(tmp_path / name), "--row", "0"]) == 1
        assert words in capsys.readouterr().err


W = {"w_user": (2, 2), "w_item": (2, 2), "bias": (2,), "a": (2,), "c": (2,)}
LIES = {
    "unknown": ("bprmf", {}, {}, "install a newer version"),
    "no interactions": ("graph-filter", {"user_exponent": 1}, {}, "it has no interactions"),
    "no exponent": ("graph-filter", {"user_exponent": 1}, {"interactions"}, "item_exponent must"),
    "a word": ("blend", {"weight": "x"}, {"interactions", "vectors"}, "user_exponent must"),
    "no table": ("ials", {}, {}, "it has no table"),
    "two copies": ("ials", {}, {"copies"}, "its table has 2 copies, not 1"),
    "one copy": ("ncf", {}, {"table"}, "its table has 1 copies, not 2"),
    "many layers": ("lightgcn", {"layers": 10**9}, {"table", "interactions"}, "layers must"),
    "below": ("lightgcn", {"layers": -1}, {"table", "interactions"}, "layers must be from"),
    "no layers": ("ngcf", {}, {"table", "interactions"}, "layers must be a finite number"),
    "no weights": ("ngcf", {"layers": 1}, {"table", "interactions"}, "no weights 'bias'"),
    "no graph": ("lightgcn", {"layers": 1}, {"table"}, "it has no interactions"),
    "negative": ("ials", {"l2": -1.0}, {"table"}, "l2 = -1.0 is no number"),
    "spelled": ("ials", {"exponent": "half"}, {"table"}, "exponent = 'half' is no number"),
}


@pytest.mark.parametrize("lie", LIES)
def test_files_that_lack_what_they_score_with_are_refused(tmp_path, lie):
    backbone, facts, parts, words = LIES[lie]
    tables = {"table": {}, "copies": {"copies": 2}, "vectors": {"kind": "vectors"}}
    made = [table(tmp_path, **tables[part]) for part in parts if part in tables]
    held = {"interactions": LISTS if "interactions" in parts else None}
    held |= {"table": made[0] if made else None}
    write_recommender(tmp_path / "r", backbone, facts, **held, **SIDES)
    with pytest.raises(BetError, match=words):
        bet.load(tmp_path / "r")


@pytest.mark.parametrize("wrong", W)
def test_weights_of_another_shape_are_refused(tmp_path, wrong):
    shapes = {**W, wrong: (3, *W[wrong][1:])}
    weights = {name: np.ones(shape, dtype=np.float32) for name, shape in shapes.items()}
    write_recommender(
        tmp_path / "r", "ncf", {}, table=table(tmp_path, copies=2), weights=weights, **SIDES
    )
    with pytest.raises(BetError, match="weights .* are float32 of shape"):
        bet.load(tmp_path / "r")


@pytest.mark.parametrize("neighbor", [3, 4])
def test_neighbors_that_do_not_exist_are_refused(tmp_path, neighbor):
    weights = {
        "neighbors": np.full((4, 1), neighbor, dtype=np.uint8),
        "weights": np.ones((4, 1), dtype=np.float16),
    }
    write_recommender(tmp_path / "r", "item-knn", {}, interactions=LISTS, weights=weights, **SIDES)
    if neighbor == 4:
        with pytest.raises(BetError, match="a neighbor is none of the 4 items"):
            bet.load(tmp_path / "r")
        return
    assert bet.load(tmp_path / "r").recommend_for(["4"], k=3).scores.tolist() == [1, 1, 1]


@pytest.mark.parametrize("backbone", ["popularity", "graph-filter", "blend"])
def test_a_short_file_cannot_announce_many_items(tmp_path, backbone):
    n_items = 2**31 - 1
    coded = code_interactions(np.array([0, 1]), np.array([n_items - 1]), n_items)
    facts = {"user_exponent": 0.5, "item_exponent": 0.5, "weight": 1.0}
    parts = {"n_users": 1, "n_items": n_items, "interactions": coded}
    write_recommender(tmp_path / "r", backbone, facts, **parts)
    with pytest.raises(BetError, match="announces 1 users and 2,147,483,647 items"):
        bet.load(tmp_path / "r")


def test_whole_numbers_are_no_weights(tmp_path):
    weights = {"weights": np.ones((4, 4), dtype=np.uint8)}
    write_recommender(tmp_path / "r", "ease", {}, interactions=LISTS, weights=weights, **SIDES)
    with pytest.raises(BetError, match="weights 'weights' are uint8"):
        bet.load(tmp_path / "r")


def test_an_example_without_its_table_is_refused(tmp_path):
    write_example_recommender(None, tmp_path / "r", ids=(USERS, ITEMS))
    with pytest.raises(BetError, match="cannot score as 'ngcf'"):
        bet.load(tmp_path / "r")


@given(st.text(max_size=20), st.lists(st.text(max_size=20), unique=True, max_size=30))
def test_the_nearest_ids_are_ids(name, ids):
    near = nearest_ids(name, ids)
    assert len(near) == len(set(near)) <= 3 and set(near) <= set(ids)


def test_the_nearest_of_many_ids_are_found_among_those_that_begin_or_end_alike():
    ids = [f"item-{number:06}" for number in range(20_000)]
    assert nearest_ids("item-001234 ", ids)[0] == "item-001234"
    assert nearest_ids("x" * 1_000, ids) == []
