"""The search: which rule chooses when, who is retrained, what is shared between cells."""

import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bet.actions import Action, Allocation, Budget, parse_budget
from bet.errors import BetError
from bet.methods.fixed import random_sizes, uniform_action
from bet.methods.powerlaw import ALPHA, USER_SHARE, PowerlawSelector
from bet.predictor import DeepSets
from bet.search import (
    Effort,
    Evaluated,
    PredictorSelector,
    RandomSelector,
    SearchSettings,
    initialize_recommender,
    load_or_pretrain,
    loop,
    search,
    search_and_retrain,
    top_actions,
)

SEARCH = SearchSettings(iterations=7, actions=10, finetune_epochs=1, top=2)


@pytest.fixture
def context(make):
    return make(budget="80%", search=SEARCH)


def searching(context, **numbers):
    """The context with other numbers of the search."""
    search = replace(context.settings.search, **numbers)
    return replace(context, settings=replace(context.settings, search=search))


def test_strategies_follow_the_iteration(context):
    population = search(context, PredictorSelector(context, DeepSets))
    assert [member.strategy.split()[0] for member in population] == [
        "I",
        "I",
        "II",
        "III",
        "I",
        "I",
        "I",
    ]
    assert all(int(member.action.sizes.sum()) == context.budget.target for member in population)
    assert all(
        member.fitness == pytest.approx(member.quality / load_or_pretrain(context).result.quality)
        for member in population
    )


def test_the_top_is_retrained_and_validation_decides(context):
    outcome = search_and_retrain(searching(context, curve=(3, 5)), RandomSelector(context))
    assert sorted(outcome.winners) == [3, 5, 7]
    for count, winner in outcome.winners.items():
        top = [member.t for member in top_actions(outcome.iterations[:count], 2)]
        assert len(top) == 2 and winner == max(
            top, key=lambda t: outcome.retrained[t].result.quality
        )
    best = sorted(outcome.iterations, key=lambda member: -member.fitness)[:2]
    assert {member.t for member in best} <= set(outcome.retrained)
    assert outcome.trained is outcome.retrained[outcome.winners[7]]
    assert (
        outcome.trained.model.table.sizes == outcome.iterations[outcome.winners[7] - 1].action.sizes
    ).all()
    assert outcome.effort == Effort(finetunings=7, trainings=len(outcome.retrained))


def test_a_longer_search_reports_what_the_shorter_one_would(context, tmp_path):
    long = search_and_retrain(searching(context, curve=(3,)), RandomSelector(context))
    short = search_and_retrain(
        searching(context, iterations=3).in_folder(tmp_path / "short"),
        RandomSelector(context),
    )
    assert long.winners[3] == short.winners[3]
    assert long.retrained[long.winners[3]].result.quality == short.trained.result.quality


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_damaged_or_foreign_cache_is_rebuilt(context, caplog, damage):
    first = load_or_pretrain(context)
    (path,) = (context.workspace.cache / "backbones").glob("*.pt")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        torch.save({"key": "another data set", "state": {}}, path)
    with caplog.at_level(logging.WARNING):
        again = load_or_pretrain(context)
    assert "starting afresh" in caplog.text
    assert torch.equal(first.model.table.weight, again.model.table.weight)
    assert torch.equal(load_or_pretrain(context).model.table.weight, first.model.table.weight)


TWICE = """
import sys
from pathlib import Path
from bet.actions import parse_budget
from bet.data import planted, split_interactions
from bet.search import (
    RunSettings, SearchContext, SearchSettings, TrainingData, Workspace, load_or_pretrain,
)
from bet.training import TrainSettings

part = sys.modules["bet.search.refit"]  # by name it is the function
train = part.train_model
part.train_model = lambda *arguments, **named: print("trained") or train(*arguments, **named)
split, folder = split_interactions(planted(), 0), Path(sys.argv[1])
rates = {"max_epochs": 20, "evaluate_every": 1, "patience": 20, "init_std": 0.1}
settings = TrainSettings(256, 0.03, "cosine", **rates)
budget = parse_budget("80%", sum(split.train.shape), 16)
context = SearchContext(
    data=TrainingData(split.train, split.validation),
    settings=RunSettings("lightgcn", settings, SearchSettings()),
    workspace=Workspace(folder, folder / "work"),
    budget=budget,
)
print(float(load_or_pretrain(context).model.table.weight.double().sum()))
assert "torch._dynamo" not in sys.modules, "its import takes longer than this training"
"""


