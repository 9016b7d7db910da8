"""The comparison with another library's ALS, and what bytes keep: measured on what they say."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.sweeps import budgets, outside, settings
from bet.data import FrequencyOrder, load_dataset, split_interactions
from bet.packed import write_packed, write_recommender
from bet.serving import coded_in_order
from bet.study.profiles import PROFILES


@pytest.fixture
def als_of_tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    monkeypatch.setattr(outside, "ALPHAS", (1.0, 10.0))
    monkeypatch.setattr(outside, "L2", (3.0, 10.0))
    return outside.Outside(split_interactions(load_dataset("tiny"), 0), seed=0)


def test_als_of_another_library_is_least_squares(als_of_tiny):
    """Items come last: each solves its weighted least squares against the users."""
    settings = outside.Als(factors=3, alpha=10.0, regularization=2.0)
    train = als_of_tiny.split.train
    vectors = outside.fit(train, settings, seed=0)
    users, items = (v.astype(float) for v in np.split(vectors, [als_of_tiny.n_users]))
    expected = np.empty_like(items)
    for item, row in enumerate(train.T.tocsr().toarray()):
        weights = np.where(row, settings.alpha, 1.0)
        left = (users.T * weights) @ users + settings.regularization * np.eye(3)
        expected[item] = np.linalg.solve(left, users.T @ (weights * row))
    np.testing.assert_allclose(items, expected, atol=0.02 * np.abs(expected).max())
    np.testing.assert_array_equal(vectors, outside.fit(train, settings, seed=0))


def test_als_of_another_library_is_rounded_into_the_bytes(als_of_tiny, monkeypatch, tmp_path):
    seen, n = [], als_of_tiny.n
    monkeypatch.setattr(outside, "Outside", lambda split, seed: als_of_tiny)

    def bet(data, split, limit, seed):
        seen.append((len(data), split.name, limit, seed))
        return outside.Row(split.name, limit, "bet", 1.0, 0.5, 0.25)

    data = load_dataset("tiny")
    rows = list(outside.compare("tiny", ["20 B/entity"], 0, {False: bet, True: bet}))
    untouched, defaults, chosen, _, beside, _ = rows
    assert untouched.bytes_per_entity > 4 * outside.DEFAULT_FACTORS
    assert all(14 < row.bytes_per_entity <= 20 for row in (defaults, chosen, beside))
    assert 0 < defaults.recall < 1 and 0 < chosen.ndcg < 1
    assert seen == [(len(data), "tiny", "20 B/entity", 0)] * 2
    # Beside histories fewer bytes are left: a file of such vectors and histories has this length.
    assert beside.what.endswith(", and histories")
    columns, bits = map(int, re.search(r"(\d+) x (\d) bits", beside.what).groups())
    layout = outside.vectors_layout(n, columns, bits, data.n_users)
    write_packed(tmp_path / "vectors", layout, np.ones((n, 1, columns)))
    coded = coded_in_order(data.matrix, FrequencyOrder.of(data.matrix).entities)
    sides = {"n_users": data.n_users, "n_items": data.n_items}
    write_recommender(
        tmp_path / "file", "vectors", {}, **sides, table=tmp_path / "vectors", seen=coded
    )
    length = (tmp_path / "file").stat().st_size
    assert length <= 20 * n and beside.bytes_per_entity * n == pytest.approx(length, abs=16)
    assert "| tiny | 20 B/entity | bet | 1.0 | 0.5000 | 0.2500 |" in outside.table(rows)
    # One column more would not fit, and what a file gives back is what is ranked.
    limit = 20 * n
    columns = outside.most_columns(n, 4, als_of_tiny.n_users, limit)
    lengths = [outside.vectors_bytes(n, c, 4, als_of_tiny.n_users) for c in (columns, columns + 1)]
    assert lengths[0] <= limit < lengths[1]
    monkeypatch.setattr(outside, "fit", None)  # nothing is ranked on validation again
    best = als_of_tiny.chosen(limit)
    assert best.factors == columns
    grid = [outside.Als(columns, alpha, l2) for alpha in (1, 10) for l2 in (3, 10)]
    quality = {settings: als_of_tiny.qualities(settings, [4])[4] for settings in grid}
    assert quality[best] == max(quality.values()) > min(quality.values())


def test_vectors_go_through_a_file(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    read = outside.through_file(vectors, 8, 20, tmp_path)
    np.testing.assert_allclose(read, vectors, atol=0.05)
    assert len(np.unique(np.abs(outside.through_file(vectors, 1, 20, tmp_path)[0]))) == 1
    length = (tmp_path / "vectors.safetensors").stat().st_size
    assert length == outside.vectors_bytes(50, 12, 1, 20)


def test_bytes_keep_the_best_bits(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    monkeypatch.setattr(budgets, "BUDGETS", ("12.8 B/entity",))
    monkeypatch.setattr(budgets, "BITS", (4, 1))
    budgets.main(["--datasets", "tiny", "--profile", "smoke"])
    shown = capsys.readouterr().out
    monkeypatch.setattr(settings, "train_from_scratch", None)  # nothing is trained again
    full, best = budgets.measure("tiny", "smoke")
    assert (full.bits, full.kept, full.budget) == (32, 1.0, "64 B/entity")
    profile = PROFILES["smoke"]
    by_bits = {
        bits: settings.quality(
            "tiny", "ials", profile.training["ials"], (f"uniform-int{bits}", "12.8 B/entity"), 16
        )
        for bits in (4, 1)
    }
    assert by_bits[best.bits] == best.quality == max(by_bits.values()) > min(by_bits.values()) > 0
    assert best.kept == pytest.approx(best.quality / full.quality)
    assert shown.endswith(budgets.table([full, best]) + "\n")


def test_what_bet_table_writes_stands_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    calls = []

    def build_table(interactions, limit, file, **options):
        calls.append(options)
        file.write_bytes(bytes(limit - 5))
        chosen = SimpleNamespace(name="the best")
        return SimpleNamespace(chosen=chosen, test={"recall@20": 0.5, "ndcg@20": 0.25})

    monkeypatch.setattr(outside, "build_table", build_table)
    data = load_dataset("tiny")
    split = split_interactions(data, 0)
    given = (data, split, "20 B/entity", 0)
    rows = [outside.of_bet(*given, minutes=3, history=history) for history in (False, True, True)]
    assert [row.what for row in rows[:2]] == [
        "`bet table --no-history`: the best",
        "`bet table`: the best",
    ]
    n = data.n_users + data.n_items
    assert rows[1] == rows[2] and rows[0].bytes_per_entity == 20 - 5 / n
    assert (rows[0].recall, rows[0].ndcg) == (0.5, 0.25)
    assert [(call["minutes"], call["history"]) for call in calls] == [(3, False), (3, True)]
