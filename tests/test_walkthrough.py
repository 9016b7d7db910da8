"""What the walkthrough notebooks show holds."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bet.actions import parse_budget, sample_actions
from bet.data import planted, split_interactions
from bet.methods.amtl import FrequencyGroups, at_least, project, twin_recommender
from bet.predictor import DeepSets
from bet.search import PredictorSelector, search
from bet.seeds import numpy_generator
from bet.walkthrough import amtl as twins
from bet.walkthrough import steps as show


@pytest.fixture(scope="module")
def data():
    return planted()


@pytest.fixture(scope="module")
def split(data):
    return split_interactions(data, 0)


def labeled(figure):
    assert all(axis.get_xlabel() for axis in figure.axes) and figure.axes[0].get_ylabel()
    plt.close(figure)
    return True


def test_summary_and_parts_add_up(data, split):
    assert show.summary(data).loc["interactions", "tiny"] == f"{len(data):,}"
    parts = show.parts(split)
    assert parts.loc[["train", "validation", "test"], "interactions"].sum() == len(data)
    assert (
        parts.loc["train + validation", "interactions"]
        == parts.loc[["train", "validation"], "interactions"].sum()
    )
    assert list(show.budgets(100, 64, ["90%"])["parameters"]) == ["6,400", "640"]


def test_only_the_exact_sampler_keeps_the_budget(split):
    order = show.frequency_order(split)
    shares = show.budget_shares(order, parse_budget("90%", order.n, 64), seed=0, draws=100)
    assert (shares["exact"] == 1).all()
    assert (shares["published"] > 1).any() and (shares["published"] < 1).any()
    assert show.budget_statement(shares).loc["over budget", "exact"] == "0.0%"
    assert labeled(show.plot_budget_shares(shares))


def test_allocation_steps_sum_to_the_total():
    steps = show.allocation_steps([30, 12, 6, 3, 2, 1, 0.6, 0.4], 40, 1, 16)
    assert steps.loc["sum", "exact"] == 40 == steps["exact"].iloc[:-1].sum()
    assert steps["exact"].iloc[:-1].between(1, 16).all()


def test_renaming_and_sets(split):
    context = show.small_context(split, "tiny", 0, 3)
    (action,) = sample_actions(context.data.order, context.budget, 1, numpy_generator(0, "x"))
    assert show.renaming_does_not_matter(context, action, 0) < 1e-5
    sets = show.sets_of(action, context.data.order)
    assert (
        sets["users"].sum() == context.data.n_users
        and sets[["users", "items"]].to_numpy().sum() == context.data.order.n
    )
    assert np.dot(sets.index, sets["users"] + sets["items"]) == context.budget.target


def test_search_pictures(data, split, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    context = show.small_context(split, "tiny", 0, 6)
    population = search(context, PredictorSelector(context, DeepSets))
    assert list(show.population_table(population).index) == [1, 2, 3, 4, 5, 6]
    assert list(show.fit_offline(context, population, updates=5)["actions"]) == [4, 2]
    order = context.data.order
    for figure in (
        show.plot_long_tail(data),
        show.plot_families(order, context.budget, 0),
        show.plot_mask(population[0].action, order, context.budget),
        show.plot_population(population),
        show.plot_found_sizes(population, order),
    ):
        assert labeled(figure)


def test_pictures_of_a_competitor(split, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    context = show.small_context(split, "tiny", 0, 1)
    groups = FrequencyGroups(context.data.order)
    table = twin_recommender(context, groups, 0.1).table
    sizes = project(at_least(table.choice()).detach().numpy(), groups, context.budget.target)
    totals = twins.totals(table, sizes, context.budget)["columns"]
    assert (
        totals["projected"] == totals["budget"] == context.budget.target
        and totals["hard choice"] == table.sizes.sum()
    )
    assert labeled(twins.plot_sizes({"projected": sizes}, context.data.order))
    figure = twins.plot_choice(table, groups, context.data.order)
    assert (
        figure.axes[0].get_xlabel() and figure.axes[0].get_ylabel() and figure.axes[2].get_ylabel()
    )
    plt.close(figure)