def test_two_cells_that_start_at_once_train_the_backbone_once(tmp_path):
    command = [sys.executable, "-c", TWICE, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [run.communicate()[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(len(words) for words in printed) == [1, 2] and printed[0][-1] == printed[1][-1]


def test_powerlaw_is_exact_in_range_and_starts_uniform(context):
    population = search(context, PowerlawSelector(context))
    assert len(population) == context.settings.search.iterations
    for member in population:
        origin = member.action.origin
        assert ALPHA[0] <= origin["alpha"] <= ALPHA[1]
        # The share is clipped to what both sides can hold, hence the slack.
        assert USER_SHARE[0] - 0.1 <= origin["user_share"] <= USER_SHARE[1] + 0.1
        assert int(member.action.sizes.sum()) == context.budget.target
    assert np.ptp(population[0].action.sizes) <= 1


def test_powerlaw_does_not_spend_evaluations_on_the_same_action_twice(context):
    selector = PowerlawSelector(searching(context, iterations=30))
    population = []
    for t in range(1, 31):  # the best is in a corner, where steps lead out of the allowed range
        action = selector.choose(t, population).action
        fitness = action.origin["user_share"] - action.origin["alpha"]
        population.append(
            Evaluated(
                t=t,
                action=action,
                strategy="",
                predicted=None,
                fitness=fitness,
                quality=fitness,
                predictor_loss=None,
                seconds=0.0,
            )
        )
    assert len({member.action.sizes.tobytes() for member in population}) == 30


@pytest.mark.parametrize("sparsity", ["1%", "40%", "80%", "93%"])
@pytest.mark.parametrize("seed", range(5))
def test_su_and_sr_are_exact(context, sparsity, seed):
    given = replace(
        context,
        budget=parse_budget(sparsity, context.budget.n, 16),
        settings=replace(context.settings, seed=seed),
    )
    uniform, drawn = uniform_action(given).sizes, random_sizes(given)
    for sizes in (uniform, drawn):
        Allocation.from_sizes(sizes).check(given.budget)
        assert int(sizes.sum()) == given.budget.target
    assert np.ptp(uniform) <= 1
    if sparsity in ("40%", "80%"):
        assert np.ptp(drawn) > 1


def test_no_model_is_built_over_its_budget(context):
    tight = replace(context, budget=Budget(context.budget.n, context.budget.n, 16))
    with pytest.raises(BetError, match="with a sum of at most 210"):
        initialize_recommender(tight, Allocation.uniform(context.budget.n, 2))


def test_data_derived_from_the_interactions_are_made_once(context):
    other = replace(context, budget=Budget(context.budget.n, context.budget.n, 16))
    assert other.graph is context.graph and other.sampler is context.sampler
    assert other.data.order is context.data.order and other.data.digest == context.data.digest


def test_a_member_of_the_population_is_saved_whole(context):
    allocation = Allocation.from_sizes(np.array([4, 2, 1]), np.array([8, 8, 2]))
    action = Action(allocation, 2, {"user_share": 0.5})
    member = Evaluated(
        t=3,
        action=action,
        strategy="II random",
        predicted=None,
        fitness=0.5,
        quality=0.1,
        predictor_loss=None,
        seconds=1.0,
    )
    again = loop._from_saved(loop._to_saved(member), 2)
    assert again.action.allocation.digest == allocation.digest
    assert (again.t, again.action.origin, again.seconds) == (3, {"user_share": 0.5}, 1.0)
