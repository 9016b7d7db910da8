"""The minutes of ``bet table`` bound all of it: on a clock that moves when something is trained."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

import bet.release.build as building
from bet.data import planted
from bet.release import choice, clock, searched, stage
from bet.release.build import build_table
from bet.release.candidates import Candidate, candidate
from bet.release.clock import Clock, OutOfTime
from bet.release.families import ALS, BLEND, FILTER, GRAPH_BLEND, VECTORS
from bet.release.sentences import left_out_sentence, time_sentence
from bet.release.stage import Stage
from bet.release.task import Fixed
from bet.search import StageSeconds

FAST = Fixed(epochs=2, learning_rate=0.03, l2=0.3)
# Seconds of a training, which looks at validation ten times; a tenth of them is for that.
COSTS = {"filter": 8, "knn": 9, "ials": 5, "blend": 12, "lightgcn": 20, "rows": 20}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def now(monkeypatch):
    """A clock at ``now.seconds``, which trainings and the last refit move on."""
    fake = SimpleNamespace(seconds=1000.0)
    fake.monotonic = lambda: fake.seconds
    for module in (building, choice, clock, searched, stage):
        monkeypatch.setattr(module, "time", fake)
    train, refit = Candidate.train, building._refit

    def slow_train(self, ends):
        outcome, cost = train(self, math.inf), COSTS.get(self.family.name, 0.1)
        for _ in range(10):
            fake.seconds += cost / 10
            if fake.seconds > ends:
                raise OutOfTime
        if not self.family.has_table:
            return replace(outcome, seconds=StageSeconds(search=cost, retrain=0.0))
        if self.vectors is not None:
            return outcome
        result = replace(outcome.trained.result, seconds=cost, evaluating=cost / 10)
        return replace(outcome, trained=replace(outcome.trained, result=result))

    def slow_refit(task, chosen):
        fake.seconds += chosen.refit_seconds
        return refit(task, chosen)

    monkeypatch.setattr(Candidate, "train", slow_train)
    monkeypatch.setattr(building, "_refit", slow_refit)
    monkeypatch.setattr(building, "search", lambda *_: (None, "not here"))
    return fake


@pytest.mark.parametrize("minutes", [0.5, 1, 2, 4, 30])
def test_the_refit_is_within_the_minutes(tmp_path, now, minutes):
    release = build_table(planted(), 20_000, tmp_path / "t", minutes=minutes, fixed=FAST)
    assert now.seconds - 1000 <= 60 * minutes
    assert release.seconds == now.seconds - 1000
    assert f"of the {minutes:g} minutes given." in time_sentence(release)
    assert (release.chosen.family == "popularity") <= (minutes <= 0.5)
    if minutes == 30:
        assert not release.left_out
    else:
        assert left_out_sentence(release)


def test_a_winner_that_cannot_be_refitted_is_not_chosen(now):
    def tried(name, seconds):
        return SimpleNamespace(refit_seconds=seconds, measured=SimpleNamespace(name=name))

    best = {"popularity": tried("popularity", 99), "ials": tried("iALS vectors", 50)}
    best["filter"] = tried("graph filter", 10)
    left_out = []
    started = Clock(100.0, started=now.seconds - 72)  # 20 seconds before the latest
    fitting = choice._that_can_be_refitted(best, started, left_out)
    assert list(fitting) == ["popularity", "filter"]
    assert left_out == ["the fit of iALS vectors to all interactions"]
    now.seconds += 1e6
    assert list(choice._that_can_be_refitted(best, started, [])) == ["popularity"]


def test_a_training_leaves_the_time_that_its_refit_takes(task):
    limited = Stage(math.inf, [], [], latest=100.0)
    vectors = replace(candidate(task, ALS, 2), growth=2.0)
    assert limited.training_ends(vectors, 10.0) == 40.0  # 30 seconds, and twice as many
    blend = candidate(task, BLEND, settings=vectors.settings)
    limited.of_parts = 30.0
    assert limited.training_ends(blend, 10.0) == 70.0  # whose parts take the rest
    limited.ends = 20.0
    assert limited.training_ends(vectors, 10.0) == 20.0
    assert Stage(math.inf, [], []).training_ends(vectors, 10.0) == math.inf


def test_a_refit_is_expected_to_take_its_training_without_looks_at_validation(task):
    tried = Stage(math.inf, [], []).best_of([candidate(task, ALS, 2)])
    result = tried.outcome.trained.result
    assert 0 < result.evaluating < result.seconds
    assert task.growth == len(planted()) / task.data.train.nnz > 1.5
    expected = task.growth * (result.seconds - result.evaluating)
    assert tried.refit_seconds == pytest.approx(expected)
    rule = Stage(math.inf, [], []).best_of([candidate(task, FILTER)])
    tuning = rule.outcome.seconds.search
    assert tuning > 0 and rule.refit_seconds > task.growth * tuning


@pytest.mark.parametrize("history", [True, False])
def test_lightgcn_is_trained_once_for_both_where_its_vectors_fit(task, monkeypatch, history):
    """Those of a file without histories are wider than fits beside interactions."""
    everything = Stage(math.inf, [], [])
    vectors = everything.best_of([candidate(task, VECTORS, 2, history=history)])
    trained = []
    original = Candidate.train

    def spy(self, ends):
        trained.append(self)
        return original(self, ends)

    monkeypatch.setattr(Candidate, "train", spy)
    blended = choice._try_graph_blend(task, everything, vectors)
    (made,) = trained
    assert made.family is GRAPH_BLEND and made.bits == 2 and made.n_bytes <= task.limit
    model = blended.outcome.trained.model
    assert (model.table is vectors.outcome.trained.model.table) == history
    assert (made.vectors is vectors.outcome) == history
    assert blended.measured.n_bytes <= made.n_bytes
