"""Compiled loops are loaded where it pays, and a first answer is there before."""

import subprocess
import sys

import numpy as np

from bet import lazy_loops
from bet.packed import code_interactions, vectors_layout, write_packed, write_recommender


def test_loops_are_loaded_once_it_pays(monkeypatch):
    for numba in (None, "numba"):
        monkeypatch.setattr(lazy_loops, "find_spec", lambda name, numba=numba: numba)
        loops = lazy_loops.LazyLoops(worth=10)
        paid = [loops.pay(work) for work in (9, 0, 1, 0)]
        assert paid == [False, False, numba is not None, numba is not None]


def test_a_first_answer_does_not_wait_for_numba(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4000, 1, 8)).astype(np.float32)
    write_packed(tmp_path / "vectors", vectors_layout(4000, 8, 4, n_users=1000), values)
    lists = code_interactions(np.arange(1001), rng.integers(0, 3000, 1000), n_items=3000)
    exponents = {"user_exponent": 0.5, "item_exponent": 0.3}
    for name, facts, table in (
        ("ials", {}, tmp_path / "vectors"),
        ("graph-filter", exponents, None),
        ("blend", exponents | {"weight": 1.0}, tmp_path / "vectors"),
    ):
        parts = {"interactions": lists, "table": table, "n_users": 1000, "n_items": 3000}
        write_recommender(tmp_path / name, name, facts, **parts)
    code = """if True:
        import sys, bet
        for path in sys.argv[1:]:
            items = bet.load(path).recommend_rows([0, 1], 3, exclude_seen=False).items
            assert (items >= 0).all()
        print({"numba", "torch"} & set(sys.modules))"""
    paths = [str(path) for path in tmp_path.iterdir()]
    run = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False
    )
    assert len(paths) == 4 and run.stdout == "set()\n", run.stderr
