"""Backbone ``ials``: odd data, wrong settings, which methods run on it, searches, profiles."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fitted import fresh, random_matrix
from scipy.sparse import csr_array

from bet.data.interactions import binary_matrix
from bet.errors import BetError
from bet.methods import METHODS, REFERENCES
from bet.methods.method import BY_LEAST_SQUARES
from bet.packed import load
from bet.search import SearchSettings, load_or_pretrain, refit
from bet.search import training as dispatch
from bet.study.cell import Cell
from bet.study.profiles import PROFILES, load_profile
from bet.study.run import run_cell
from bet.study.settings import FIT_SETTINGS
from bet.training import AlsSettings, TrainSettings, train_als

STUDIES = Path(__file__).resolve().parent.parent / "workflow" / "studies"
SETTINGS = AlsSettings(sweeps=6, unobserved_weight=0.1, evaluate_every=1)


@pytest.mark.parametrize(
    "dense",
    [
        np.ones((4, 6)),  # every user has every item
        np.ones((7, 1)),
        np.ones((1, 7)),
        np.ones((1, 1)),
        np.eye(5),  # nobody shares an item
        np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]),
    ],
    ids=["full", "one item", "one user", "one pair", "no repeats", "empty rows"],
)
def test_odd_data_and_a_rank_above_the_catalogue_are_fitted(dense):
    train = binary_matrix(*np.nonzero(dense), dense.shape)
    model = fresh(train, 40)
    train_als(model, train, replace(SETTINGS, sweeps=20, l2=1e-3), seed=0, epochs=20)
    users, items = model.table().detach().split(dense.shape)
    scores = (users @ items.T).numpy()
    weighted = np.where(dense > 0, 1 / (1 + SETTINGS.unobserved_weight), 0.0)
    np.testing.assert_allclose(scores, weighted, atol=0.03)


def test_no_interactions_are_refused():
    train = csr_array((3, 4), dtype=np.uint8)
    with pytest.raises(BetError, match=r"no interactions of \(3, 4\) users and items; give some"):
        train_als(fresh(train, 2), train, SETTINGS, seed=0)


def test_numbers_that_overflow_end_the_fit():
    train = random_matrix(20, 15, 5)
    huge = replace(SETTINGS, unobserved_weight=1e30)
    with pytest.raises(BetError, match=r"unobserved_weight is 1e\+30; at most 1e\+15 .*lower"):
        train_als(fresh(train, 3), train, huge, seed=0)
    for name, value in (("l2", 1e30), ("exponent", 50.0)):
        with pytest.raises(BetError, match=r"l2 .* and exponent .*lower them"):
            train_als(fresh(train, 3), train, replace(SETTINGS, **{name: value}), seed=0)
    with pytest.raises(BetError, match="diverged in sweep 1"):
        train_als(fresh(train, 3, init_std=1e25), train, SETTINGS, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sweeps", 0),
        ("cg_steps", 0),
        ("evaluate_every", 0),
        ("patience", 0),
        ("l2", 0.0),
        ("l2", np.inf),
        ("unobserved_weight", -1.0),
        ("unobserved_weight", np.nan),
        ("exponent", np.inf),
        ("round_from", 1.5),
        ("init_std", 0.0),
        ("validation_share", 0.0),
    ],
)
def test_wrong_settings_are_refused(name, value):
    with pytest.raises(BetError, match=f"{name} must .* got {value}"):
        AlsSettings(**{name: value})


def test_every_method_runs_on_it_or_says_which_do(make):
    assert set(BY_LEAST_SQUARES) <= set(METHODS)
    others = set(METHODS) - set(BY_LEAST_SQUARES)
    assert {"magnitude", "pep", "optembed", "esapn", "ciess", "amtl", "nested", "hash"} <= others
    context = make("ials", "50%", limit=5_000)
    for name in others:
        listed = "are full, su, su-floor, sr"
        with pytest.raises(BetError, match=f"method '{name}' needs gradients.* {listed}"):
            METHODS[name](context)
        reason = "references .* take the backbone" if name in REFERENCES else "needs gradients"
        with pytest.raises(BetError, match=f"method '{name}' .*{reason}"):
            Cell("tiny", "ials", "50%", name)
    assert not context.workspace.cache.exists()
    with pytest.raises(BetError, match="'ials' is not trained by gradients"):
        context.settings.finetuning  # noqa: B018


@pytest.fixture
def trainings(monkeypatch):
    """Digests of the allocations that are trained from now on."""
    seen = []

    def counted(model, *arguments, **options):
        seen.append(model.table.allocation.digest)
        return train_als(model, *arguments, **options)

    monkeypatch.setattr(dispatch, "train_als", counted)
    return seen


@pytest.mark.parametrize("method", ["powerlaw", "bet", "bet-int8", "bet-bytes"])
def test_a_search_trains_every_action_once(make, trainings, method):
    search = SearchSettings(iterations=6, actions=10, top=2, curve=(3,))
    context = make("ials", "50%", limit=2_500, search=search)
    result = METHODS[method](context)
    actions = [member.action.allocation.digest for member in result.iterations]
    full = load_or_pretrain(context).model.table.allocation.digest
    assert sorted(trainings) == sorted({full, *actions})
    assert (result.effort.trainings, result.effort.finetunings) == (6, 0)
    assert result.seconds.retrain is None and result.seconds.search > 0
    for t, trained in result.retrained.items():
        member = result.iterations[t - 1]
        assert member.quality == trained.result.quality == context.quality(trained.model)
        assert member.fitness == member.quality / load_or_pretrain(context).result.quality
    best = max(result.iterations, key=lambda member: (member.quality, -member.t))
    assert result.winners[6] == best.t
    # Only what may be retrained is kept.
    files = {path.stem for path in context.workspace.folder.glob("retrain-*.pt")}
    assert len(files) == len({actions[t - 1] for t in result.retrained}) <= 4


def test_an_interrupted_search_repeats_no_training(make, trainings, monkeypatch):
    search = SearchSettings(iterations=5, actions=10, top=2)
    training = AlsSettings(sweeps=3, evaluate_every=3)
    context = make("ials", "50%", search=search, training=training)
    rank = type(context).rank
    looks = []

    def dies(self, model):
        looks.append(1)
        if len(looks) == 4:  # the full model, then the third action
            raise KeyboardInterrupt
        return rank(self, model)

    monkeypatch.setattr(type(context), "rank", dies)
    with pytest.raises(KeyboardInterrupt):
        METHODS["bet"](context)
    monkeypatch.setattr(type(context), "rank", rank)
    before = len(trainings)
    continued = METHODS["bet"](context)
    assert len(trainings) - before == 3  # actions three to five
    whole = METHODS["bet"](context.in_folder(context.workspace.folder / "other"))
    assert [m.quality for m in whole.iterations] == [m.quality for m in continued.iterations]


def test_a_refit_repeats_the_sweeps_that_were_best(make, trainings, split):
    context = make("ials", "50%")
    result = METHODS["su"](context)
    again = refit(context, result.trained, split.train, "train")
    if result.trained.result.epoch == context.settings.training.sweeps:
        assert torch.equal(again.table.weight, result.trained.model.table.weight)
    merged = refit(context, result.trained, split.merged(), "train and validation")
    assert not torch.equal(merged.table.weight, again.table.weight)
    assert len(trainings) == 3


@pytest.mark.parametrize("method", [name for name in BY_LEAST_SQUARES if "-" in name] + ["pq"])
def test_what_is_scored_is_what_the_file_gives_back(make, tmp_path, method):
    context = make("ials", "50%", limit=6_000)
    result = METHODS[method](context)
    model = result.trained.model
    model.table.save(tmp_path / "t")
    file = load(tmp_path / "t")
    rows = np.asarray(file.rows(range(model.table.n)), dtype=np.float32)
    ego = np.zeros((model.table.n, rows[0].size), dtype=np.float32)
    ego[model.table.file_order] = rows.reshape(len(ego), -1)
    users, items = np.split(ego, [context.data.n_users])
    scores = model.ranker()(torch.arange(len(users))).detach().numpy()
    np.testing.assert_allclose(scores, users @ items.T, rtol=1e-4, atol=1e-5)
    assert result.trained.result.quality == context.quality(model)


def test_profiles_give_least_squares_settings_of_their_own(tmp_path):
    for profile in PROFILES.values():
        for backbone, settings in profile.training.items():
            assert type(settings) is FIT_SETTINGS.get(backbone, TrainSettings)
    paper, cell = PROFILES["paper"], Cell("gowalla", "ials", None, "full", profile="paper")
    assert paper.settings(cell)["d_max"] == paper.columns("ials") == 256
    assert paper.settings(cell)["training"] == asdict(paper.training["ials"])
    assert (
        paper.columns("lightgcn") == 128 == paper.settings(replace(cell, backbone="ngcf"))["d_max"]
    )
    text = (STUDIES / "smoke.toml").read_text()
    for old, new, message in (
        (
            "[training.ials] ",
            "[training.ials]\nbatch_size = 1 ",
            "no setting .* 'batch_size'; known are sweeps",
        ),
        ("[training.ials] ", "[training.ials]\nl2 = 0.0 ", "training of ials: l2 must be positive"),
        ("[training]", "[training]\nsweeps = 3", "no setting .* 'sweeps'; known are batch_size"),
        (
            "d_max = 16",
            "d_max = 16\nd_max_of = { svd = 3 }",
            "d_max_of: no backbone 'svd'; known are ncf",
        ),
    ):
        file = tmp_path / "mine.toml"
        file.write_text(text.replace(old, new, 1))
        with pytest.raises(BetError, match=message):
            load_profile(file)


@pytest.mark.parametrize("protocol", ["clean", "merged"])
def test_a_cell_runs_from_data_to_record(tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    cell = Cell("tiny", "ials", "12.8 B/entity", "uniform-int2", protocol=protocol, profile="smoke")
    record = run_cell(cell, file=tmp_path / "t")
    assert record.size.bytes <= record.size.limit_bytes
    assert (tmp_path / "t").stat().st_size == record.serving.bytes
    assert record.size.backbone_parameters == 0 and record.size.tables == 1
    assert record.settings.training["sweeps"] == 4 and len(record.learning_curve) == 2
