"""The parts of ``bet table``: candidates and their bytes, stages of time, what an untouched ALS
gives, an earlier file refitted, and the command itself.
"""

import math
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import bet
import bet.__main__
from bet.data import evaluable_split, from_pairs, planted
from bet.errors import BetError
from bet.packed import id_layout, load
from bet.release.build import build_table
from bet.release.candidates import (
    ALS,
    BLEND,
    FAMILIES,
    candidate,
    changed,
    smallest_bytes,
    training_facts,
)
from bet.release.clock import Clock, OutOfTime
from bet.release.stage import Stage
from bet.release.sweeps import sweep_lightgcn
from bet.release.task import Fixed, Task
from bet.release.untouched import untouched_als
from bet.release.update import continue_file, same_bytes
from bet.search import TrainingData, Workspace, refit
from bet.serving import coded_in_order, write_served
from bet.study.output import ids_of

FAST = Fixed(epochs=2, learning_rate=0.03, l2=0.3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def task(tmp_path):
    data = planted()
    split = evaluable_split(data, 0)
    training = TrainingData(split.train, split.validation)
    return Task(
        interactions=data,
        split=split,
        data=training,
        limit=6_000,
        coded=coded_in_order(data.matrix, training.order.entities),
        ids=(),
        history=True,
        fixed=FAST,
        minutes=10.0,
        seed=0,
        workspace=Workspace(tmp_path / "work", tmp_path / "work"),
    )


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
            if outcome.refit is None:
                model = refit(outcome.context, outcome.trained, data.matrix, "all")
            else:
                model = outcome.refit(data.matrix, "all")
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
            assert size >= each.n_bytes - 120 or family is BLEND or family.neighbors
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
    stage = Stage(time.monotonic() + 60, [], [])
    first, second = (candidate(task, ALS, bits) for bits in (2, 4))
    best = stage.best_of([first, None, second, first])
    assert [row.name for row in stage.measured] == [first.name, second.name], "each once"
    assert best.quality == max(row.quality for row in stage.measured)
    kept = [each.folder.exists() for each in (first, second)]
    assert kept == [each is best.candidate for each in (first, second)]
    stage.slowest = 100.0
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


def halves():
    """The first half of the planted users' interactions, and interactions of new people."""
    matrix = planted().matrix
    users, items = matrix.nonzero()
    names = np.array([f"u{u}" for u in users]), np.array([f"i{i}" for i in items])
    old = (users < 80) & (items < 80)
    return [
        from_pairs("old", *(pd.Series(side[part]) for side in names)) for part in (old, ~old)
    ]


EVERY = ["popularity", "filter", "knn", "ials", "lightgcn", "rows", "blend"]


@pytest.mark.parametrize("family", EVERY)
def test_an_earlier_file_is_refitted_with_more(tmp_path, monkeypatch, family):
    old, more = halves()

    def only(task, best):
        return best[family], None

    monkeypatch.setattr("bet.release.choice._weigh_histories", only)
    def holding(task, stage, *, history):
        return sweep_lightgcn(task, stage, history=True)

    monkeypatch.setattr("bet.release.choice.sweep_lightgcn", holding)
    monkeypatch.setattr("bet.release.build.search", lambda *_: (None, "not here"))
    limit = 20_000 if family == "knn" else 5_000
    earlier_file, file = tmp_path / "old", tmp_path / "new"
    before = build_table(old, limit, earlier_file, fixed=FAST, with_ids=True)
    earlier, together = continue_file(earlier_file, more)
    assert earlier.family == family and len(together) == len(planted())
    limit = same_bytes(earlier, together)
    after = build_table(together, limit, file, earlier=earlier)
    assert after.chosen.family == family and file.stat().st_size <= limit
    facts = load(earlier_file).facts
    if family != "blend":  # whose filter and weight are chosen again
        assert {name: after.chosen.settings[name] for name in facts} == dict(facts)
        assert after.chosen.bits == before.chosen.bits
    model = bet.load(file)
    assert (model.n_users, model.n_items) == (together.n_users, together.n_items)
    items = model.recommend([f"u{together.n_users - 1}"], k=5).items
    assert len(items[0]) == 5
    assert after.unsearched == "not tried, since an earlier file is refitted"


def test_what_cannot_be_continued_is_refused(tmp_path):
    old, more = halves()
    without = tmp_path / "without"
    build_table(old, 5_000, without, fixed=FAST, history=False)
    with pytest.raises(BetError, match="holds no histories, so nothing can be added"):
        continue_file(without, more)
    bare = tmp_path / "bare"
    model = candidate_vectors(tmp_path)
    model.save_table(bare)
    with pytest.raises(BetError, match="without what its training had"):
        continue_file(bare, more)


def candidate_vectors(folder):
    from bet.actions import Allocation
    from bet.backbones import BACKBONES, new_recommender, normalized_adjacency

    matrix = planted().matrix
    return new_recommender(
        BACKBONES["ials"],
        normalized_adjacency(matrix),
        Allocation.uniform(sum(matrix.shape), 4),
        n_users=matrix.shape[0],
        d_max=4,
        generator=torch.Generator(),
    )


def ratings(path, users, items):
    lines = [f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)]
    path.write_text("who,item\n" + "".join(lines))


