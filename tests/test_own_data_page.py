"""The Python that docs/own_data.md shows runs as it stands, on a fresh file; its numbers are those
of benchmarks/README.md.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from committed import section, table_rows

from bet.__main__ import main
from bet.data import from_pairs
from bet.errors import UnknownId
from bet.pack import Options, open_vectors, pack_vectors
from bet.packed import layout_of, write_packed, write_recommender

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
SHELL = ("bet ", "pip ", "make ", "spark-submit ", "source ")
USERS = ["ann", "bob", *(f"user {i}" for i in range(18))]
ITEMS = ["tea", "cup", *(f"item {i}" for i in range(28))]


def python_blocks():
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", PAGE, flags=re.MULTILINE)
    blocks = ["\n".join(line[4:] for line in block.splitlines()).strip() for block in blocks]
    return [block for block in blocks if block and not block.startswith(SHELL)]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with a file that recommends and a table in one, in which the page's code runs."""
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    for side, names in (("users", USERS), ("items", ITEMS)):
        frame = pd.DataFrame({"id": names, "features": list(draws.normal(size=(len(names), 8)))})
        frame.to_parquet(f"{side}.parquet")
    pairs = [(user, ITEMS[i]) for user in USERS for i in draws.choice(30, 5, replace=False)]
    data = from_pairs("shop", *(pd.Series(side) for side in zip(*pairs, strict=True)))
    vectors = open_vectors("users.parquet"), open_vectors("items.parquet")
    options = Options(data=data, with_seen=True)
    pack_vectors(*vectors, "100 B/entity", Path("shop.safetensors"), options)
    layout = layout_of(np.full(50, 4), 8, n_users=20)
    write_packed(Path("rows"), layout, draws.normal(size=(50, 1, 4)))
    sides = {"n_users": 20, "n_items": 30, "ids": (USERS, ITEMS)}
    write_recommender(Path("out.safetensors"), "ials", {}, table=Path("rows"), **sides)


def test_every_python_block_runs(shop, capsys):
    assert main(["export", "shop.safetensors", "--to", "faiss"]) == 0
    blocks, names = python_blocks(), {}
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, "docs/own_data.md", "exec"), names)
    assert "'item " in capsys.readouterr().out
    assert len(names["best_items"]("ann", [])) == 10
    # A user that nobody knows gets what goes with the basket, without what is in it.
    best = names["best_items"]("somebody", ["tea", "cup"])
    assert best == names["model"].recommend_for(["tea", "cup"], k=10).items
    assert len(best) == 10 and not {"tea", "cup"} & {*best}
    best_users = names["model"].users_for(["ann", "user 3"], k=18)
    assert set(best_users.users) == set(USERS) - {"ann", "user 3"}
    # Without histories a known user still gets her own items, and no other error is hidden.
    options = Options(with_seen=False)
    vectors = open_vectors("users.parquet"), open_vectors("items.parquet")
    pack_vectors(*vectors, "100 B/entity", Path("shop.safetensors"), options)
    (block,) = (block for block in blocks if "def best_items" in block)
    exec(compile(block, "docs/own_data.md", "exec"), names)
    own = names["model"].recommend(["ann"], k=10, exclude_seen=False).items[0]
    assert names["best_items"]("ann", ["tea", "cup"]) == own
    with pytest.raises(UnknownId, match="unknown item 'coal'"):
        names["best_items"]("somebody", ["coal"])


def test_the_share_that_new_items_keep_is_the_measured_one():
    benchmarks = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    kept = [float(row[-1].rstrip("%")) for row in table_rows(section(benchmarks, "New items"))]
    assert f"[{min(kept):.0f} to {max(kept):.0f} %](../benchmarks/README.md#new-items)" in PAGE


def test_quality_by_bytes_is_the_measured_one():
    benchmarks = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    measured = table_rows(section(benchmarks, "Bytes per entity"))
    kept = {(row[0], row[1]): row[4].replace("%", " %") for row in measured}
    table = PAGE.split("([measured]", 1)[1].split("Start with", 1)[0]
    rows = table_rows(table)
    assert len(rows) == 4
    for size, *shown in rows:
        assert shown == [kept[name, size] for name in ("movielens-100k", "ml-1m", "gowalla")]
