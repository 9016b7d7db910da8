"""The parts of ``bet table``: candidates and their bytes, stages of time, what an untouched ALS
gives.
"""

import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

import bet
from bet.data import from_pairs, planted
from bet.errors import BetError
from bet.packed import id_layout
from bet.release.alternatives import alternative
from bet.release.build import build_table
from bet.release.candidates import candidate, changed, smallest_bytes
from bet.release.choice import Choice, popularity_candidate
from bet.release.clock import Clock, OutOfTime
from bet.release.families import ALS, BLEND, FAMILIES, training_facts
from bet.release.page import write_page
from bet.release.sentences import load_lines
from bet.release.stage import Stage
from bet.release.task import Fixed
from bet.release.untouched import untouched_als
from bet.serving import write_served
from bet.study.output import ids_of

FAST = Fixed(epochs=2, learning_rate=0.03, l2=0.3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))


def choices():
    for family in FAMILIES:
        for bits in family.bits or (None,):
            yield pytest.param(family, bits, id=f"{family.words}-{bits}")


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize(("family", "bits"), list(choices()))
def test_bytes_are_known_before_training(task, tmp_path, family, bits, with_ids):
    """No file is longer than was said, and none that was said to fit does not."""
    data = task.interactions
    ids = ids_of(data) if with_ids else None
    task = replace(task, ids=id_layout(ids) if ids else ())
    made = 0
    for limit in (1_800, 6_000, 30_000):
        for history in (True, False):
            each = candidate(task.of_limit(limit), family, bits, history=history)
            if each is None:
                continue
            made += 1
            assert each.n_bytes <= limit
            outcome = each.train(math.inf)
            model = outcome.fit_to(data.matrix, "all").model
            served = write_served(
                tmp_path / "file",
                model,
                data.matrix,
                with_seen=each.history,
                ids=ids,
                facts=training_facts(each.settings),
            )
            size = (tmp_path / "file").stat().st_size
            assert size <= each.n_bytes, each.name
            # Numbers in the header may have fewer digits; lists may be shorter than they could be.
            trained = each.trained_bytes(outcome.trained.model.table.n_bytes())
            assert trained <= each.n_bytes and size <= trained
            assert size >= trained - 120 or family.neighbors
            assert trained == each.n_bytes or family is BLEND
            assert bool(served.layout.interactions or served.layout.seen) == each.history
    assert made


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.words)
def test_the_smallest_file_of_a_family_is_the_smallest(task, family):
    smallest = smallest_bytes(task, family)
    bits = family.bits or (None,)

    def fits(limit):
        return any(candidate(task.of_limit(limit), family, b, history=False) for b in bits)

    assert not fits(smallest - 1)
    # A list of one size is shorter than that of the smallest table, which is made for several.
    assert fits(smallest + (60 if family is BLEND else 0))


def test_candidates_differ_by_all_that_is_trained_differently(task):
    base = candidate(task, ALS, 2)
    others = [
        candidate(task, ALS, 4),
        candidate(task, ALS, 2, history=False),
        changed(task, base, columns=8),
        changed(task, base, settings=replace(base.settings, l2=0.7)),
        changed(task.of_limit(5_000), base),
    ]
    keys = [each.key for each in (base, *others)]
    assert len(set(keys)) == len(keys) and changed(task, base).key == base.key
    assert base.name == "iALS vectors at 2 bits"
    assert others[1].name == "iALS vectors at 2 bits, without histories"


def test_a_stage_trains_what_there_is_time_for(task):
    stage = Stage(math.inf, [], [])
    first, second = (candidate(task, ALS, bits) for bits in (2, 4))
    best = stage.best_of([first, None, second, first])
    assert [row.name for row in stage.measured] == [first.name, second.name], "each once"
    assert best.quality == max(row.quality for row in stage.measured)
    kept = [each.folder.exists() for each in (first, second)]
    assert kept == [each is best.candidate for each in (first, second)]
    stage.ends, stage.slowest = time.monotonic() + 1e6, 1e7
    third = candidate(task, ALS, 1)
    assert stage.best_of([third], best) is best and stage.left_out == [third.name]
    with pytest.raises(OutOfTime):
        third.train(time.monotonic() - 1)
    late = Stage(time.monotonic() - 1, [], [])
    assert late.best_of([third]) is None and late.left_out == [third.name]


def test_a_stage_goes_on_where_it_was_interrupted(task, monkeypatch):
    def stage():
        return Stage(math.inf, [], [])

    candidates = [candidate(task, ALS, bits) for bits in (2, 4, 1)]
    before = stage()
    best = before.best_of(candidates)
    again = stage()
    resumed = again.best_of([best.candidate, *candidates])
    assert resumed.candidate is best.candidate
    assert sorted(row.name for row in again.measured) == sorted(row.name for row in before.measured)
    assert {row.name: row for row in again.measured} == {row.name: row for row in before.measured}


def test_an_untouched_als_is_what_its_sweeps_converge_to():
    """Plain alternating least squares in numpy: every pair weighs the same."""
    train, k, penalty = planted().matrix, 8, 0.01
    dense = train.toarray().astype(float)
    rng = np.random.default_rng(1)
    items = rng.normal(0, 0.1, (dense.shape[1], k))
    for _ in range(400):
        users = np.linalg.solve(items.T @ items + penalty * np.eye(k), items.T @ dense.T).T
        items = np.linalg.solve(users.T @ users + penalty * np.eye(k), users.T @ dense).T
    scores = untouched_als(train, factors=k)(torch.arange(dense.shape[0])).numpy()
    np.testing.assert_allclose(scores, users @ items.T, atol=1e-3)
    narrow = untouched_als(train[:5], factors=64)(torch.arange(5))
    assert narrow.shape == (5, dense.shape[1]) and torch.isfinite(narrow).all()
    # Of one user the only factor is the row itself, shrunk by the penalty over its length.
    row = torch.from_numpy(dense[:1])
    alone = untouched_als(train[:1])(torch.arange(1))
    np.testing.assert_allclose(alone, row * (1 - penalty / row.norm()), atol=1e-6)
    one_item = untouched_als(csr_array(train[:1].T))(torch.arange(dense.shape[1]))
    np.testing.assert_allclose(one_item, alone.T, atol=1e-6)