def test_the_command_from_a_file_to_recommendations(tmp_path, capsys):
    """In processes of their own, as written, with progress although it is redirected."""
    users, items = planted().matrix.nonzero()
    data, out, more = (tmp_path / name for name in ("ratings.csv", "shop.safetensors", "more.csv"))
    ratings(data, users, items)
    command = [sys.executable, "-m", "bet", "table", "--data", str(data), "--user-column", "who"]
    options = ["--epochs", "2", "--l2", "0.3", "--learning-rate", "0.03", "--out", str(out)]
    run = subprocess.run(
        [*command, *options, "--budget", "25.6 B/entity to serve"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    said = run.stderr.splitlines()
    assert said[0].startswith("Interactions(ratings: 120 users x 90 items")
    assert "5,376 bytes to serve: about 1 minute, at most 10 (--minutes)" in said[0]
    assert any(line.startswith("popularity: quality") for line in said)
    printed = run.stdout.splitlines()
    assert printed[0].startswith(f"{out}: {out.stat().st_size:,} bytes to serve of at most 5,376; ")
    assert any("popularity" in line and "implicit" in line for line in printed)
    assert (tmp_path / "shop.safetensors.html").is_file()
    pasted = subprocess.run(
        [sys.executable, "-c", "\n".join(printed[-3:])], capture_output=True, text=True
    )
    assert pasted.returncode == 0, pasted.stderr
    assert len(eval(pasted.stdout)[0]) == 10
    ratings(more, ["new"] * 5 + [0], [0, 1, 2, 3, 4, 0])
    assert load(out).seen is not None
    command = ["table", "--data", str(more), "--user-column", "who", "--continue", str(out)]
    assert bet.__main__.main([*command, "--out", str(out)]) == 0
    assert "exclude_seen" not in capsys.readouterr().out
    model = bet.load(out)
    assert model.n_users == 121 and len(model.recommend(["unew"], k=5).items[0]) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "90%"], "needs a budget in bytes"),
        (["--budget", "1 MB", "--minutes", "0"], "minutes must lie in"),
        (["--budget", "1 MB", "--l2", "-1"], "l2 must be positive"),
        (["--budget", "1 MB", "--no-history", "--continue", "x"], "leave --no-history out"),
        (["--budget", "1 MB", "--continue", "absent"], "absent"),
        (["--budget", "1 MB", "--k-core", "5"], "named dataset"),
    ],
)
def test_bad_options_are_refused(tmp_path, capsys, options, message):
    command = ["table", "--data", "tiny", "--out", str(tmp_path / "t"), *options]
    assert bet.__main__.main(command) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_too_little_memory_names_the_road_to_more(tmp_path, capsys, monkeypatch):
    def too_many(_):
        raise MemoryError

    monkeypatch.setattr("bet.cli.table.interactions_of", too_many)
    command = ["table", "--budget", "1 MB", "--out", str(tmp_path / "t")]
    assert bet.__main__.main(command) == 1
    assert "docs/scale_out.md" in capsys.readouterr().err


def test_a_clock_has_parts():
    clock = Clock(600.0, started=100.0)
    assert clock.share(0.5) == 400.0 and clock.share(1.0) == 700.0
    assert Clock.start(2).left == pytest.approx(120, abs=5)


def test_nothing_that_recommends_is_an_error(tmp_path):
    # Nobody shares anything with anybody, and popularity, all there is time for, finds nothing.
    users = np.repeat(np.arange(40), 4)
    alone = from_pairs("alone", pd.Series(users), pd.Series(np.arange(160)))
    with pytest.raises(BetError, match="finds an interaction of validation"):
        build_table(alone, 10_000, tmp_path / "t", minutes=1e-6)
    assert not (tmp_path / "t").exists()
