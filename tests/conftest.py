"""What the tests of several methods share: the planted interactions, and a small search context on
them.
"""

import gc
from types import SimpleNamespace

import hypothesis
import msgspec
import pytest
import torch
from lowered import lowered
from made_up import noisy_study, only_cells, sized_study

from bet.actions import Budget, parse_budget
from bet.backbones import BACKBONES, NO_BACKBONE
from bet.data import evaluable_split, planted, split_interactions
from bet.release.task import Fixed, Task
from bet.search import RunSettings, SearchContext, SearchSettings, TrainingData, Workspace
from bet.serving import coded_by_frequency
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.training import AlsSettings, TrainSettings

# What is imported stays: looking for garbage in it again and again takes a good part of the start.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


# Machines are busy: no test of properties has a time limit.
hypothesis.settings.register_profile("bet", deadline=None)
hypothesis.settings.load_profile("bet")

TRAINING = TrainSettings(
    256, 0.03, "cosine", max_epochs=2, evaluate_every=1, patience=2, init_std=0.1
)
ALS = AlsSettings(sweeps=3, unobserved_weight=0.1, evaluate_every=1)
SEARCH = SearchSettings(iterations=3, actions=10, finetune_epochs=1, top=2)


@pytest.fixture(scope="session")
def split():
    return split_interactions(planted(), 0)


@pytest.fixture(scope="session")
def training_data(split):
    return TrainingData(split.train, split.validation)


@pytest.fixture(scope="session")
def bare_context():
    """Makes contexts of which only the frequencies, the budget and a limit in bytes are known."""

    def context(order, budget, limit=None, seed=0):
        return SearchContext(
            data=SimpleNamespace(order=order, n_users=order.n_users, digest=""),
            settings=RunSettings("lightgcn", TRAINING, SEARCH, seed),
            workspace=None,
            budget=budget,
            byte_limit=limit,
        )

    return context


# Of the actions that ``bet-plus`` considers most are drawn for a better choice only.
few_mutations = lowered(("bet.search.plus", "MUTATIONS", 10), scope="session")


@pytest.fixture
def make(split, training_data, tmp_path):
    """A context by backbone, budget ("none": the whole table) and limit in bytes; all of a test
    share their folders.
    """

    def context(
        backbone="lightgcn", budget="none", limit=None, d_max=16, training=None, search=SEARCH
    ):
        if training is None:
            least_squares = backbone != NO_BACKBONE and BACKBONES[backbone].least_squares
            training = ALS if least_squares else TRAINING
        n = sum(split.train.shape)
        copies = 1 if backbone == NO_BACKBONE else BACKBONES[backbone].copies
        exact = (
            Budget(n * d_max, n, d_max, copies=copies)
            if budget == "none"
            else parse_budget(budget, n, d_max, copies=copies)
        )
        return SearchContext(
            data=training_data,
            settings=RunSettings(backbone, training, search),
            workspace=Workspace(tmp_path / "cache", tmp_path / "work"),
            budget=exact,
            byte_limit=limit,
        )

    return context


@pytest.fixture
def one_thread():
    """Threads get into each other's way where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def in_rungs(monkeypatch):
    """Searches in rungs, though in tests a training costs as little."""

    def trains_all(self, training):
        return isinstance(training, AlsSettings)

    monkeypatch.setattr(SearchSettings, "trains_all", trains_all)


@pytest.fixture(scope="session")
def search_record(tmp_path_factory):
    """A real record of a search, as plain values to vary."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RESULTS", "CACHE"):
            patch.setenv(f"BET_{name}", str(tmp_path_factory.mktemp("run")))
        cell = Cell("tiny", "lightgcn", "80%", "bet", profile="smoke", iterations=6)
        return msgspec.to_builtins(run_cell(cell))


@pytest.fixture
def synthetic(search_record, monkeypatch):
    """Call with cells, which become those of profile smoke; gives a Results (``noisy_study``)."""

    def make(cells, left_out=(), **details):
        only_cells(monkeypatch, cells)
        return noisy_study(search_record, cells, left_out=left_out, **details)

    return make


@pytest.fixture
def sized(search_record, monkeypatch):
    """Call with qualities by method and budget; gives a Results (``sized_study``)."""

    def make(quality, **details):
        cells, results = sized_study(search_record, quality, **details)
        only_cells(monkeypatch, cells)
        return results

    return make


@pytest.fixture
def task(tmp_path):
    """What ``bet table`` makes a file from: the planted interactions, 6,000 bytes, no sweeps."""
    data = planted()
    split = evaluable_split(data, 0)
    training = TrainingData(split.train, split.validation)
    return Task(
        interactions=data,
        split=split,
        data=training,
        limit=6_000,
        coded=coded_by_frequency(data.matrix),
        ids=(),
        history=True,
        fixed=Fixed(epochs=2, learning_rate=0.03, l2=0.3),
        minutes=10.0,
        seed=0,
        workspace=Workspace(tmp_path / "work", tmp_path / "work"),
    )