def test_one_user_gets_a_file(tmp_path):
    data = from_pairs("one", pd.Series(["ann"] * 50), pd.Series(np.arange(50)))
    release = build_table(data, 20_000, tmp_path / "t", fixed=FAST)
    untouched = release.references[1]
    assert untouched.name == "ALS of default settings, 1 float32 factor"
    assert untouched.n_bytes == 4 * 51
    # She has everything: there is something to show only with what she has had.
    assert bet.load(tmp_path / "t").recommend(["ann"], k=9, exclude_seen=False).items[0]
    assert "exclude_seen=False" in load_lines(release)


@pytest.mark.parametrize("lacks", [False, True])
def test_users_who_have_everything_get_a_file(tmp_path, lacks):
    """All pairs of 30 users and 30 items, or all but one: gradients need somebody who lacks an
    item, also once the model is fitted to all interactions.
    """
    users, items = np.divmod(np.arange(900 - lacks), 30)
    data = from_pairs("dense", pd.Series(users), pd.Series(items))
    release = build_table(data, 20_000, tmp_path / "t", fixed=FAST)
    assert {"popularity", "ials"} < {each.family for each in release.measured}
    trained = any("lightgcn" in each.family for each in release.measured)
    assert trained == lacks
    printed = load_lines(release)
    if lacks:
        assert release.example_user == "29" and release.example_excludes_seen
        assert bet.load(tmp_path / "t").recommend(["29"], k=10).items == [["29"]]
    else:
        assert "exclude_seen=False" in printed


def test_a_clock_has_parts():
    clock = Clock(600.0, started=100.0)
    assert clock.share(0.5) == 400.0 and clock.share(1.0) == 700.0
    started = Clock.start(2)
    assert started.seconds == 120 and started.started <= time.monotonic()


def test_nothing_that_recommends_is_an_error(tmp_path):
    # Nobody shares anything with anybody, and popularity, all there is time for, finds nothing.
    users = np.repeat(np.arange(40), 4)
    alone = from_pairs("alone", pd.Series(users), pd.Series(np.arange(160)))
    with pytest.raises(BetError, match="finds an interaction of validation"):
        build_table(alone, 10_000, tmp_path / "t", minutes=1e-6)
    assert not (tmp_path / "t").exists()


def test_what_the_caller_fixed_is_not_swept(tmp_path):
    fixed = Fixed(epochs=3, learning_rate=0.05, l2=0.2, columns=8)
    release = build_table(planted(), 8_000, tmp_path / "t", fixed=fixed)
    tables = [each for each in release.measured if each.columns]
    assert tables
    for each in tables:
        assert each.columns <= 8 and each.settings["epochs"] <= 3 and each.settings["l2"] == 0.2
        assert each.settings.get("learning_rate", 0.05) == 0.05
    for name in ("epochs", "learning_rate", "l2", "columns"):
        with pytest.raises(BetError, match=f"{name} must be positive"):
            Fixed(**{name: 0})
    odd = Fixed(epochs=1, learning_rate=0.012345678901234567, l2=0.12345678901234567)
    for limit in (2_000, 2_001, 2_003, 2_007):  # a number of many digits takes them from the rows
        release = build_table(planted(), limit, tmp_path / "t", fixed=odd)
        assert (tmp_path / "t").stat().st_size <= release.chosen.n_bytes <= limit
    with pytest.raises(BetError, match="columns must be from 1 to 32,767"):
        Fixed(columns=10**6)


@pytest.mark.parametrize("shape", [(5, 6, 20), (30, 8, 100), (40, 200, 300)])
def test_a_handful_of_interactions_is_enough(tmp_path, shape):
    """No warning on the way (they are errors here), and lists no longer than the catalogue."""
    n_users, n_items, k = shape
    rng = np.random.default_rng(0)
    pairs = (pd.Series(rng.integers(0, n, k)) for n in (n_users, n_items))
    pairs = pd.DataFrame(dict(zip(("user", "item"), pairs, strict=True))).drop_duplicates()
    data = from_pairs("few", pairs["user"], pairs["item"])
    release = build_table(data, 4_000, tmp_path / "t", fixed=FAST)
    model = bet.load(tmp_path / "t")
    assert (tmp_path / "t").stat().st_size <= 4_000
    shown = min(10, data.n_items)
    assert f"k={shown}" in load_lines(release)
    exclude = {"exclude_seen": release.holds_history}
    (items,) = model.recommend([release.example_user], k=shown, **exclude).items
    assert len(items) <= shown
    assert write_page(release).is_file()


def test_rules_that_were_trained_for_half_the_bytes_count_for_double_too(task):
    """Where there was no time for them within the budget itself."""
    popular = Stage(math.inf, [], []).best_of([popularity_candidate(task)])
    choice = Choice(popular, {"popularity": popular}, None, [], [])
    stage = Stage(math.inf, [], [])
    few, more, most = (
        alternative(task, choice, limit, stage).candidates for limit in (10_000, 10_100, 40_000)
    )
    assert [row.family for row in few] == ["popularity", "filter", "knn"]
    assert more == few
    # For most bytes there are longer lists of nearest items; the filter is the same.
    assert [row for row in most if row in few] == list(few[:2]) and len(most) == 3
